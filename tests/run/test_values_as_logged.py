"""The same rows in every form that W&B's writers give them are the same for `Run`, SQL and the page."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ExportPart, RunRecord
from mirror.store.sql.statements import connect
from tests.contract.conftest import ENTITY
from tests.run.history_world import Histories, histories_of, offline, once
from tests.store.test_values import LOGGED, SUMMARY, expected_metrics, read_metrics, tabled
from tests.store.written import Row, Style, comparable, export_bytes
from tests.truth import strict

PROJECT = "values-as-logged"
PIECES: dict[str, list[tuple[Style, slice]]] = {
    "struct": [("struct", slice(0, 8))],
    "dotted": [("dotted", slice(0, 8))],
    "bytes": [("json", slice(0, 8))],
    "mixed": [("json", slice(4, 8)), ("dotted", slice(0, 2)), ("struct", slice(2, 4))],
    "half": [("dotted", slice(0, 5))],
    "live": [],
}


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def world(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """A run for each form; tests only read."""

    def make() -> Histories:
        for name, pieces in PIECES.items():
            run = server.state.add_run(
                ENTITY, PROJECT, name, history=LOGGED, summary=SUMMARY, exported=False, state="finished"
            )
            _export(server, run, [(style, LOGGED[piece]) for style, piece in pieces])
        return histories_of(server, Home(tmp_path_factory.mktemp("values") / "home"), PROJECT)

    return once(server, PROJECT, make)


def _export(server: Sandbox, run: RunRecord, parts: Sequence[tuple[Style, Sequence[Row]]]) -> None:
    with server.state.lock:
        for style, rows in parts:
            key = f"exports/{run.number}/{server.state.number()}.parquet"
            server.state.bucket.put(key, export_bytes(rows, style))
            run.parts.append(ExportPart(object_key=key, rows=len(rows)))
            run.exported |= {row["_step"] for row in rows}


@pytest.mark.parametrize("name", PIECES)
def test_a_run_gives_the_rows_that_were_logged(world: Histories, name: str) -> None:
    with offline():
        run = world.run(name)
        assert comparable(list(run.scan_history())) == comparable(LOGGED)
        assert comparable(run.history(pandas=False)) == comparable(LOGGED)
        assert tabled(run.history(arrow=True)) == [comparable(strict(row)) for row in LOGGED]
        nested = [{"_step": row["_step"], "deep": row["deep"]} for row in LOGGED if "deep" in row]
        assert comparable(list(run.scan_history(keys=["deep"]))) == comparable(nested)
        dotted = [{"_step": row["_step"], "deep.n": row["deep"]["n"]} for row in nested if "n" in row["deep"]]
        assert comparable(run.history(keys=["deep.n"], pandas=False)) == comparable(dotted)


@pytest.mark.parametrize("name", PIECES)
def test_sql_and_the_page_have_the_keys_of_wandb(world: Histories, name: str) -> None:
    with connect(world.mirror.home) as engine:
        rows = engine.execute("SELECT key, step, value, text FROM metrics WHERE run_id = ?", [name]).fetchall()
    assert read_metrics(rows) == expected_metrics(LOGGED)
    page = world.run(name).to_html(local=True)
    assert "deep.a.b" in page
    assert "ключ/é.☃" in html.unescape(page)
