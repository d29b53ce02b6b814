"""What befalls the network, the server, the clock and the daemon; each lasts for a while of the story."""

from __future__ import annotations

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mirror.sandbox import Fault, Match, Sandbox
from tests.daemon.soak.children import Lives
from tests.daemon.soak.shared_clock import SharedClock

MINUTE, HOUR = 60.0, 3600.0
WRITES = [Match(operation=f"Mirror{name}") for name in ("UpsertRun", "UpdateState", "CreateFiles", "MarkFiles", "Run")]
WAITS_S, SHORT_WAITS_S = (5, 60, 110, 1800), (1, 1800)  # that a server asks for; pulls wait in real time
# Chances a step; a step is some eight minutes.
CHANCES = {
    "outage": 0.008, "restart": 0.006, "names": 0.004, "rate_limit": 0.008, "too_many": 0.012, "broken": 0.012,
    "lost": 0.02, "dropped": 0.012, "cut": 0.006, "proxy": 0.006, "kill": 0.014, "term": 0.008, "reload": 0.008,
    "bad_config": 0.004, "sleep": 0.004, "wrong_clock": 0.004,
}  # fmt: skip


class Trouble:
    """Begins troubles by chance, and ends them when their time has come.

    Args:
        sandbox: the server.
        clock: of everybody.
        lives: of the daemon.
        config: its configuration file.
        chance: decides.
        each_once: one trouble begins in each step until every one has; else as many as chance has it.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        clock: SharedClock,
        lives: Lives,
        config: Path,
        chance: random.Random,
        *,
        each_once: bool,
    ) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._lives = lives
        self._config = config
        self._good = config.read_text()
        self._chance = chance
        self._ends: dict[str, tuple[float, Callable[[], object]]] = {}  # by name: when on the clock, and what then
        self._to_come = chance.sample(list(CHANCES), len(CHANCES)) if each_once else None
        self._waits_s = SHORT_WAITS_S if each_once else WAITS_S
        self.counts: Counter[str] = Counter()
        self._begin: dict[str, Callable[[], None]] = {
            "outage": self._outage, "restart": self._restart, "names": self._names, "rate_limit": self._rate_limit,
            "too_many": self._too_many, "broken": self._broken, "lost": self._lost, "dropped": self._dropped,
            "cut": self._cut, "proxy": self._proxy, "kill": self._kill, "term": self._term, "reload": self._reload,
            "bad_config": self._bad_config, "sleep": self._sleep, "wrong_clock": self._wrong_clock,
        }  # fmt: skip

    def act(self, *, deadly: bool) -> None:
        """One step: end what is over, and maybe begin something; `deadly`: also what ends the daemon."""
        for name, (at, end) in list(self._ends.items()):
            if at <= self._clock.now():
                del self._ends[name]
                end()
        for name in self._drawn(deadly=deadly):
            self.counts[name] += 1
            self._begin[name]()

    def _drawn(self, *, deadly: bool) -> Iterator[str]:
        """What begins now."""
        if self._to_come is None:
            drawn = (name for name, chance in CHANCES.items() if self._chance.random() < chance)
            yield from (name for name in drawn if self._may_begin(name, deadly=deadly))
        elif name := next((name for name in self._to_come if self._may_begin(name, deadly=deadly)), None):
            self._to_come.remove(name)
            yield name

    def _may_begin(self, name: str, *, deadly: bool) -> bool:
        lives = self._lives
        if name in self._ends or {name, *self._ends} >= {"outage", "restart"}:
            return False
        if name == "kill":  # at any instant, while it starts and while it stops too
            return deadly and lives.pid is not None
        if name in {"term", "reload", "bad_config"}:
            return (deadly or name != "term") and lives.is_ready() and not lives.is_stopping
        return True

    @property
    def is_to_come(self) -> bool:
        """Whether a trouble that is to come once has not begun."""
        return bool(self._to_come)

    @property
    def may_start(self) -> bool:
        """Whether a daemon would begin: with a bad configuration it refuses to."""
        return "bad_config" not in self._ends

    def over(self) -> None:
        """Everything is well from now on."""
        for _, end in self._ends.values():
            end()
        self._ends.clear()
        self._sandbox.faults.clear()

    def _until(self, name: str, shortest: float, longest: float, end: Callable[[], object]) -> None:
        self._ends[name] = (self._clock.now() + self._chance.uniform(shortest, longest), end)

    def _fault(self, name: str, fault: Fault, longest: float = HOUR) -> None:
        self._sandbox.faults.add(fault)
        self._until(name, 10 * MINUTE, longest, lambda: self._sandbox.faults.remove(fault))

    def _outage(self) -> None:
        away = contextlib.ExitStack()
        away.enter_context(self._sandbox.outage())
        self._until("outage", 10 * MINUTE, 6 * HOUR, away.close)

    def _restart(self) -> None:
        with self._sandbox.outage():
            pass

    def _names(self) -> None:
        self._clock.lose_names(True)
        self._until("names", 10 * MINUTE, 2 * HOUR, lambda: self._clock.lose_names(False))

    def _rate_limit(self) -> None:
        self._fault("rate_limit", Fault.rate_limit(self._chance.randrange(5, 30), 10 * MINUTE))

    def _too_many(self) -> None:
        wait_s = self._chance.choice(self._waits_s)
        self._fault("too_many", Fault.status(429, retry_after=wait_s, times=self._chance.randrange(1, 8)))

    def _broken(self) -> None:
        self._fault("broken", Fault.status(self._chance.choice([500, 502, 503]), times=self._chance.randrange(1, 30)))

    def _lost(self) -> None:
        self._fault("lost", Fault.lost_answer(times=1, match=self._chance.choice(WRITES)), 6 * HOUR)

    def _dropped(self) -> None:
        self._fault("dropped", Fault.drop(times=self._chance.randrange(1, 10)))

    def _cut(self) -> None:
        make = self._chance.choice([Fault.drop_mid_body, Fault.truncate_body, Fault.corrupt_body, Fault.expired_urls])
        self._fault("cut", make(times=self._chance.randrange(1, 4)), 6 * HOUR)

    def _proxy(self) -> None:
        self._fault("proxy", Fault.html(self._chance.choice([200, 502]), times=self._chance.randrange(1, 6)))

    def _kill(self) -> None:
        self._lives.signal(signal.SIGKILL)

    def _term(self) -> None:
        self._lives.signal(signal.SIGTERM)

    def _reload(self) -> None:
        self._lives.signal(signal.SIGHUP)

    def _bad_config(self) -> None:
        self._write("[[source]]\npath = 7\n")
        self._until("bad_config", 10 * MINUTE, HOUR, lambda: self._write(self._good))

    def _write(self, text: str) -> None:
        new = self._config.with_name("new.toml")
        new.write_text(text)
        new.replace(self._config)

    def _sleep(self) -> None:
        self._clock.sleep(self._chance.uniform(20 * MINUTE, 9 * HOUR))

    def _wrong_clock(self) -> None:
        self._clock.set_wrong(self._chance.choice([-3 * HOUR, -40 * MINUTE, 2 * HOUR, 50 * HOUR, 1000 * 24 * HOUR]))
        self._until("wrong_clock", 20 * MINUTE, 3 * HOUR, lambda: self._clock.set_wrong(0))
