"""A DuckDB process-local engine with the lake's extensions, loaded from their wheels: no network, ever."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import weakref
from collections.abc import Iterator, Set
from pathlib import Path

import duckdb

from mirror.errors import HomeBusy, HomeUnusable, LakeAway, LakeTooNew, LeaseLost, NotMirrored, StoreError
from mirror.layout import Home
from mirror.store.engine.spill import spill_folder
from mirror.store_settings import StoreSettings

EXTENSION_PACKAGES = ("duckdb_extension_sqlite_scanner", "duckdb_extension_ducklake")
Engine = duckdb.DuckDBPyConnection
LAKE = "lake"  # the name under which the lake is attached
CATALOG_DATABASE = f"__ducklake_metadata_{LAKE}"  # DuckLake's own tables, which it shows beside the lake
CATALOG = f"{CATALOG_DATABASE}.main"  # their schema
# Up to here files are read whole in less time than it takes to plan which of them are needed.
SMALL_FILES = 64
SMALL_BYTES = 1_000_000


def extension_file(package: str) -> Path:
    """The `.duckdb_extension` file inside an installed wheel.

    Raises:
        StoreError: the package is missing, or was built for another DuckDB.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StoreError(
            f"the DuckDB extension package {package} is not installed",
            hint=f"pip install {package.replace('_', '-')}=={duckdb.__version__}",
        )
    built_for = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    found = sorted(built_for.glob("*.duckdb_extension"))
    if not found:
        raise StoreError(
            f"{package} holds no extension for DuckDB {duckdb.__version__}",
            hint="reinstall wandb-mirror: duckdb and its extension wheels are pinned to one version",
        )
    return found[0]


