"""The members of the SDK's `Artifact` that make or change a version.

Its aliases and tags change by an operation in the outbox. Its contents never do, and for its notes the outbox has no
operation: what is not done says why in one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, NoReturn

from mirror.run.artifacts.facts import ArtifactFacts, metadata_of, own_aliases
from mirror.run.artifacts.marking import queue_marks
from mirror.run.artifacts.queued import shown_row
from mirror.run.sdk.absent import finished, only_server_can
from mirror.run.sdk.calls import as_comm_error, deprecated

Path = str | os.PathLike[str]


class ArtifactChanges(ArtifactFacts):
    """A version whose files are settled."""

    # Its files: each raises `CommError`, which is also a `ValueError`.

    def add(self, obj: object, name: Path, overwrite: bool = False) -> NoReturn:
        """Never done."""
        del obj, overwrite
        raise finished(self, f"cannot add {os.fspath(name)!r}")

    def add_file(
        self,
        local_path: str,
        name: str | None = None,
        is_tmp: bool | None = False,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        overwrite: bool = False,
    ) -> NoReturn:
        """Never done."""
        del is_tmp, skip_cache, policy, overwrite
        raise finished(self, f"cannot add {name or local_path!r}")

    def add_dir(
        self,
        local_path: str,
        name: str | None = None,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        merge: bool = False,
    ) -> NoReturn:
        """Never done."""
        del skip_cache, policy, merge
        raise finished(self, f"cannot add {name or local_path!r}")

    def add_reference(
        self, uri: object, name: Path | None = None, checksum: bool = True, max_objects: int | None = None
    ) -> Sequence[Any]:
        """Never done."""
        del name, checksum, max_objects
        raise finished(self, f"cannot add the reference {uri!r}")

    def new_file(
        self, name: str, mode: str = "x", encoding: str | None = None, policy: str = "mutable"
    ) -> AbstractContextManager[IO[Any]]:
        """Never done."""
        del mode, encoding, policy
        raise finished(self, f"cannot add {name!r}")

    def remove(self, item: object) -> NoReturn:
        """Never done."""
        raise finished(self, f"cannot remove {item!r}")

    def __setitem__(self, name: str, item: object) -> None:
        """Never done."""
        self.add(item, name)

    def finalize(self) -> None:
        """Nothing to do: it is final."""

    def get_added_local_path_name(self, local_path: str) -> str | None:
        """None: nothing can be added."""
        del local_path
        return None

    def new_draft(self) -> NoReturn:
        """Never done: a draft is there to be uploaded."""
        raise only_server_can(f"making a version after {self}")

    # Its names and notes. Lists and dictionaries are live, as the SDK's are; `save` queues or refuses what was changed
    # in them.

    @as_comm_error
    def save(self, project: str | None = None, settings: object = None) -> None:
        """Queue which aliases and tags were added and taken away since they were read.

        Args:
            project: of no effect; the version exists.
            settings: of no effect.

        Raises:
            CommError: something else was changed, or no alias or tag is such; nothing was queued.
        """
        del project, settings
        if self._metadata != metadata_of(self._row):
            raise only_server_can(f"changing metadata of {self}")
        seen = own_aliases(self._row)
        row = shown_row(self._local, self._row)
        queue_marks(
            self._local,
            self._local.reader,
            row,
            add_aliases=[alias for alias in self._aliases if alias not in seen],
            remove_aliases=[alias for alias in seen if alias not in self._aliases],
            add_tags=[tag for tag in self._tags if tag not in self._row.tags],
            remove_tags=[tag for tag in self._row.tags if tag not in self._tags],
        )
        self._row = shown_row(self._local, self._row)
        self._aliases, self._tags = own_aliases(self._row), list(self._row.tags)

    def delete(self, delete_aliases: bool = False) -> NoReturn:
        """Never done."""
        del delete_aliases
        raise only_server_can(f"deleting {self}")

    def link(self, target_path: str, aliases: Iterable[str] | None = None) -> NoReturn:
        """Never done."""
        del aliases
        raise only_server_can(f"linking {self} to {target_path!r}")

    def unlink(self) -> NoReturn:
        """Never done: it is no link."""
        raise finished(self, f"Artifact {self.qualified_name!r} is not a linked artifact and cannot be unlinked")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what the object keeps for itself, its aliases and tags; other fields of the version are the server's.

        Raises:
            CommError: it is another field that the SDK lets one set.
        """
        if name in _SETTABLE:
            raise only_server_can(f"changing {name} of {self}")
        super().__setattr__(name, value)

    # What the SDK knows of drafts.

    @property
    def incremental(self) -> bool:
        """False: it is no draft."""
        return False

    @property
    def distributed_id(self) -> str | None:
        """None: it is no draft."""
        return None

    @property
    def use_as(self) -> str | None:
        """None; deprecated, as in the SDK."""
        deprecated("The use_as property of Artifact is deprecated.")
        return None


_SETTABLE: Mapping[str, None] = dict.fromkeys(("metadata", "description", "ttl", "distributed_id"))
