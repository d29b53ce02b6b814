"""The members of the SDK's `Artifact` that make or change a version: each says in one sentence why it is not done.

A version that exists never changes, and the outbox has no operation for its names, tags and notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, NoReturn

from mirror.run.artifacts.facts import ArtifactFacts
from mirror.run.sdk.absent import finished, only_server_can
from mirror.run.sdk.calls import deprecated

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

    # Its names and notes: each raises `CommError`, and nothing was queued. Lists and dictionaries are live, as the
    # SDK's are; `save` refuses what was changed in them.

    def save(self, project: str | None = None, settings: object = None) -> NoReturn:
        """Never done."""
        del project, settings
        raise only_server_can(f"changing {self}")

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
        """Set what the object keeps for itself; fields of the version are the server's.

        Raises:
            CommError: it is a field that the SDK lets one set.
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


_SETTABLE: Mapping[str, None] = dict.fromkeys(("aliases", "tags", "metadata", "description", "ttl", "distributed_id"))
