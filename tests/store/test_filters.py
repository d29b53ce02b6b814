"""Filters and orders as SQL, judged by the sandbox's own reading of W&B's filters over the same runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mirror.api.client import Client
from mirror.api.rows.times import parse_time
from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.config import Config, ServerSettings, SourceSettings
from mirror.errors import ConfigError
from mirror.layout import Home
from mirror.pull import PullRequest, pull
from mirror.sandbox import Sandbox
from mirror.sandbox.state.mongo import field_getter
from mirror.store.engine.connection import sql_name
from mirror.store.engine.lake import Lake
from mirror.store.filters.mongo import compile_filter, compile_order
from mirror.store.filters.run_fields import RUN_COLUMNS, Fragment, run_expression
from mirror.store.sql.statements import connect
from mirror.texts.values import storable
from mirror.wandb_protocol.filters import compile_filters

TEAM, PROJECT = "sandbox-team", "filters"
TEXTS = ["a", "b", "ab", "Zoë", "🦉", "", "1", "true", "a b", "line\nbreak", "nul\x00", "null", "it's"]
NUMBERS = [0, 1, -1, 2, 0.1, 1.0, 1.5, -2.5, 1e-9, 1e16, 1e300, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64, 10**30]
NUMBERS += [float(2**53), float(2**53 + 2), float(2**64), float(10**30)]
NAMES = [text for text in TEXTS if "\0" not in text]  # columns hold another character for NUL, which sorts elsewhere
LISTS: list[Any] = [[], ["a"], ["a", "b"], [1, 2], [1.5, "a", None, True], [2**53 + 1]]
OBJECTS: list[Any] = [{}, {"b": 1}, {"b": {"c": 2}}, {"b": "a"}, {"b": None, "x.y": 1.5}, {"b": [1, "a"]}]
VALUES: list[Any] = [None, True, False, *TEXTS, *NUMBERS, *LISTS, *OBJECTS]
KEYS = ["lr", "a", "a.b", 'q"k', "sl/ash", "ti~lde", "sp ace", "ünï", "it's", "$pct%", "b"]
TIMES = [f"2024-01-{day:02d}T00:00:{second:02d}" for day in (1, 2) for second in (0, 1, 30)]


def add_runs(sandbox: Sandbox, count: int = 72) -> None:
    """Runs of every kind, the same ones each time."""
    state = sandbox.state
    state.add_user("other")
    for number in range(count):
        start = TIMES[number % 6]
        seconds = number % 7
        keys = KEYS[number % 3 :: 3]
        values = [VALUES[(number * 5 + i * 11) % len(VALUES)] for i in range(len(KEYS))]
        state.add_run(
            TEAM,
            PROJECT,
            f"r{number:02d}",
            display_name=NAMES[number % len(NAMES)],
            state=["finished", "running", "crashed", "failed"][number % 4],
            config={**dict(zip(keys, values, strict=False)), "every": VALUES[number % len(VALUES)]},
            summary={**dict(zip(reversed(keys), values, strict=False)), "_runtime": float(seconds)},
            tags=[["a"], [], ["a", "b"], ["ab", "Zoë"], ["b", "b"]][number % 5],
            group=[None, "a", "b", "🦉"][number % 4],
            job_type=[None, "train", "eval"][number % 3],
            notes=[None, "", "line\nbreak", "a b"][number % 4],
            sweep=[None, "s1", "s2"][number % 3],
            user=["default", "other", None][number % 3],
            created_at=start + ["", "Z", ".000", ".500Z"][number % 4],
            heartbeat_at=start[:17] + f"{int(start[17:]) + seconds:02d}" + ["Z", ".000000", "", ".5"][number % 4],
            history=[{"_step": 0, "loss": 1.0, "val.acc": 2, "deep": {"x": 1}}] if number % 2 else [],
        )


class Mirror:
    """The runs in the sandbox, and the same runs in a lake."""

    def __init__(self, sandbox: Sandbox, engine: duckdb.DuckDBPyConnection) -> None:
        self.runs = dict(sandbox.state.project(TEAM, PROJECT).runs)
        self.engine = engine

    def ids(self, filters: Any) -> list[str]:
        """Ids of the runs that the SQL keeps."""
        found = compile_filter(filters)
        rows = self.engine.execute(f"SELECT run_id, {found.sql} FROM runs ORDER BY run_id", list(found.parameters))
        verdicts = rows.fetchall()
        assert {type(verdict) for _, verdict in verdicts} == {bool}  # never NULL, so that NOT is the opposite
        return [run_id for run_id, verdict in verdicts if verdict]

    def upstream(self, filters: Any) -> list[str]:
        """Ids of the runs that the sandbox keeps."""
        keep = compile_filters(json.dumps(filters), field_getter)
        return sorted(name for name, run in self.runs.items() if keep is None or keep(run))

    def ordered(self, order: str | None) -> list[str]:
        """Ids in order."""
        found = compile_order(order)
        query = f"SELECT run_id FROM runs ORDER BY {found.sql}"
        return [row[0] for row in self.engine.execute(query, list(found.parameters)).fetchall()]

    def values(self, field: str) -> dict[str, Any]:
        """A field's value by run id, JSON parsed."""
        found = run_expression(field)
        cursor = self.engine.execute(f"SELECT run_id, {found.sql} FROM runs", list(found.parameters))
        is_json = str(cursor.description[1][1]) == "JSON"
        return {
            run_id: json.loads(value) if is_json and value is not None else value for run_id, value in cursor.fetchall()
        }


