"""Connections to the PostgreSQL that holds a shared lake's catalog, and what its errors mean.

psycopg holds the lease and the outbox; DuckDB's own client reads and writes DuckLake's tables. Both are libpq, which
finds the password, the certificates and the service file as `psql` does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.cluster.remembered import reached
from mirror.cluster.silence import watch
from mirror.errors import ConfigError, HomeUnusable, LakeAway, StoreError
from mirror.store_settings import StoreSettings

if TYPE_CHECKING:
    import psycopg

NO_CLUSTER_HINT = 'pip install "wandb-mirror[cluster]"'
NAME = "wandb-mirror"  # of our connections, as pg_stat_activity shows them
# A peer that went away without a word is noticed within 30 s, by both sides: the server takes these for its own end.
# One that stays and says nothing is noticed by `silence`.
_ALIVE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_SERVER_SIDE = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"


def connection_text(place: StoreSettings, *options: str) -> str:
    """What libpq is given: the catalog's address with what notices a peer that is gone.

    Args:
        place: where the lake stands.
        options: of the server for this connection, as `-c NAME=VALUE`.

    Raises:
        ConfigError: the address is none.
        StoreError: the extra is not installed.
    """
    conninfo = _psycopg().conninfo
    try:
        said = conninfo.conninfo_to_dict(place.catalog)
    except _psycopg().ProgrammingError as error:
        raise ConfigError(
            f"store.catalog cannot be read: {str(error).strip()}",
            hint='it is written as "postgresql://USER@HOST/DATABASE"',
        ) from error
    if "passfile" not in said and "PGPASSFILE" not in os.environ and (passfile := _credential()) is not None:
        said["passfile"] = passfile
    asked = " ".join(filter(None, [str(said.get("options") or ""), _SERVER_SIDE, *options]))
    return str(
        conninfo.make_conninfo("", **{**_ALIVE, **said, "application_name": name_of_connections(), "options": asked})
    )


def _credential() -> str | None:
    """A password file that a service manager hands over; None where there is none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, "pgpass") if folder else None
    return None if path is None or not path.exists() else str(path)


def name_of_connections() -> str:
    """Of this process, as PostgreSQL shows them: `wandb-mirror HOST PID`."""
    return f"{NAME} {socket.gethostname()[:40]} {os.getpid()}"


@contextlib.contextmanager
def connected(place: StoreSettings, *options: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in which every statement is a transaction of its own, unless one is begun.

    Raises:
        LakeAway: PostgreSQL does not answer.
        StoreError: it refuses.
    """
    with postgres_errors(place):
        connection = connect(place, *options)
        try:
            yield connection
        finally:
            connection.close()


def connect(place: StoreSettings, *options: str) -> psycopg.Connection[Any]:
    """The same, to be closed by the caller."""
    with reaching(place), postgres_errors(place):
        made: psycopg.Connection[Any] = _psycopg().connect(connection_text(place, *options), autocommit=True)
    return made


@contextlib.contextmanager
def reaching(place: StoreSettings, user: object = None) -> Iterator[None]:
    """Around a try to connect; the connections are watched (`silence`).

    Args:
        place: where the lake stands.
        user: what may connect later, too, while it exists.

    Raises:
        LakeAway: it failed, or another one did a moment ago.
    """
    with reached(place.catalog):
        watch(connection_text(place), user)
        yield


@contextlib.contextmanager
def postgres_errors(place: StoreSettings) -> Iterator[None]:
    """Let no error of psycopg's leave without a meaning.

    Raises:
        LakeAway: PostgreSQL does not answer, or ended the connection.
        HomeUnusable: it refuses who asks, or what is asked.
        StoreError: anything else.
    """
    psycopg = _psycopg()
    try:
        yield
    except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
        raise not_reached(place, _one_line(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise HomeUnusable(
            f"PostgreSQL of {where(place)} refuses: {_one_line(error)}",
            hint="whoever writes a shared lake owns its schemas; who reads needs USAGE and SELECT",
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL of {where(place)} failed: {_one_line(error)}") from error


def not_reached(place: StoreSettings, text: str) -> LakeAway | HomeUnusable:
    """What it means that there is no connection, or none any more.

    Args:
        place: where the lake stands.
        text: what libpq says.
    """
    if "authentication" in text or "no password" in text or "does not exist" in text:
        return HomeUnusable(
            f"PostgreSQL does not let this user in: {text}",
            hint="check store.catalog, and that ~/.pgpass or PGPASSFILE has the password",
        )
    return LakeAway(f"PostgreSQL of {where(place)} does not answer: {text}")


def where(place: StoreSettings) -> str:
    """The catalog's address for a person: host and database, nothing else."""
    said = _psycopg().conninfo.conninfo_to_dict(place.catalog)
    named = said.get("service") or f"{said.get('host') or 'localhost'}/{said.get('dbname') or said.get('user') or ''}"
    return str(named)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _psycopg() -> Any:
    try:
        import psycopg
        import psycopg.conninfo
    except ImportError as error:
        raise StoreError("a shared lake needs the extra `cluster`", hint=NO_CLUSTER_HINT) from error
    return psycopg