def new_engine(
    settings: StoreSettings | None = None, home: Home | None = None, *, with_one_thread: bool = False
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the extensions loaded and every download forbidden.

    Args:
        settings: memory and threads; without them DuckDB takes what the machine has.
        home: whose data it is about.
        with_one_thread: until `use_threads` gives it others.
    """
    spill, is_made = spill_folder(home)
    limits: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # The extensions are files of installed wheels, trusted like DuckDB's own; checking their signatures would cost
        # 0.2 s at each opening (ADR 9). Nothing is ever downloaded: see the two lines above.
        "allow_unsigned_extensions": True,
        "temp_directory": str(spill),
    }
    if settings is not None:
        limits["memory_limit"] = f"{settings.memory_limit_mb}MB"
        limits["preserve_insertion_order"] = False
        if settings.threads is not None:
            limits["threads"] = settings.threads
    if with_one_thread:
        limits["threads"] = 1
    engine = duckdb.connect(config=limits)
    if is_made:
        weakref.finalize(engine, shutil.rmtree, spill, ignore_errors=True)
    for package in EXTENSION_PACKAGES:
        engine.execute(f"LOAD {sql_text(str(extension_file(package)))}")
    return engine


def use_threads(engine: Engine, settings: StoreSettings | None, *, is_small: bool = False) -> None:
    """Give an engine the threads that the settings say; without, as many as there are cores, or one for little.

    Small questions are answered no sooner by several threads, which cost a quarter more on two cores.
    """
    count = settings.threads if settings is not None and settings.threads is not None else 1 if is_small else None
    engine.execute("RESET GLOBAL threads" if count is None else f"SET GLOBAL threads = {count}")


def is_small_lake(files: Set[str]) -> bool:
    """Whether a lake is read in less time than it takes to plan which of its files are needed.

    Args:
        files: paths of its data files.
    """
    if len(files) > SMALL_FILES:
        return False
    size = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # removed by maintenance
            size += Path(path).stat().st_size
    return size <= SMALL_BYTES


def plan_lightly(engine: Engine, *, is_small: bool = False) -> None:
    """Have questions planned without statistics, for the lake's own, which are small and say how to join.

    DuckLake reads the statistics of an empty table anew for each column and each look: a question about one costs 0.1 s
    of planning otherwise, and a lake has such tables as a rule.

    Args:
        is_small: that of a lake which is read faster than it is planned for: every condition that DuckLake is given
            costs it 2 ms, and it asks its catalog several small questions for each one, all of which are optimised.
    """
    without = _all_but(engine, _WORTH_IT) if is_small else ("join_order", "statistics_propagation")
    engine.execute(f"SET GLOBAL disabled_optimizers = '{','.join(without)}'")


@contextlib.contextmanager
def planned_lightly(engine: Engine) -> Iterator[None]:
    """What is asked inside is planned as for a small lake; behind it an engine plans as DuckDB does."""
    plan_lightly(engine, is_small=True)
    yield
    engine.execute("RESET GLOBAL disabled_optimizers")


# Of a small lake: what reads less, what plans a nested question at all well, and what extensions bring.
_WORTH_IT = frozenset({"unused_columns", "deliminator", "unnest_rewriter", "in_clause", "extension"})
_optimizers: list[str] = []  # of this DuckDB


def _all_but(engine: Engine, kept: Set[str]) -> list[str]:
    """The optimizers of DuckDB that are not kept."""
    if not _optimizers:
        _optimizers.extend(name for (name,) in engine.execute("SELECT name FROM duckdb_optimizers()").fetchall())
    return [name for name in _optimizers if name not in kept]


def attach_lake(
    engine: Engine, catalog: Path, data: Path, *, read_only: bool, inlined_rows: int = 0, name: str = LAKE
) -> None:
    """Attach the lake; its data folder is wherever the home is now, also when the home was moved.

    Args:
        inlined_rows: up to how many rows of a write stay in the catalog, of a table without an option of its own.
    """
    options = [
        f"DATA_PATH {sql_text(f'{data}{os.sep}')}",
        "OVERRIDE_DATA_PATH true",
        f"DATA_INLINING_ROW_LIMIT {inlined_rows}",
    ]
    if read_only:
        options.append("READ_ONLY")
    engine.execute(f"ATTACH {sql_text(f'ducklake:sqlite:{catalog}')} AS {name} ({', '.join(options)})")


@contextlib.contextmanager
def one_commit(engine: Engine) -> Iterator[None]:
    """What is asked inside is answered from one commit.

    The transaction ends whatever happens: DuckDB aborts the process where an engine is closed within one whose
    connection to PostgreSQL is gone.
    """
    engine.execute("BEGIN")
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):
            engine.execute("ROLLBACK")


def nothing_yet(home: Home) -> NotMirrored:
    """The error for a lake into which nothing was pulled."""
    return NotMirrored(
        f"nothing is mirrored in {home.root} yet",
        hint="run `wandb-mirror init --source ENTITY/PROJECT` and `wandb-mirror pull`, or name another --home",
    )


def sql_text(value: str) -> str:
    """A text as a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_name(value: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + value.replace('"', '""') + '"'


# Of a database or a bucket that does not answer.
_AWAY = (
    "unable to connect to postgres",
    "server closed the connection",
    "no connection to the server",
    "terminating connection",
    "ssl connection has been closed",
    "eof detected",
    "could not receive data from server",
    "error for http",
    "could not establish connection",
    'failed to execute query "rollback"',  # of PostgreSQL; DuckDB says no more where a commit found no connection
    "http 5",
)

# What DuckDB and SQLite say, and what it means for a person. DuckDB gives no error codes for these.
_MEANINGS: tuple[tuple[tuple[str, ...], type[StoreError], str, str], ...] = (
    (
        (
            "no space left",
            "not enough space",
            "disk is full",
            "database or disk is full",
            "file too large",
            "quota exceeded",
        ),
        HomeUnusable,
        "the disk that holds {home} is full",
        "free some space and run the same command again; the lake stays at its last commit",
    ),
    (
        ("disk i/o error", "input/output error"),
        HomeUnusable,
        "the disk that holds {home} is full or failing",
        "check its space and health and run the same command again; the lake stays at its last commit",
    ),
    (
        ("read-only file system", "readonly database", "permission denied", "attempt to write a readonly"),
        HomeUnusable,
        "{home} cannot be written",
        "check the owner and the permissions of the folder, or choose another home with --home",
    ),
    (
        ("another process has the lease",),
        LeaseLost,
        "this process has lost the lease of the shared lake",
        "",
    ),
    (
        _AWAY,
        LakeAway,
        "the database or the bucket of the lake that {home} shares does not answer",
        "",
    ),
    (
        ("database is locked", "conflicting lock", "transaction conflict"),
        HomeBusy,
        "another process is writing {home}",
        "wait until it is done; `wandb-mirror status` names it",
    ),
    (
        ("ducklake catalog version mismatch", "unsupported ducklake version", "unknown ducklake version"),
        LakeTooNew,
        "the lake in {home} has a format that this DuckDB does not read",
        "",
    ),
    (
        ("creating a new ducklake is explicitly disabled",),
        StoreError,
        "the catalog of {home} holds no lake",
        "`wandb-mirror pull` makes it; were runs mirrored here before, restore lake/catalog.sqlite from a backup first",
    ),
    (
        (f"{os.sep}lake{os.sep}data{os.sep}",),
        StoreError,
        "a data file of the lake in {home} is missing or damaged",
        "restore lake/data from a backup; the rows of the other files can still be read",
    ),
    (
        ("file is not a database", "malformed database", "disk image is malformed"),
        StoreError,
        "the catalog of {home} is damaged",
        "keep the folder as it is and restore lake/catalog.sqlite from a backup; the Parquet files are intact",
    ),
)


_QUOTING = ("no files found", "cannot open file")  # … a path that somebody typed; other errors quote the question


def is_away(error: duckdb.Error) -> bool:
    """Whether a question failed since the database or the bucket of a shared lake does not answer."""
    text = str(error).lower()
    if isinstance(error, duckdb.ProgrammingError | duckdb.DataError) or any(words in text for words in _QUOTING):
        return False
    return any(needle in text for needle in _AWAY)


@contextlib.contextmanager
def store_errors(home: Home) -> Iterator[None]:
    """Let no DuckDB, SQLite or operating-system error leave the store without a meaning.

    Raises:
        StoreError: of the class that fits what went wrong.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        text = str(error)
        lowered = text.lower()
        for needles, kind, message, hint in _MEANINGS:
            if any(needle in lowered for needle in needles):
                raise kind(message.format(home=home.root), hint=hint) from error
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        first_line = text.splitlines()[0] if text else type(error).__name__
        raise StoreError(f"the lake in {home.root} failed: {first_line}") from error
