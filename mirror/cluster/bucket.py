"""A bucket: whole objects are put, got, listed and removed. Credentials come as AWS's own tools find them.

A put is durable when it returns, and whole or not there at all: S3 promises both. The SHA-256 of its bytes is part of
what is signed, over TLS too, so that the server takes no others.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from mirror.cluster.postgres import NO_CLUSTER_HINT
from mirror.cluster.remembered import reached
from mirror.errors import HomeUnusable, LakeAway, StoreError
from mirror.store_settings import StoreSettings

# A bucket that says nothing is given up after three quarters of a minute, by DuckDB's client, too. Progress counts: a
# file that is sent or read slowly is not cut.
CONNECT_S = 5.0
SILENT_S = 15.0
TRIES = 3
_REFUSED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403", "AllAccessDisabled"}
)
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_WHOLE_BYTES = 32 << 20  # a file that goes up in one request: boto3 takes five times the CPU for one in parts
_AT_ONCE = 1000  # keys that one request may remove


class Stored(NamedTuple):
    """A file in a bucket."""

    size: int  # bytes
    written_at: dt.datetime  # as the bucket says


class Written(Protocol):
    """What bytes are written into."""

    def write(self, chunk: bytes, /) -> int:
        """Take them."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials as they are now."""

    key_id: str
    secret: str
    token: str | None
    region: str


