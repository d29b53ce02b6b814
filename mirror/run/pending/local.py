"""What all objects of one `Api` share: the lake, the objects, the outbox of one home. Opened when asked, picklable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mirror.config import SourceSettings, load_config, sole_entity, source_of
from mirror.errors import ConfigError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, EntryState, Operation
from mirror.records.server import Viewer
from mirror.server_facts import last_server_facts, read_viewer
from mirror.store.engine.meta import lake_app_url
from mirror.store.engine.reader import Reader

if TYPE_CHECKING:
    from mirror.outbox import Outbox
    from mirror.records.capabilities import Lack
    from mirror.store.objects.objects import Objects


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that the server does not have, and where it is."""

    state: EntryState  # new: waits; claimed: on its way; conflict: a person must decide; dead: the server refused it
    entry: Entry

    @property
    def id(self) -> str:
        """The entry's id, for `wandb-mirror outbox show`."""
        return self.entry.id

    @property
    def kind(self) -> str:
        """`edit`, `update_state`, …."""
        return self.entry.kind

    @property
    def operation(self) -> Operation:
        """What was asked."""
        return self.entry.operation

    @property
    def reason(self) -> str | None:
        """Why it is dead or in conflict, or why its last attempt failed; the server's own words."""
        return self.entry.reason

    @property
    def is_shown(self) -> bool:
        """Whether the local run looks as if it had happened: all but what the server refused."""
        return self.state != "dead"


Waiting = Mapping[tuple[str, str], Mapping[str, Sequence[Pending]]]  # by project and run id


class LocalMirror:
    """One home, for reading and for queueing.

    Args:
        home: the mirror's directory.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    @cached_property
    def reader(self) -> Reader:
        """Asks the lake."""
        return Reader(self.home)

    @cached_property
    def objects(self) -> Objects:
        """Bytes by digest."""
        from mirror.store.objects.objects import Objects

        return Objects(self.home)

    @cached_property
    def outbox(self) -> Outbox:
        """What was asked for and is not delivered."""
        from mirror.outbox.group import outbox_of

        return outbox_of(self.home)

    @cached_property
    def app_url(self) -> str:
        """The address of the server's pages, with a trailing slash."""
        return (lake_app_url(self.reader) or "https://wandb.ai").rstrip("/") + "/"

    @cached_property
    def viewer(self) -> Viewer | None:
        """Whom the server knew by the key at an earlier pull; None when that is not known."""
        return read_viewer(self.home)

    def lack_of(self, *capabilities: str) -> Lack | None:
        """The first of some capabilities that the server lacks or fails at, as far as is known; None: it has them."""
        from mirror.records.capabilities import lack_of

        facts = last_server_facts(self.home)
        return None if facts is None else lack_of(facts, *capabilities)

    def projects(self) -> list[tuple[str, str]]:
        """Entity and name of all projects that are held, by name."""
        from mirror.store.read.projects import mirrored_projects

        return mirrored_projects(self.reader)

    def is_mirrored(self, entity: str, project: str) -> bool:
        """Whether a project was ever pulled, or any of its runs."""
        from mirror.store.read.projects import is_mirrored

        return is_mirrored(self.reader, entity, project)

    def source(self, entity: str, project: str) -> SourceSettings | None:
        """What is wanted of a project's runs by the configuration as it is now; None where it does not say."""
        try:
            return source_of(load_config(self.home.config).source, entity, project)
        except ConfigError:
            return None

    @property
    def sole_entity(self) -> str | None:
        """The entity of all sources of the configuration as it is now; None where they have several."""
        try:
            return sole_entity(load_config(self.home.config).source)
        except ConfigError:
            return None

    def pending(self, run: RunPath) -> list[Pending]:
        """The operations of a run that wait, in the order in which they were asked for.

        Ask this before the lake: an operation leaves the outbox only after the lake holds its effect, so that one of
        the two always shows it.
        """
        self.exchange()
        return [Pending(state=state, entry=entry) for state, entry in self.outbox.of_run(run)]

    def pending_of(self, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, list[Pending]]:
        """The same for several runs of a project, by run id."""
        self.exchange()
        found = self.outbox.of_runs([RunPath(*project, run_id) for run_id in run_ids])
        return {path[2]: [Pending(state=state, entry=entry) for state, entry in some] for path, some in found.items()}

    def waiting(self) -> Waiting:
        """All that waits and shows, by project and run id."""
        self.exchange()
        found: dict[tuple[str, str], dict[str, list[Pending]]] = {}
        if any(self.outbox.counts().values()):
            for state, entry in self.outbox.entries("new", "claimed", "conflict"):
                runs = found.setdefault((entry.entity, entry.project), {})
                runs.setdefault(entry.run_id, []).append(Pending(state=state, entry=entry))
        return found

    def enqueue(self, run: RunPath, storage_id: str | None, operation: Operation) -> Entry:
        """Put an operation into the outbox; when this returns it survives a power cut.

        Raises:
            HomeUnusable: it was not queued.
        """
        return self.outbox.put(run, storage_id, operation)

    def exchange(self) -> None:
        """Know what waits in the group, too, where the lake is a group's; asked now and then."""
        from mirror.outbox.group import GroupOutbox

        if isinstance(self.outbox, GroupOutbox):
            from mirror.sharing import share_now_and_then

            share_now_and_then(self.outbox)

    def __getstate__(self) -> dict[Literal["home"], Any]:
        """The home alone: databases do not travel."""
        return {"home": self.home}
