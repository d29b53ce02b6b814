"""Fitted documents that are kept spare the next process the GraphQL library, and are never another server's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mirror.api.documents.every_document import every_document
from mirror.api.fitting import kept
from mirror.api.fitting.kept import KeptDocuments
from mirror.api.fitting.known_server import KnownServer
from mirror.records.server import ServerFacts
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

OLD = ServerFacts(lacking=("Run.historyKeys", "Run.jobType"))


def fit_all(facts: ServerFacts, path: Path) -> KnownServer:
    known = KnownServer(facts, kept=KeptDocuments(path))
    for document in every_document():
        known.fit(document)
    return known


def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    kept.fitted_to.cache_clear()
    monkeypatch.setitem(sys.modules, "mirror.api.fitting.fit", None)


def test_what_was_fitted_is_found_again_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "documents.json"
    first = fit_all(OLD, path)
    first.keep()
    assert path.stat().st_mode & 0o777 == 0o600
    without_the_library(monkeypatch)
    again = KnownServer(OLD, kept=KeptDocuments(path))
    for document in every_document():
        assert again.fit(document) == first.fit(document)
    written = path.stat().st_mtime_ns
    again.keep()
    assert path.stat().st_mtime_ns == written, "nothing new, nothing written"


def test_what_was_kept_for_other_facts_or_by_another_program_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "documents.json"
    fit_all(OLD, path).keep()
    current = fit_all(ServerFacts(), path)
    plain = fit_all(ServerFacts(), tmp_path / "none")
    for document in every_document():
        assert current.fit(document) == plain.fit(document)
    learnt = fit_all(ServerFacts(), path)
    learnt.learn(OLD)
    for document in every_document():
        assert learnt.fit(document) == KnownServer(OLD).fit(document)
    monkeypatch.setattr(kept, "_program", lambda: b"another")
    assert KeptDocuments(path).find(kept.form_of(OLD), every_document()[0]) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"fitted_to": 1}', b"\xff", b"[" * 10_000, b"x" * 5_000_000])
def test_a_file_that_is_damaged_costs_the_work_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(content)
    known = fit_all(OLD, path)
    known.keep()
    assert KeptDocuments(path).find(kept.form_of(OLD), every_document()[0]) == known.fit(every_document()[0])


def test_where_it_cannot_be_written_nothing_fails(tmp_path: Path) -> None:
    fit_all(OLD, tmp_path / "away" / "documents.json").keep()
    (tmp_path / "folder").mkdir()
    fit_all(OLD, tmp_path / "folder").keep()
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_second_pull_loads_no_library_of_graphql(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", history=[{"_step": 0, "loss": 1.0}], files={"a.txt": b"a"})
    cli = Cli(folder=tmp_path).at(sandbox).configure("team/proj")
    cli("pull", code=0)
    names = cli.using(PYTHONPROFILEIMPORTTIME="1")("pull", code=0).err
    assert "mirror.api.client" in names
    assert "graphql" not in names.replace("/graphql", "")
    sandbox.state.add_run("team", "proj", "r1", history=[{"_step": 0, "loss": 1.0}])
    cli("pull", code=0)
    assert "r1" in cli("runs", "--csv", code=0).out