class Bucket:
    """One prefix of a bucket; any thread may use it.

    Args:
        address: `s3://BUCKET/PREFIX`.
        place: says how the server is reached.
    """

    def __init__(self, address: str, place: StoreSettings) -> None:
        self._place = place
        self._connecting = threading.Lock()
        self._connected: tuple[int, Any] | None = None  # process and client
        self.name, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def address(self) -> str:
        """`s3://BUCKET/PREFIX/`."""
        return f"s3://{self.name}/{self._prefix}"

    def put(self, name: str, content: bytes | Path) -> None:
        """Store a file, whole or not at all; one of this name is replaced.

        Raises:
            LakeAway, HomeUnusable, StoreError: it is not stored, or its answer was lost.
            OSError: a path cannot be read.
        """
        with self._errors():
            if isinstance(content, bytes):
                self._client.put_object(Bucket=self.name, Key=self._prefix + name, Body=content)
                return
            with content.open("rb") as file:
                if os.fstat(file.fileno()).st_size <= _WHOLE_BYTES:
                    self._client.put_object(Bucket=self.name, Key=self._prefix + name, Body=file)
                else:  # in parts; `upload_file` has an error of its own in place of botocore's
                    self._client.upload_fileobj(file, self.name, self._prefix + name)

    def put_new(self, name: str, content: bytes) -> bool:
        """Store a file where there is none of its name; whether that was so. Not every server promises that.

        Raises:
            LakeAway, HomeUnusable, StoreError: as `put`.
        """
        with self._errors():
            try:
                self._client.put_object(Bucket=self.name, Key=self._prefix + name, Body=content, IfNoneMatch="*")
            except self._client.exceptions.ClientError as error:
                if _code(error) in {"PreconditionFailed", "412"}:
                    return False
                raise
        return True

    def get_into(self, name: str, file: Written) -> bool:
        """Write a file's bytes, in order; False when there is none.

        Raises:
            LakeAway, HomeUnusable, StoreError: it cannot be read.
            OSError: the target cannot be written.
        """
        with self._errors():
            try:
                body = self._client.get_object(Bucket=self.name, Key=self._prefix + name)["Body"]
                for chunk in body.iter_chunks(1 << 20):
                    file.write(chunk)
            except self._client.exceptions.ClientError as error:
                if _code(error) in _ABSENT:
                    return False
                raise
        return True

    def look(self, name: str) -> Stored | None:
        """Size and time of a file; None when there is none.

        Raises:
            LakeAway, HomeUnusable, StoreError: it cannot be asked.
        """
        with self._errors():
            try:
                found = self._client.head_object(Bucket=self.name, Key=self._prefix + name)
            except self._client.exceptions.ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
        return Stored(found["ContentLength"], found["LastModified"])

    def listed(self, below: str = "") -> Iterator[tuple[str, Stored]]:
        """All files whose names begin with a text, in order of their names; memory stays bounded.

        Raises:
            LakeAway, HomeUnusable, StoreError: they cannot be listed.
        """
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=self._prefix + below
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix), Stored(item["Size"], item["LastModified"])

    def copy(self, name: str, target: str) -> None:
        """Give a file a second name.

        Raises:
            LakeAway, HomeUnusable, StoreError: it has none.
        """
        with self._errors():
            source = {"Bucket": self.name, "Key": self._prefix + name}
            self._client.copy(source, self.name, self._prefix + target)

    def remove(self, names: list[str]) -> None:
        """Remove files; those that are not there are no error.

        Raises:
            LakeAway, HomeUnusable, StoreError: some may be gone.
        """
        with self._errors():
            for start in range(0, len(names), _AT_ONCE):
                some = [{"Key": self._prefix + name} for name in names[start : start + _AT_ONCE]]
                done = self._client.delete_objects(Bucket=self.name, Delete={"Objects": some, "Quiet": True})
                for failed in done.get("Errors", ()):
                    raise StoreError(f"{self.address} does not remove {failed.get('Key')}: {failed.get('Code')}")

    def keys(self) -> Keys:
        """The credentials as they are now, for DuckDB's own client.

        Raises:
            HomeUnusable: there are none.
        """
        found = self._session.get_credentials()
        if found is None:
            raise HomeUnusable(
                f"there are no credentials for {self.address}",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile as for AWS's own tools",
            )
        frozen = found.get_frozen_credentials()
        return Keys(key_id=frozen.access_key, secret=frozen.secret_key, token=frozen.token, region=self._region)

    @property
    def _region(self) -> str:
        return self._place.s3_region or str(self._session.region_name or "us-east-1")

    @cached_property
    def _session(self) -> Any:
        try:
            import boto3
            import botocore.session
        except ImportError as error:
            raise StoreError("a shared lake needs the extra `cluster`", hint=NO_CLUSTER_HINT) from error
        found = botocore.session.get_session()
        found.register_component("data_loader", _descriptions())
        return boto3.session.Session(botocore_session=found)

    @property
    def _client(self) -> Any:
        with self._connecting:  # a session is for one thread at a time; clients that it made are for all
            if self._connected is None or self._connected[0] != os.getpid():  # connections are not for forked processes
                self._connected = os.getpid(), self._connect()
            return self._connected[1]

    def _connect(self) -> Any:
        self.keys()
        from botocore.config import Config

        return self._session.client(
            "s3",
            endpoint_url=self._place.s3_endpoint or None,
            region_name=self._region,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=SILENT_S,
                retries={"mode": "standard", "total_max_attempts": TRIES},
                max_pool_connections=32,
                s3={
                    "addressing_style": "path" if self._place.s3_endpoint else "auto",
                    "payload_signing_enabled": True,
                },
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError

        try:
            with reached(f"{self._place.s3_endpoint} {self.name}"), _answers(self.address):
                yield
        except ClientError as error:
            code = _code(error)
            if code in _REFUSED:
                raise HomeUnusable(
                    f"{self.address} refuses: {code}", hint="check the credentials and what they may do there"
                ) from error
            if code == "RequestTimeTooSkewed":
                hint = "set the clock of this machine"
                raise HomeUnusable(f"{self.address} refuses requests of another time", hint=hint) from error
            if code == "NoSuchBucket":
                raise HomeUnusable(
                    f"there is no bucket {self.name}", hint="make it first, or correct store.data"
                ) from error
            if str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")).startswith("5"):
                raise LakeAway(f"{self.address} does not answer well: {code}") from error
            raise StoreError(f"{self.address} failed: {code}") from error
        except (IncompleteReadError, ResponseStreamingError) as error:  # of one file: others are asked for
            raise LakeAway(f"{self.address} broke an answer off: {' '.join(str(error).split())}") from error
        except BotoCoreError as error:
            raise StoreError(f"{self.address} failed: {' '.join(str(error).split())}") from error


@cache
def _descriptions() -> Any:
    """AWS's descriptions of S3, which each session would read anew: most of what a client costs."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")


@contextlib.contextmanager
def _answers(address: str) -> Iterator[None]:
    """Raise LakeAway where a bucket does not answer."""
    from botocore.exceptions import ConnectionError as NotReached
    from botocore.exceptions import HTTPClientError, ResponseStreamingError

    try:
        yield
    except ResponseStreamingError:
        raise
    except (NotReached, HTTPClientError) as error:
        raise LakeAway(f"{address} does not answer: {' '.join(str(error).split())}") from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
