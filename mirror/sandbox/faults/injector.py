"""The faults in force: which of them shape a request or its answer, and how often they still may."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from mirror.sandbox.faults.fault import Effect, Fault, RequestFacts

# Effects that neither take the place of an answer nor rewrite a finished one.
_APART = frozenset({"latency", "rate_limit", "scaled_rate_limit", "field_error", "null_node"})


@dataclass
class _Armed:
    fault: Fault
    left: int | None
    window_started: float = 0.0
    used: int = 0


class Injector:
    """The faults in force. Thread-safe."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Put faults in force, behind those that already are."""
        with self._lock:
            self._armed.extend(_Armed(fault, fault.times) for fault in faults)

    def remove(self, fault: Fault) -> None:
        """Lift one fault; nothing happens when it is not in force."""
        with self._lock:
            self._armed = [armed for armed in self._armed if armed.fault is not fault]

    def clear(self) -> None:
        """Lift all faults."""
        with self._lock:
            self._armed.clear()

    def latency_s(self, facts: RequestFacts) -> float:
        """Seconds to wait before this request is answered."""
        return sum(fault.seconds for fault in self._take(facts, lambda fault: fault.effect == "latency"))

    def before(self, facts: RequestFacts) -> Fault | None:
        """The fault that takes the place of acting, if any."""

        def preempts(fault: Fault) -> bool:
            whole = fault.effect not in _APART and fault.match.contains_run is None
            return whole and not fault.acts

        return next(iter(self._take(facts, preempts, most=1)), None)

    def after(self, facts: RequestFacts, run_names: frozenset[str]) -> list[Fault]:
        """The faults that shape a finished answer."""

        def shapes(fault: Fault) -> bool:
            run = fault.match.contains_run
            late = fault.acts or (run is not None and fault.effect not in _APART)
            return late and (run is None or run in run_names)

        return self._take(facts, shapes)

    def rate_limit(self, facts: RequestFacts, now_s: float) -> tuple[dict[str, str], bool]:
        """RateLimit headers for this request, and whether it is over the limit."""
        headers: dict[str, str] = {}
        over = False
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if fault.effect != "rate_limit" or not facts.meets(fault.match):
                    continue
                if now_s - armed.window_started >= fault.seconds:
                    armed.window_started, armed.used = now_s, 0
                armed.used += 1
                reset = max(0.0, armed.window_started + fault.seconds - now_s)
                headers["RateLimit-Limit"] = str(fault.limit)
                headers["RateLimit-Remaining"] = str(max(0, fault.limit - armed.used))
                headers["RateLimit-Reset"] = f"{reset:.3f}"
                if armed.used > fault.limit:
                    over = True
                    headers["Retry-After"] = f"{reset:.3f}"
        return headers, over

    def in_force(self, facts: RequestFacts, *effects: Effect) -> list[Fault]:
        """Faults of these effects for this request, without using them up; `spend` does that for those that showed."""
        with self._lock:
            return [
                armed.fault
                for armed in self._armed
                if armed.fault.effect in effects and armed.left != 0 and facts.meets(armed.fault.match)
            ]

    def spend(self, faults: Collection[Fault]) -> None:
        """Count one answer against each of `faults`."""
        with self._lock:
            for armed in self._armed:
                if armed.fault in faults and armed.left is not None:
                    armed.left = max(0, armed.left - 1)

    def _take(self, facts: RequestFacts, chosen: Callable[[Fault], bool], most: int | None = None) -> list[Fault]:
        taken: list[Fault] = []
        with self._lock:
            for armed in self._armed:
                if most is not None and len(taken) >= most:
                    break
                if armed.left == 0 or not chosen(armed.fault) or not facts.meets(armed.fault.match):
                    continue
                if armed.left is not None:
                    armed.left -= 1
                taken.append(armed.fault)
        return taken