async def _pull(sandbox: Sandbox, home: Home) -> None:
    server = ServerSettings(base_url=sandbox.url, api_key=sandbox.api_key)
    deployment = deployment_of(server.base_url)
    with Lake(home, deployment=deployment.id) as lake:
        async with Client(deployment, find_api_key(server, deployment, {}), server) as client:
            request = PullRequest(sources=(SourceSettings(path=f"{TEAM}/*"),))
            report = await pull(client, lake, Config(server=server), request)
    assert not any(project.failed or project.error for project in report.projects)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    home = Home(tmp_path_factory.mktemp("filters"))
    with Sandbox.start() as sandbox:
        add_runs(sandbox)
        anyio.run(_pull, sandbox, home)
        with connect(home) as engine:
            engine.execute("SET threads = 1")
            yield Mirror(sandbox, engine)


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as engine:
        times = ("created_at", "heartbeat_at", "updated_at")
        columns = dict.fromkeys(times, "TIMESTAMP") | {"tags": "VARCHAR[]"}
        columns |= dict.fromkeys(("config", "summary", "history_keys", "system_metrics"), "JSON")
        columns = dict.fromkeys(RUN_COLUMNS, "VARCHAR") | columns
        typed = ", ".join(f"{sql_name(name)} {kind}" for name, kind in columns.items())
        engine.execute(f"CREATE TABLE runs ({typed})")
        yield engine


def add(engine: duckdb.DuckDBPyConnection, run_id: str, **columns: Any) -> None:
    values = {"run_id": run_id, "entity": "e", "project": "p", "created_at": "2024-01-01"} | columns
    names, marks = ", ".join(map(sql_name, values)), ", ".join("?" for _ in values)
    engine.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", list(values.values()))


def keep(engine: duckdb.DuckDBPyConnection, filters: Any) -> list[str]:
    found = compile_filter(filters)
    query = f"SELECT run_id FROM runs WHERE {found.sql} ORDER BY run_id"
    return [row[0] for row in engine.execute(query, list(found.parameters)).fetchall()]


def sort(engine: duckdb.DuckDBPyConnection, order: str | None) -> list[str]:
    found = compile_order(order)
    query = f"SELECT run_id FROM runs ORDER BY {found.sql}"
    return [row[0] for row in engine.execute(query, list(found.parameters)).fetchall()]


# ---------------------------------------------------------------- the same answers as the sandbox, which reads W&B's
# filters on its own

