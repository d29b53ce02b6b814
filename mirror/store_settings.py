"""The settings of the lake: what its engine may use, and where it stands. A part of `config`.

By default a lake stands in the home. One that a group shares has its catalog in PostgreSQL, its Parquet files and
objects in a bucket.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

_PASSWORD = re.compile(r"(?:^|[\s?&])(?:ssl)?password\s*=", re.IGNORECASE)
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")


def _without_keys(address: str) -> str:
    """An address that may be shown: what stands before an `@` may be secret."""
    return f"…@{address.rpartition('@')[2]}" if "@" in address else address


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the local database may use, and where the lake stands."""

    memory_limit_mb: Annotated[int, msgspec.Meta(ge=128)] = 1024
    threads: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None  # None: as many as there are cores
    # The catalog of a lake that a group shares, as PostgreSQL's own clients take it: "postgresql://USER@HOST/DATABASE",
    # "service=NAME". The password comes from ~/.pgpass, PGPASSFILE, `?passfile=…`, or a credential `pgpass` that the
    # service manager hands over. Empty: the lake is in the home.
    catalog: str = ""
    data: str = ""  # where its Parquet files lie: "s3://BUCKET/PREFIX"
    objects: str = ""  # where its objects lie; empty: below `data`
    s3_endpoint: str = ""  # "http://HOST:PORT" of another server than AWS that speaks S3
    s3_region: str = ""  # empty: as AWS's own settings say
    # Objects of such a lake that this machine keeps, so that they are read from the bucket once.
    cache_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 10_000

    def __post_init__(self) -> None:
        """Check that the parts of a shared lake belong together."""
        if bool(self.catalog) != bool(self.data):
            raise ValueError("catalog and data go together: a shared lake has both, one in the home has neither")
        if self.objects and not self.catalog:
            raise ValueError("objects is for a shared lake, which has catalog and data")
        if _PASSWORD.search(self.catalog) or (self.catalog and urlsplit(self.catalog).password is not None):
            raise ValueError("catalog holds a password: leave it to ~/.pgpass, PGPASSFILE or passfile=…")
        for name, place in (("data", self.data), ("objects", self.objects)):
            if place and not _BUCKET.fullmatch(place):
                raise ValueError(f'{name} is "s3://BUCKET/PREFIX"; got {_without_keys(place)!r}')
        if "@" in self.s3_endpoint:
            raise ValueError("s3_endpoint holds keys: leave them to AWS_ACCESS_KEY_ID and its like, or a profile")
        if self.s3_endpoint and urlsplit(self.s3_endpoint).scheme not in {"http", "https"}:
            raise ValueError(f's3_endpoint is "https://HOST"; got {self.s3_endpoint!r}')

    @property
    def objects_address(self) -> str:
        """Where the objects of a shared lake lie."""
        return self.objects or f"{self.data.rstrip('/')}/objects"

    @property
    def is_shared(self) -> bool:
        """Whether the lake stands outside of the home."""
        return bool(self.catalog)
