"""What is known of a version of an artifact, without its contents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mirror.errors import CommError
from mirror.records.artifacts import MANIFEST_MD5
from mirror.run.pending.local import LocalMirror
from mirror.store.read.artifacts import VersionRow
from mirror.texts.values import parse_lenient

_MALFORMED = "malformed"  # no object; a text, so that it stays the same one in another process
_VERSION = re.compile(r"v\d+")


class ArtifactFacts:
    """Names and fields of a version that exists upstream.

    Args:
        local: the mirror.
        row: what is held of it.
        name: `collection:v3`, or with the alias by which it was asked for; None: its own.
        aliases: given to it by what is queued.
        tags: given to it by what is queued.
    """

    def __init__(
        self,
        local: LocalMirror,
        row: VersionRow,
        name: str | None = None,
        *,
        aliases: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        self._local = local
        self._row = row
        self._name = name
        self._aliases = [alias for alias in dict.fromkeys([*row.aliases, *aliases]) if not _VERSION.fullmatch(alias)]
        self._tags = list(dict.fromkeys([*row.tags, *tags]))
        metadata = parse_lenient(row.metadata, otherwise=_MALFORMED)
        self._metadata: Any = metadata if isinstance(metadata, dict) or metadata == _MALFORMED else {}

    # What it is called.

    @property
    def id(self) -> str:
        """W&B's opaque id."""
        return self._row.artifact_id

    @property
    def entity(self) -> str:
        """Of the collection."""
        return self._row.entity or ""

    @property
    def project(self) -> str:
        """Of the collection."""
        return self._row.project or ""

    @property
    def name(self) -> str:
        """`collection:v3`, or with the alias by which it was asked for."""
        return self._name or self.source_name

    @property
    def qualified_name(self) -> str:
        """`entity/project/name`."""
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    def version(self) -> str:
        """`v3`."""
        return f"v{self._row.version_index}"

    source_entity = entity
    source_project = project
    source_version = version

    @property
    def source_name(self) -> str:
        """`collection:v3`."""
        return f"{self._row.sequence}:{self.version}"

    @property
    def source_qualified_name(self) -> str:
        """`entity/project/collection:v3`."""
        return f"{self.entity}/{self.project}/{self.source_name}"

    @property
    def is_link(self) -> bool:
        """False: a mirror knows a version by the collection that it was made in."""
        return False

    @property
    def url(self) -> str:
        """The address of its page on the server."""
        row = self._row
        place = f"{quote(row.type)}/{quote(row.sequence)}/{self.version}"
        return f"{self._local.app_url}{self.entity}/{self.project}/artifacts/{place}"

    # What is known of it.

    @property
    def type(self) -> str:
        """Such as `model` or `dataset`."""
        return self._row.type

    @property
    def state(self) -> str:
        """`COMMITTED`, `PENDING` or `DELETED`."""
        return self._row.state

    @property
    def aliases(self) -> list[str]:
        """Names that point to it, `latest` among them."""
        return self._aliases

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self._tags

    @property
    def metadata(self) -> dict[str, Any]:
        """What its maker noted.

        Raises:
            CommError: it is not JSON.
        """
        if self._metadata == _MALFORMED:
            raise CommError(
                f"the metadata of {self.source_qualified_name} is not JSON",
                hint="the text that W&B sent is in `lake.artifacts`, which `mirror.connect()` asks in SQL",
            )
        found: dict[str, Any] = self._metadata
        return found

    @property
    def description(self) -> str | None:
        """A text for people."""
        return self._row.description

    @property
    def digest(self) -> str:
        """Hex, over the whole manifest."""
        return self._row.digest

    @property
    def digest_algorithm(self) -> str:
        """`MANIFEST_MD5` or `MANIFEST_XXH128`."""
        return self._row.digest_algorithm or MANIFEST_MD5

    @property
    def commit_hash(self) -> str | None:
        """What the server returned when it was committed."""
        return self._row.commit_hash

    @property
    def created_at(self) -> str | None:
        """As the server sent it; UTC."""
        return self._row.created_at

    @property
    def updated_at(self) -> str | None:
        """As the server sent it; UTC."""
        return self._row.updated_at or self._row.created_at

    @property
    def history_step(self) -> int | None:
        """The nearest step that its run had logged."""
        return None if self._row.history_step is None else max(0, self._row.history_step - 1)

    def is_draft(self) -> bool:
        """Whether it is not saved yet."""
        return self.state == "PENDING"

    def json_encode(self) -> dict[str, Any]:
        """How a run's config or summary refers to it."""
        return {
            "_type": "artifactVersion",
            "_version": "v0",
            "id": self.id,
            "version": self.version,
            "sequenceName": self._row.sequence,
            "usedAs": None,
        }

    def __repr__(self) -> str:
        """Its name and type."""
        return f"<Artifact {self.qualified_name} ({self.type})>"