_json_fields = st.sampled_from(
    [f"{root}.{key}" for root in ("config", "summary_metrics", "summaryMetrics") for key in [*KEYS, "a.b.c", "nope"]]
    + [f"config.{key}.value" for key in KEYS]
)
_key_fields = st.sampled_from([f"keys_info.keys.{key}" for key in ("loss", "val.acc", "deep.x", "deep", "nope")])
_text_fields = st.sampled_from(
    ["displayName", "display_name", "group", "jobType", "job_type", "name", "state", "username", "sweep", "notes"]
)
_words = st.sampled_from([*NAMES, "r07", "r30", "finished", "running", "s1", "train", "other", "sandy"])
_time_texts = st.builds(
    lambda time, zone: time + zone, st.sampled_from(TIMES), st.sampled_from(["", "Z", ".5", ".500Z"])
)
_patterns = st.sampled_from(["a", "^a", "b$", "^$", "r[0-3]", "[0-9]", "a|b", "ë", ".", "(?i)Z", "it's", "^.{3,}"])


def _tests(operands: st.SearchStrategy[Any], *, patterns: bool = True, depth: int = 1) -> st.SearchStrategy[Any]:
    """One field's condition."""
    single = st.builds(
        lambda name, operand: {name: operand}, st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), operands
    )
    several = st.builds(
        lambda name, items: {name: items}, st.sampled_from(["$in", "$nin"]), st.lists(operands, max_size=4)
    )
    exists = st.builds(lambda flag: {"$exists": flag}, st.booleans())
    kinds = [single, several, exists] + ([st.builds(lambda text: {"$regex": text}, _patterns)] if patterns else [])
    operators = st.one_of(kinds) | st.builds(lambda one, two: one | two, st.one_of(kinds), st.one_of(kinds))
    negated = operators.map(lambda inner: {"$not": inner})
    return operators | negated | operands


def _of(fields: st.SearchStrategy[str], conditions: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda field, condition: {field: condition}, fields, conditions)


_leaves = st.one_of(
    _of(_json_fields, _tests(st.sampled_from(VALUES))),
    _of(_json_fields, _tests(st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False))),
    _of(_key_fields, st.sampled_from([{"$exists": True}, {"$exists": False}, None])),
    _of(_text_fields, _tests(_words | st.none() | st.just(1))),
    _of(st.just("tags"), _tests(_words | st.none() | st.sampled_from([["a", "b"], ["b"], 1, True]))),
    _of(
        st.sampled_from(["createdAt", "created_at", "heartbeatAt", "heartbeat_at"]), _tests(_time_texts, patterns=False)
    ),
    _of(st.just("duration"), _tests(st.integers(-1, 8) | st.floats(-1, 8) | st.none() | st.just("a"))),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.builds(
        lambda name, items: {name: items}, st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3)
    )
    return lists | inner.map(lambda tree: {"$not": tree}) | st.builds(lambda one, two: one | two, inner, inner)


@settings(derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.recursive(_leaves, _nested, max_leaves=5))
@example({})
@example({"config.a.b": {"$gte": 2**53 + 1}})
def test_every_filter_keeps_the_runs_that_the_server_would_list(mirror: Mirror, filters: dict[str, Any]) -> None:
    assert mirror.ids(filters) == mirror.upstream(filters)


