"""The two servers that hold a shared lake, of this process's own: PostgreSQL, and rclone as an S3 server.

Data folders lie in memory and nothing is flushed: what a power cut does to PostgreSQL is PostgreSQL's business.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import psycopg
import pytest

from mirror.api.transport.deployment import Deployment
from mirror.layout import Home
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import APP_URL, DEPLOYMENT

KEY_ID, SECRET = "mirror", "mirror-secret"
BUCKET = "group"
NEEDED = "WANDB_MIRROR_TESTS_NEED"  # names what must not be skipped: CI sets it
_PATIENCE_S = 60.0
_numbers = count()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


def need(name: str, found: object, *, how: str = "") -> None:
    """Skip with a name where a program is not installed; fail where that may not be."""
    if found:
        return
    if name in os.environ.get(NEEDED, ""):
        pytest.fail(f"{name} is not installed")
    pytest.skip(f"needs {name}: {how or f'apt-get install {name}'}")


def postgres_folder() -> Path | None:
    """Where PostgreSQL's programs are."""
    if (found := shutil.which("pg_ctl")) is not None:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Both, running."""

    port: int  # of PostgreSQL
    s3_port: int
    buckets: Path  # a folder for each; rclone remembers what it saw there
    process: subprocess.Popen[bytes]  # PostgreSQL

    @property
    def endpoint(self) -> str:
        """Of the S3 server."""
        return f"http://127.0.0.1:{self.s3_port}"

    def place(self, *, has_lake: bool = False) -> Place:
        """A new database, and a new prefix of the bucket; with an empty lake of nobody's, or with nothing."""
        name = f"lake{next(_numbers)}"
        self.copy(self._with_lake if has_lake else "template1", name)
        return Place(servers=self, name=name)

    def copy(self, source: str, name: str) -> None:
        """Make a database like another one, to which nobody is connected then."""
        with self.connected("postgres") as database:
            database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source])
            database.execute(f"CREATE DATABASE {name} TEMPLATE {source}")

    @cached_property
    def _with_lake(self) -> str:
        """A database in which a lake has its tables and no row: to make them costs as much as ten small commits."""
        place = self.place()
        folder = Path(tempfile.mkdtemp(dir=self.buckets.parent))
        with Lake(place.home(folder), deployment="nobody", app_url="nowhere"):
            pass
        self.copy(place.name, "with_lake")  # to which nobody is connected, nor will be
        return "with_lake"

    @contextlib.contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection]:
        """A connection for the test itself."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="mirror", dbname=database, autocommit=True
        ) as connection:
            yield connection


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one shared lake stands."""

    servers: Servers
    name: str  # of the database and of the prefix

    @property
    def catalog(self) -> str:
        """The setting."""
        return f"postgresql://mirror@127.0.0.1:{self.servers.port}/{self.name}"

    @property
    def data(self) -> str:
        """The setting."""
        return f"s3://{BUCKET}/{self.name}/lake"

    @property
    def folder(self) -> Path:
        """The files of the bucket below `data`, as the S3 server keeps them."""
        return self.servers.buckets / BUCKET / self.name / "lake"

    def settings(self, **more: object) -> str:
        """The lines of `[store]`."""
        place = {"catalog": self.catalog, "data": self.data, "s3_endpoint": self.servers.endpoint}
        lines = {"memory_limit_mb": 512, "threads": 1, **place, **more}
        said = "\n".join(f"{key} = {value if isinstance(value, int) else repr(value)}" for key, value in lines.items())
        return f"[store]\n{said}\n"

    def home(self, folder: Path, before: str = "", **more: object) -> Home:
        """A home that shares the lake."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mirror.toml").write_text(f"{before}\n{self.settings(**more)}")
        return Home(folder)

    def connected(self) -> contextlib.AbstractContextManager[psycopg.Connection]:
        """A connection for the test itself."""
        return self.servers.connected(self.name)

    def belong_to(self, deployment: Deployment) -> None:
        """Let the empty lake that is there be one of a server, and like no other."""
        with self.connected() as database:
            database.execute("UPDATE wandb_mirror.lake SET id = gen_random_uuid()::text")
            ((rows,),) = database.execute(
                "SELECT i.table_name FROM main.ducklake_inlined_data_tables i"
                " JOIN main.ducklake_table t USING (table_id) WHERE t.table_name = 'meta'"
            ).fetchall()
            for name, value in ((DEPLOYMENT, deployment.id), (APP_URL, deployment.app_url)):
                done = database.execute(f"UPDATE main.{rows} SET value = %s WHERE key = %s", [value, name])
                assert done.rowcount == 1


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """Start both; end both."""
    programs = postgres_folder()
    need("postgresql", programs)
    assert programs is not None
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="wandb-mirror-cluster-", dir=memory if memory.is_dir() else None))
    folder.chmod(0o755)
    # PostgreSQL refuses to be root.
    user = "postgres" if getpass.getuser() == "root" or os.geteuid() == 0 else None
    with contextlib.ExitStack() as closing:
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        data, port, s3_port = folder / "postgres", free_port(), free_port()
        data.mkdir(0o700)
        if user is not None:
            shutil.chown(data, user)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": user, "cwd": "/"}
        made = [programs / "initdb", "-D", data, "-U", "mirror", "--auth=trust", "-N", "--no-locale", "-E", "UTF8"]
        subprocess.run(made, check=True, **quiet)  # type: ignore[call-overload]
        settings = {
            "port": port, "unix_socket_directories": "", "listen_addresses": "127.0.0.1", "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "max_connections": 200, "shared_buffers": "16MB",
            "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": 0, "jit": "off",
        }  # fmt: skip
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        database = subprocess.Popen([programs / "postgres", "-D", data, *given], **quiet)  # type: ignore[call-overload]
        closing.callback(_end, database, signal.SIGQUIT)
        buckets = folder / "buckets"
        (buckets / BUCKET).mkdir(parents=True)
        rclone = Path(sys.executable).parent / "rclone"
        need("rclone", rclone.exists())
        bucket = subprocess.Popen(
            [rclone, "serve", "s3", "--auth-key", f"{KEY_ID},{SECRET}", "--addr", f"127.0.0.1:{s3_port}",
             "--config", "", "--no-checksum", str(buckets)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        closing.callback(_end, bucket, signal.SIGTERM)
        found = Servers(port=port, s3_port=s3_port, buckets=buckets, process=database)
        _wait(lambda: found.connected("postgres").__enter__().close())
        _wait(lambda: socket.create_connection(("127.0.0.1", s3_port), 1).close())
        yield found


def _wait(try_it: object) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            try_it()  # type: ignore[operator]
        except (OSError, psycopg.OperationalError):
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait(30)
