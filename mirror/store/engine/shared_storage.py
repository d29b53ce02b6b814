"""A lake that a group shares, as the engine that reads or writes it sees that.

writer.lock of the home, then the lease     crash: PostgreSQL frees its lock, and another waits out the grace
rows written as Parquet files               each is put whole and lasts, or is not there
COMMIT in the catalog (PostgreSQL)          crash before: the old snapshot; after: the new one, whole; a process
                                            without the lease: refused by the fence
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from mirror.cluster.bucket import SILENT_S, TRIES, Bucket, Keys
from mirror.cluster.lease import Lease, new_home_id
from mirror.cluster.ownership import own
from mirror.cluster.postgres import NAME, connection_text, not_reached, reaching
from mirror.cluster.schema import LAKE_SCHEMA
from mirror.durable import make_folder, write_replace
from mirror.layout import Home
from mirror.store.engine.connection import LAKE, Engine, extension_file, nothing_yet, sql_text
from mirror.store.engine.storage import DataFile
from mirror.store_settings import StoreSettings

EXTENSIONS = ("duckdb_extension_postgres_scanner", "duckdb_extension_httpfs")
_METRICS = f"{LAKE_SCHEMA}/metrics"
_FROM_ENVIRONMENT = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token")  # DuckDB takes them from there
_STARTED = Path("/proc/sys/kernel/random/boot_id")  # Linux: another one after each start
_UNREACHED = re.compile(r'Unable to connect to Postgres at ".*?": (.*)', re.DOTALL)  # what is between may be secret
_KEYS_S = 60.0  # between two looks whether credentials were renewed


class SharedStorage:
    """The lake that a home shares.

    Args:
        home: whose configuration names it; its folder holds what this machine has alone.
        place: where the lake stands.
    """

    def __init__(self, home: Home, place: StoreSettings) -> None:
        self._home, self._place = home, place
        self.bucket = Bucket(place.data, place)
        self.lease: Lease | None = None
        self._keys: Keys | None = None
        self._keys_until = 0.0
        self._engine: Engine | None = None

    @property
    def is_small(self) -> bool:
        """Never: a file that need not be read is a request less."""
        return False

    @property
    def is_fresh(self) -> bool:
        """Whether the credentials are those that DuckDB was told; looked up now and then."""
        if time.monotonic() < self._keys_until:
            return True
        self._keys_until = time.monotonic() + _KEYS_S
        return self.bucket.keys() == self._keys

    @property
    def stamp(self) -> object:
        """Not known without asking."""
        return None

    def attach_to_read(self, engine: Engine, name: str = LAKE) -> None:
        """As `Storage.attach_to_read`."""
        try:
            self._attach(engine, connection_text(self._place), read_only=True, name=name)
        except duckdb.Error as error:
            if "creating a new ducklake is explicitly disabled" in str(error).lower():
                raise nothing_yet(self._home) from error
            raise

    def open_to_write(self, closing: contextlib.ExitStack) -> None:
        """As `Storage.open_to_write`."""
        for left in self.metrics_folder.glob("*.parquet"):  # by a process that was killed
            left.unlink(missing_ok=True)
        self.lease = Lease(self._place, home=str(self._home.root), home_id=self._home_id())
        self.lease.acquire()
        closing.callback(self.lease.release)
        own(self.bucket, self.lease.lake_id)
        own(Bucket(self._place.objects_address, self._place), self.lease.lake_id)

    def attach_to_write(self, engine: Engine, *, inlined_rows: int = 0) -> None:
        """As `Storage.attach_to_write`."""
        assert self.lease is not None
        option = self.lease.option
        self._attach(engine, connection_text(self._place, option), read_only=False, inlined_rows=inlined_rows)
        self._engine = engine

    def attached(self) -> None:
        """Let DuckLake make its tables, which it does when it is asked first; then fence them."""
        assert self.lease is not None
        assert self._engine is not None
        self._engine.execute(f"FROM {LAKE}.snapshots()").fetchone()
        self.lease.fence()

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """As `Storage.committing`. What is written is tried twice by DuckDB itself."""
        self.may_write()
        if self._engine is not None and time.monotonic() >= self._keys_until:
            self._use_keys(self._engine)
        if self._engine is not None:
            _try(self._engine, 1)
        try:
            yield
        finally:
            if self._engine is not None:
                with contextlib.suppress(duckdb.Error):  # one that failed for good
                    _try(self._engine, TRIES)

    def flush(self) -> None:
        """A file that the bucket acknowledged lasts."""
        self.may_write()

    def committed(self) -> None:
        """Nothing is remembered of files."""

    def may_write(self) -> None:
        """As `Storage.may_write`."""
        if self.lease is not None:
            self.lease.check()

    @property
    def option(self) -> str:
        """As `Storage.option`."""
        return "" if self.lease is None else self.lease.option

    @property
    def metrics_folder(self) -> Path:
        """Apart from those of a lake that may lie in the home, from before it shared one."""
        return self._home.partial / "metrics"

    def place_metrics(self, file: Path) -> str:
        """As `Storage.place_metrics`; the local file goes."""
        name = f"{_METRICS}/{file.name}"
        self.bucket.put(name, file)
        file.unlink()
        return self.address(name)

    def remove_metrics(self, name: str) -> None:
        """As `Storage.remove_metrics`."""
        self.bucket.remove([f"{_METRICS}/{name}"])

    def listed(self) -> dict[str, DataFile]:
        """As `Storage.listed`."""
        return {name: DataFile(found.size, found.written_at) for name, found in self.bucket.listed(f"{LAKE_SCHEMA}/")}

    def address(self, name: str) -> str:
        """As `Storage.address`."""
        return f"{self.bucket.address}{name}"

    def remove(self, names: Iterable[str]) -> None:
        """As `Storage.remove`."""
        self.bucket.remove(list(names))

    def waits_for_readers(self, engine: Engine) -> bool:
        """Whether a reader of ours, on any machine, began its transaction before the last commit.

        PostgreSQL knows them by the name of their connections. Plain DuckDB is not known; `files_days` spares it.
        """
        query = (
            f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{NAME} %'"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
            " AND (xact_start < (SELECT max(snapshot_time) FROM main.ducklake_snapshot)"
            # Of another role's only its locks are told: whether it is within a transaction, not since when.
            " OR (state IS NULL AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'relation')))"
        )
        row = engine.execute(f"FROM postgres_query('__ducklake_metadata_{LAKE}', {sql_text(query)})").fetchone()
        return row is None or int(row[0]) > 0

    def _attach(
        self, engine: Engine, catalog: str, *, read_only: bool, inlined_rows: int = 0, name: str = LAKE
    ) -> None:
        for package in EXTENSIONS:
            engine.execute(f"LOAD {sql_text(str(extension_file(package)))}")
        engine.execute(f"SET GLOBAL http_timeout = {SILENT_S:.0f}")  # of silence
        _try(engine, TRIES)
        for setting in _FROM_ENVIRONMENT:  # where whoever asks in SQL can read them
            engine.execute(f"SET GLOBAL {setting} = ''")
        self._keys = None
        self._use_keys(engine)
        options = [
            f"DATA_PATH {sql_text(self.bucket.address)}",
            "OVERRIDE_DATA_PATH true",
            f"METADATA_SCHEMA {sql_text(LAKE_SCHEMA)}",
            f"DATA_INLINING_ROW_LIMIT {inlined_rows}",
            *(["READ_ONLY"] if read_only else []),
        ]
        with reaching(self._place, engine):
            try:
                engine.execute(f"ATTACH {sql_text(f'ducklake:postgres:{catalog}')} AS {name} ({', '.join(options)})")
            except duckdb.Error as error:
                if (said := _UNREACHED.search(str(error))) is None:
                    raise
                raise not_reached(self._place, " ".join(said[1].split())) from error

    def _use_keys(self, engine: Engine) -> None:
        """Tell DuckDB the credentials, anew once they were renewed."""
        self._keys_until = time.monotonic() + _KEYS_S
        keys = self.bucket.keys()
        if keys == self._keys:
            return
        parts = [
            "TYPE s3",
            f"KEY_ID {sql_text(keys.key_id)}",
            f"SECRET {sql_text(keys.secret)}",
            f"REGION {sql_text(keys.region)}",
            f"SCOPE {sql_text(self.bucket.address)}",
        ]
        if keys.token:
            parts.append(f"SESSION_TOKEN {sql_text(keys.token)}")
        if self._place.s3_endpoint:
            url = urlsplit(self._place.s3_endpoint)
            parts += [f"ENDPOINT {sql_text(url.netloc)}", "URL_STYLE 'path'", f"USE_SSL {url.scheme == 'https'}"]
        engine.execute(f"CREATE OR REPLACE SECRET wandb_mirror ({', '.join(parts)})")
        self._keys = keys

    def _home_id(self) -> str:
        """Of this very folder on this machine since it was started: a copy of it, or of the machine, has another."""
        try:
            name = self._home.id.read_text().strip()
        except FileNotFoundError:
            name = new_home_id()
            make_folder(self._home.root)
            write_replace(self._home.id, name.encode())
        folder = self._home.root.stat()
        started = ""
        with contextlib.suppress(OSError):
            started = _STARTED.read_text().strip()
        return f"{name} {started} {folder.st_dev} {folder.st_ino}"


def _try(engine: Engine, times: int) -> None:
    """Have every request to the bucket tried so often; by its cursors, too."""
    engine.execute(f"SET GLOBAL http_retries = {times - 1}")
