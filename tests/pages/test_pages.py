"""What the pages tell people to type is typed: every command, query and script of every page."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mirror.config import parse_config
from mirror.layout import Home
from mirror.run.sql import connect
from mirror.store.engine.connection import EXTENSION_PACKAGES, extension_file
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import run_sql
from mirror.store_settings import StoreSettings
from tests.offline.logs import offline_log, run_records, write_log
from tests.pages.blocks import ROOT, Block, pages
from tests.pages.prepared import BIG, Prepared
from tests.pages.shell import typed

IN_DUCKDB = "in a duckdb shell"
# Typed by tests/cluster, which has a database and a bucket.
OF_SHARED_LAKE = {f"{IN_DUCKDB}, for a shared lake", "in psql, as the writer", "on a machine of the group"}
ELSEWHERE = {
    "pyspark",
    "beside serve",
    "on the machine that asks",
}  # where a block is typed that needs what is not installed here
OF_ITS_OWN = "python3 -m venv"  # README's two commands, which `.ci/run` runs
PAGES = pages()


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_is_what_happens(page: str, held: Prepared, tmp_path: Path) -> None:
    found = [block for block in PAGES[page] if OF_ITS_OWN not in block.text and block.title not in OF_SHARED_LAKE]
    shutil.copytree(held.cli.home, tmp_path / "mirror")
    if page in NEEDS:
        NEEDS[page](tmp_path)
    of_shell = [block for block in found if block.language in ("sh", "python") and block.title not in ELSEWHERE]
    if of_shell:
        done = typed(held, of_shell, tmp_path)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    check_queries([block for block in found if block.language == "sql"], tmp_path / "mirror")
    for block in found:
        if block.language == "toml":
            parse_config(block.text, origin=block.place)
    if page in FOLLOWS:
        FOLLOWS[page](held, tmp_path / "mirror")


def edits_are_delivered(held: Prepared, _home: Path) -> None:
    first, second = (held.sandbox.state.run("my-team", "my-project", name) for name in ("run1", "run2"))
    assert ({"t", "best"} <= set(first.tags), first.notes, second.state) == (True, "see the report", "pending")
    assert "report.md" in first.files


def an_account_is_mirrored(_held: Prepared, home: Path) -> None:
    with connect(Home(home), settings=StoreSettings(threads=1)) as engine:
        entities = engine.execute("SELECT DISTINCT entity FROM runs ORDER BY entity").fetchall()
    assert entities == [("my-other-team",), ("my-team",), ("sandbox-team",)]


def answers_are_exact(_held: Prepared, home: Path) -> None:
    with (home.parent / "run1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["tokens"]) for row in rows] == [BIG + step for step in range(8)]
    assert (home.parent / "predictions.csv").read_text(encoding="utf-8") == "image,label\na.png,3\nb.png,5\n"
    assert (home.parent / "run1-files" / "notes" / "a.txt").read_bytes() == b"text"
    assert "<svg" in (home.parent / "run1.html").read_text(encoding="utf-8")


def a_run_trained_offline(folder: Path) -> None:
    write_log(offline_log(folder, "run9"), run_records("run9", 20, entity="my-team", project="my-project"))


def the_examples(folder: Path) -> None:
    shutil.copytree(ROOT / "examples", folder / "examples")


def it_is_upstream(held: Prepared, _home: Path) -> None:
    run = held.sandbox.state.run("my-team", "my-project", "run9")
    assert (run.state, len(run.history)) == ("finished", 20)


# What lies in the folder in which a page is typed.
NEEDS: dict[str, Callable[[Path], None]] = {
    "docs/guides/derived-tables.md": the_examples,
    "docs/guides/offline-runs.md": a_run_trained_offline,
}

# What is so when a page was typed, beside that nothing of it failed.
FOLLOWS: dict[str, Callable[[Prepared, Path], None]] = {
    "docs/answers.md": answers_are_exact,
    "docs/guides/edits.md": edits_are_delivered,
    "docs/guides/offline-runs.md": it_is_upstream,
    "docs/quickstart.md": an_account_is_mirrored,
}


def check_queries(queries: list[Block], home: Path) -> None:
    """Ask each as `wandb-mirror sql` does; each finds something."""
    if not queries:
        return
    place = Home(home)
    with connect(place, settings=StoreSettings(threads=1)) as engine:
        guard = SqlGuard(engine, place)
        for block in queries:
            if block.title == IN_DUCKDB:
                ask_duckdb(block, home)
            else:
                assert next(run_sql(engine, block.text, guard=guard).rows(), None), f"{block.place} finds nothing"


def ask_duckdb(block: Block, home: Path) -> None:
    """The statements in a DuckDB that knows nothing of us; its extensions come from their wheels, not from a server."""
    install, _, rest = block.text.partition("\n")
    assert re.fullmatch(r"(INSTALL \w+; )+(LOAD \w+;? ?)+", install)
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as plain:
        for package in EXTENSION_PACKAGES:
            plain.execute(f"LOAD '{extension_file(package)}'")
        for statement in rest.replace("/path/to/home", str(home)).rstrip(";\n").split(";\n"):
            rows = plain.execute(statement).fetchall()
    assert rows


def test_scripts_for_what_is_not_here_are_python() -> None:
    found = [block for page in PAGES.values() for block in page if block.title in ELSEWHERE]
    assert found
    for block in found:
        compile(block.text, block.place, "exec")


def test_every_block_has_a_language_that_is_run_or_only_shown() -> None:
    known = {"sh", "sql", "python", "toml", "text", "json"}
    for path in (ROOT / "docs").rglob("*.md"):
        page = path.relative_to(ROOT).as_posix()
        fences = re.findall(r"^```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for opened in fences[::2]:
            assert opened.partition(" ")[0] in known or page.startswith(
                ("docs/architecture", "docs/adr/", "docs/upstream")
            ), page