@pytest.mark.parametrize("name", ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
def test_every_value_compares_with_every_value_as_on_the_server(mirror: Mirror, name: str) -> None:
    between = [0.5, 1.25, -2.6, 2.0**53 + 4, 2**53 + 3, 2**64 - 1, 10**30 - 1, 1e17]
    for operand in [*VALUES, *between]:
        filters = {"config.every": {name: operand}}
        assert mirror.ids(filters) == mirror.upstream(filters), operand


def test_the_strategy_is_no_empty_promise(mirror: Mirror) -> None:
    assert len(mirror.ids({})) == 72
    for field in ("group", "tags", "config.lr", "config.a.b", 'config.q"k', "summary_metrics.sl/ash", "sweep"):
        assert 0 < len(mirror.ids({field: None})) < 72, field


def test_every_column_of_the_view_has_an_expression(mirror: Mirror) -> None:
    described = mirror.engine.execute("DESCRIBE runs").fetchall()
    assert tuple(row[0] for row in described) == RUN_COLUMNS
    for column in RUN_COLUMNS:
        assert len(mirror.values(column)) == 72


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_any_character_gives_its_exact_value(mirror: Mirror, key: str) -> None:
    held = {name: run.config.get(key, {}).get("value") for name, run in mirror.runs.items()}
    shown = mirror.values(f"config.{key}")
    assert {name: shown[name] for name, value in held.items() if value is not None} == {
        name: value for name, value in held.items() if value is not None
    }


# ---------------------------------------------------------------- promises, one by one


def test_times_compare_as_moments_in_any_spelling(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "r1", created_at="2024-01-01T12:00:00")
    add(engine, "r2", created_at="2024-01-01T12:00:00.5")
    for noon in (
        "2024-01-01T12:00:00",
        "2024-01-01 12:00:00Z",
        "2024-01-01T13:00:00+01:00",
        "2024-01-01T12:00:00.000z",
    ):
        assert keep(engine, {"createdAt": noon}) == ["r1"], noon
        assert keep(engine, {"created_at": {"$gt": noon}}) == ["r2"], noon
    assert keep(engine, {"createdAt": {"$gte": "2024-01-02"}}) == []
    assert keep(engine, {"createdAt": {"$regex": "^2024-01-01T12"}}) == ["r1", "r2"]


def test_a_run_without_a_heartbeat_is_not_before_or_after_anything(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "r1", heartbeat_at=None)
    add(engine, "r2", heartbeat_at="2024-01-01T00:01:00")
    assert keep(engine, {"heartbeatAt": {"$gte": "2000-01-01"}}) == ["r2"]
    assert keep(engine, {"heartbeatAt": {"$not": {"$gte": "2000-01-01"}}}) == ["r1"]
    assert keep(engine, {"duration": {"$gte": 60}}) == ["r2"]
    assert keep(engine, {"duration": None}) == ["r1"]


def test_numbers_are_exact_beyond_what_a_double_holds(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "int", config=f'{{"n":{2**53 + 1}}}')
    add(engine, "double", config='{"n":9007199254740992.0}')
    add(engine, "huge", config=f'{{"n":{10**37 + 1}}}')
    assert keep(engine, {"config.n": 2**53 + 1}) == ["int"]
    assert keep(engine, {"config.n": 2**53}) == ["double"]
    assert keep(engine, {"config.n": {"$gt": float(2**53)}}) == ["huge", "int"]
    assert keep(engine, {"config.n": {"$gt": 10**37}}) == ["huge"]
    assert keep(engine, {"config.n": {"$lt": 10**400}}) == ["double", "huge", "int"]
    assert keep(engine, {"config.n": {"$lt": float("-inf")}}) == []


def test_values_compare_only_with_their_own_type(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "text", config='{"v":"1"}')
    add(engine, "number", config='{"v":1}')
    add(engine, "bool", config='{"v":true}')
    add(engine, "null", config='{"v":null}')
    add(engine, "absent", config=None)
    assert keep(engine, {"config.v": 1}) == ["number"]
    assert keep(engine, {"config.v": "1"}) == ["text"]
    assert keep(engine, {"config.v": True}) == ["bool"]
    assert keep(engine, {"config.v": {"$gte": 0}}) == ["number"]
    assert keep(engine, {"config.v": None}) == ["absent", "null"]
    assert keep(engine, {"config.v": {"$exists": True}}) == ["bool", "number", "text"]
    assert keep(engine, {"config.v": {"$nin": [1, "1"]}}) == ["absent", "bool", "null"]


def test_nan_is_found_by_its_name_and_by_its_value(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "nan", summary='{"loss":"NaN"}')
    add(engine, "one", summary='{"loss":1.0}')
    assert keep(engine, {"summary_metrics.loss": "NaN"}) == ["nan"]
    assert keep(engine, {"summary_metrics.loss": float("nan")}) == ["nan"]
    assert keep(engine, {"summary_metrics.loss": {"$lt": 2}}) == ["one"]
    assert keep(engine, {"summary_metrics.loss": {"$lt": float("nan")}}) == []


def test_a_dotted_key_goes_before_the_path(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "dotted", config='{"a.b":1,"a":{"b":2}}')
    add(engine, "nested", config='{"a":{"b":2}}')
    add(engine, "value", config='{"a":{"b":{"value":3}}}')
    assert keep(engine, {"config.a.b": 1}) == ["dotted"]
    assert keep(engine, {"config.a.b": 2}) == ["nested"]
    assert keep(engine, {"config.a.b.value": {"$in": [2, 3]}}) == ["nested", "value"]
    assert keep(engine, {"config.a.value.b": {"$in": [1, 2, 3]}}) == ["dotted", "nested"], "the envelope spelled out"
    assert keep(engine, {"config.a.value.b": 1}) == []


def test_tags_match_by_element_and_null_means_none(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "none", tags=[])
    add(engine, "null", tags=None)
    add(engine, "some", tags=["best", "v2"])
    assert keep(engine, {"tags": "best"}) == ["some"]
    assert keep(engine, {"tags": {"$in": ["other", "v2"]}}) == ["some"]
    assert keep(engine, {"tags": {"$regex": "^v\\d$"}}) == ["some"]
    assert keep(engine, {"tags": ["best", "v2"]}) == ["some"]
    assert keep(engine, {"tags": None}) == keep(engine, {"tags": {"$ne": "best"}}) == ["none", "null"]
    assert keep(engine, {"tags": []}) == keep(engine, {"tags": {"$exists": False}}) == ["none", "null"]


def test_what_a_user_writes_never_becomes_sql(engine: duckdb.DuckDBPyConnection) -> None:
    evil = "x'; DROP TABLE runs; --\""
    add(engine, "r1", group=evil, config=json.dumps({evil: evil}))
    for filters in ({"group": evil}, {f"config.{evil}": evil}, {"tags": {"$nin": [evil]}}):
        assert evil not in compile_filter(filters).sql
        assert keep(engine, filters) == ["r1"]
    assert evil not in compile_order(f"+config.{evil}").sql + run_expression(f"config.{evil}").sql


def test_long_lists_and_half_characters_are_taken(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "r1")
    assert keep(engine, {"name": {"$in": [f"r{number}" for number in range(5000)]}}) == ["r1"]
    assert keep(engine, {"config.k": {"$in": [*map(str, range(5000)), 1, None]}}) == ["r1"]
    assert keep(engine, {"name": {"$ne": "half \ud83e"}, "config.\ud83e": None}) == ["r1"]


def test_a_nul_is_found_where_the_lake_spells_it(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "r1", notes=storable("a\0b"), tags=[storable("t\0")], config='{"k":"a\\u0000b"}')
    for filters in ({"notes": "a\0b"}, {"tags": {"$in": ["t\0"]}}, {"config.k": "a\0b"}, {"tags": ["t\0"]}):
        assert keep(engine, filters) == ["r1"], filters


def test_description_commit_and_sweep_are_filters_too(engine: duckdb.DuckDBPyConnection) -> None:
    add(engine, "r1", description="d", commit="abc", sweep="s")
    assert keep(engine, {"description": "d", "commit": {"$regex": "^ab"}, "sweep": "s"}) == ["r1"]


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"statee": "x"}, "statee"),
        ({"config.": 1}, "config."),
        ({"state": {"$gtt": 1}}, "$gtt"),
        ({"$xor": []}, "$xor"),
        ({"state": {"$gt": 1, "plain": 2}}, "plain"),
        ({"$and": {}}, "$and"),
        ({"state": {"$in": "x"}}, "$in"),
        ({"state": {"$regex": "(?=x)"}}, "state"),
        ({"state": {"$regex": 1}}, "state"),
        ({"state": {"$not": "x"}}, "state"),
        ({"createdAt": {"$gt": "yesterday"}}, "createdAt"),
        ({"createdAt": 1700000000}, "createdAt"),
        ([], "object"),
    ],
)
def test_a_bad_filter_is_an_error_that_names_it(filters: Any, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_filter(filters)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("compile_it", "asked", "near"),
    [
        (compile_filter, {"statee": 1}, "state"),
        (compile_filter, {"state": {"$gtt": 1}}, "$gt"),
        (compile_order, "+create_at", "created_at"),
        (run_expression, "runid", "run_id"),
    ],
)
def test_near_names_are_offered(compile_it: Callable[[Any], Fragment], asked: Any, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_it(asked)
    assert near in caught.value.hint


@pytest.mark.parametrize("wrap", [lambda tree: {"$not": tree}, lambda tree: {"$and": [tree]}])
def test_a_filter_nested_without_end_is_refused(wrap: Callable[[Any], Any]) -> None:
    filters: Any = {"state": "x"}
    for _ in range(5000):
        filters = wrap(filters)
    with pytest.raises(ConfigError, match="levels deep"):
        compile_filter(filters)


# ---------------------------------------------------------------- orders


def test_what_is_missing_ascends_before_numbers_and_those_before_texts(engine: duckdb.DuckDBPyConnection) -> None:
    values = ['"NaN"', "10", "9.5", "null", f"{2**53 + 1}", f"{2**53}", "true", '"a"', "-1", "[1]"]
    for number, value in enumerate(values):
        add(engine, f"r{number}", config=f'{{"v":{value}}}')
    add(engine, "r_", config=None)
    ascending = ["r0", "r3", "r_", "r6", "r8", "r2", "r1", "r5", "r4", "r7", "r9"]
    assert sort(engine, "+config.v") == ascending
    assert sort(engine, "-config.v.value") == ascending[::-1]


def test_ties_go_by_creation_then_by_id_the_way_of_the_order(engine: duckdb.DuckDBPyConnection) -> None:
    for run_id, day in (("b", 2), ("a", 2), ("c", 1)):
        add(engine, run_id, created_at=f"2024-01-0{day}", state="finished", display_name=run_id, tags=[])
    assert sort(engine, "+state") == sort(engine, "+tags") == ["c", "a", "b"]
    assert sort(engine, "-state") == sort(engine, "-created_at") == ["b", "a", "c"]
    assert sort(engine, None) == sort(engine, "created_at") == ["c", "a", "b"]
    assert sort(engine, "+state, -displayName") == ["c", "b", "a"]


def test_where_updated_at_is_not_shown_it_is_the_heartbeat_and_the_absent_ascend_first(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    for run_id, minute in (("a", 1), ("b", 2), ("c", None)):
        add(engine, run_id, heartbeat_at=None if minute is None else f"2024-01-01T00:0{minute}:00")
    assert sort(engine, "-updatedAt") == sort(engine, "-heartbeat_at") == ["b", "a", "c"]
    assert sort(engine, "+heartbeatAt") == ["c", "a", "b"]


@pytest.mark.parametrize("order", ["+created_at", "+name", "-name", "+heartbeat_at"])
def test_orders_agree_with_the_server(mirror: Mirror, order: str) -> None:
    texts = {name: str(getattr(run, order[1:])) for name, run in mirror.runs.items()}
    keys = texts if order[1:] == "name" else {name: parse_time(text) for name, text in texts.items()}
    shown = [keys[name] for name in mirror.ordered(order)]
    assert shown == sorted(keys.values(), reverse=order[0] == "-")


@pytest.mark.parametrize("order", ["+nope", "-", "+config.", "+created_at,name"])
def test_a_bad_order_is_an_error_that_names_it(order: str) -> None:
    with pytest.raises(ConfigError, match="order field"):
        compile_order(order)
