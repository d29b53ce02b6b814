"""What is known of a version of an artifact, without its contents."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from mirror.errors import CommError
from mirror.records.artifacts import MANIFEST_MD5
from mirror.run.artifacts.marking import checked_aliases, checked_tags
from mirror.run.pending.local import LocalMirror
from mirror.store.read.artifacts import VersionRow
from mirror.texts.values import parse_lenient

_MALFORMED = "malformed"  # no object; a text, so that it stays the same one in another process
_VERSION = re.compile(r"v\d+")


class ArtifactFacts:
    """Names and fields of a version that exists upstream.

    Args:
        local: the mirror.
        row: what is held of it, with what is queued of its aliases and tags.
        name: `collection:v3`, or with the alias by which it was asked for; None: its own.
    """

    def __init__(self, local: LocalMirror, row: VersionRow, name: str | None = None) -> None:
        self._local = local
        self._row = row
        self._name = name
        self._aliases = own_aliases(row)
        self._tags = list(row.tags)
        self._metadata: Any = metadata_of(row)

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
        """Names that point to it, `latest` among them; what is changed of them is queued by `save()`."""
        return self._aliases

    @aliases.setter
    def aliases(self, aliases: Iterable[str]) -> None:
        self._aliases = list(checked_aliases([aliases] if isinstance(aliases, str) else aliases))

    @property
    def tags(self) -> list[str]:
        """Its tags; what is changed of them is queued by `save()`."""
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self._tags = list(checked_tags([tags] if isinstance(tags, str) else tags))

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


def own_aliases(row: VersionRow) -> list[str]:
    """Its aliases; a server may name the version itself among them."""
    return [alias for alias in row.aliases if not _VERSION.fullmatch(alias)]


def metadata_of(row: VersionRow) -> Any:
    """What its maker noted, as a dictionary of its own; `malformed` where it is no JSON."""
    found = parse_lenient(row.metadata, otherwise=_MALFORMED)
    return found if isinstance(found, dict) or found == _MALFORMED else {}
