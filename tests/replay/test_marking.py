"""Aliases and tags of a version: delivered once, as sets, with what others did to them, and in the mirror at once."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.records.operations import EditArtifact, LogArtifact, encode_entry, entry_of_json
from mirror.sandbox import Match, Sandbox
from mirror.sandbox.state.records import ArtifactRecord
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replaying import LOSSES, Sender

ADD = {"add_aliases": ("best", "prod"), "add_tags": ("good",)}
TAKE = {"remove_aliases": ("old",), "remove_tags": ("bad",)}
MUTATIONS = ("MirrorAddAliases", "MirrorDeleteAliases", "MirrorUpdateArtifact")


@pytest.fixture
def versions(sandbox: Sandbox, mirror: Mirror) -> list[ArtifactRecord]:
    """Two versions of a collection, mirrored."""
    return _versions(sandbox, mirror)


def _versions(sandbox: Sandbox, mirror: Mirror) -> list[ArtifactRecord]:
    sandbox.state.add_run(ENTITY, PROJECT, "maker")
    made = [
        sandbox.state.add_artifact(
            ENTITY, PROJECT, "data", files={"f": name.encode()}, aliases=[name], tags=["bad", "kept"], run="maker"
        )
        for name in ("other", "old")
    ]
    assert mirror.pull().errors == []
    return made


def edit(version: ArtifactRecord, **names: tuple[str, ...]) -> EditArtifact:
    return EditArtifact(artifact_id=version.id, name=f"{ENTITY}/{PROJECT}/data:v1", type="dataset", **names)


def upstream(sandbox: Sandbox, version: ArtifactRecord) -> tuple[set[str], set[str]]:
    collection = sandbox.state.project(ENTITY, PROJECT).collections["data"]
    return {name for name, held in collection.aliases.items() if held is version}, set(version.tags)


def held(mirror: Mirror, version: ArtifactRecord) -> tuple[set[str], set[str]]:
    (row,) = mirror.ask("SELECT aliases, tags FROM lake.artifacts WHERE artifact_id = ?", version.id)
    return set(row["aliases"]), set(row["tags"])


def test_a_change_is_delivered_once_and_the_mirror_shows_it_at_once(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, versions: list[ArtifactRecord]
) -> None:
    other, version = versions
    change = edit(version, **ADD, **TAKE)
    entry = sender.put("maker", change)
    steps = [(step.item.split(":v1 ")[1], step.action) for one in sender.foresee() for step in one.steps]
    assert steps == [
        ("alias best", "write"), ("alias prod", "write"), ("alias old", "write"), ("tag good", "write"),
        ("tag bad", "write"),
    ]  # fmt: skip
    assert sender.replay().applied == 1
    assert upstream(sandbox, version) == ({"latest", "best", "prod"}, {"kept", "good"}) == held(mirror, version)
    (receipt,) = sender.receipts()
    assert (receipt["id"], receipt["kind"], receipt["outcome"]) == (entry.id, "edit_artifact", "applied")
    assert receipt["sent"] == {
        "artifact": change.name, "add_aliases": ["best", "prod"], "remove_aliases": ["old"], "add_tags": ["good"],
        "remove_tags": ["bad"],
    }  # fmt: skip
    sent = len(sandbox.requests)
    sender.put("maker", change)
    assert [one.outcome for one in sender.foresee()] == ["already_so"]
    assert sender.replay().already_so == 1
    assert not [record for record in list(sandbox.requests)[sent:] if record.operation in MUTATIONS]
    sender.put("maker", edit(other, add_aliases=("best",)))
    sender.replay()
    assert (upstream(sandbox, other)[0], held(mirror, other)[0]) == ({"other", "best"},) * 2
    assert held(mirror, version) == ({"latest", "prod"}, {"kept", "good"}), "an alias has one version"
    before = held(mirror, version), held(mirror, other)
    assert mirror.pull().errors == []
    assert (held(mirror, version), held(mirror, other)) == before


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_lost_answer_leads_to_a_look_and_not_to_a_second_effect(
    sandbox: Sandbox, sender: Sender, versions: list[ArtifactRecord], mutation: str, how: str
) -> None:
    is_lost = how != "answered 500"
    sandbox.faults.add(LOSSES[how](Match(operation=mutation)))
    sender.put("maker", edit(versions[1], **ADD, **TAKE))
    assert sender.replay().put_back == 1
    before = {name: sandbox.requests.count(name) for name in MUTATIONS}
    report = sender.later(hours=2).replay()
    assert (report.applied + report.already_so, sender.counts()) == (1, {})
    assert upstream(sandbox, versions[1]) == ({"latest", "best", "prod"}, {"kept", "good"})
    again = sandbox.requests.count(mutation) - before[mutation]
    assert again == (not is_lost), "what was taken is not sent again"


def test_what_others_did_meanwhile_stays(
    sandbox: Sandbox, sender: Sender, mirror: Mirror, versions: list[ArtifactRecord]
) -> None:
    other, version = versions
    aliases = sandbox.state.project(ENTITY, PROJECT).collections["data"].aliases
    aliases["theirs"], aliases["old"], aliases["best"] = version, other, other
    version.tags[:] = ["bad", "theirs"]
    sender.put("maker", edit(version, **ADD, **TAKE))
    assert sender.replay().applied == 1
    assert upstream(sandbox, version) == ({"latest", "theirs", "best", "prod"}, {"theirs", "good"})
    assert upstream(sandbox, other)[0] == {"other", "old"}, "an alias is taken from the version that it was seen at"
    assert mirror.pull().errors == []
    assert held(mirror, version) == upstream(sandbox, version)


@pytest.mark.parametrize("how", ["deleted", "gone"])
def test_a_version_that_is_gone_is_told_and_nothing_sent(
    sandbox: Sandbox, sender: Sender, versions: list[ArtifactRecord], how: str
) -> None:
    if how == "deleted":
        versions[1].state = "DELETED"
    else:
        sandbox.state.artifacts_by_id.pop(versions[1].id)
    sender.put("maker", edit(versions[1], **ADD))
    assert [one.outcome for one in sender.foresee()] == ["buried"]
    assert sender.replay().buried == 1
    (dead,) = sender.outbox.entries("dead")
    assert "the version team/proj/data:v1 is not to be had upstream" in (dead.entry.reason or "")
    assert not [record for record in sandbox.requests if record.operation in MUTATIONS]


def test_the_run_that_it_is_filed_under_need_not_be_there(
    sandbox: Sandbox, sender: Sender, versions: list[ArtifactRecord]
) -> None:
    sandbox.state.delete_run(ENTITY, PROJECT, "maker")
    sender.put("maker", edit(versions[1], add_aliases=("best",)))
    assert sender.replay().applied == 1
    assert "best" in upstream(sandbox, versions[1])[0]


def test_a_key_that_may_not_is_told_in_the_servers_words(
    sandbox: Sandbox, sender: Sender, versions: list[ArtifactRecord]
) -> None:
    guest = sandbox.state.add_user("guest")
    sender.put("maker", edit(versions[1], **ADD))
    assert dataclasses.replace(sender, api_key=guest.api_key).replay().buried == 1
    (dead,) = sender.outbox.entries("dead")
    assert "permission denied" in (dead.entry.reason or "")


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        (["Mutation.addAliases"], None),
        (["Mutation.addAliases", "Mutation.deleteAliases"], None),
        (["Mutation.addAliases", "Mutation.deleteAliases", "Mutation.updateArtifact"], "changing versions"),
        (["Artifact.tags"], "tags"),
    ],
)
def test_an_older_server_takes_aliases_at_once_or_says_why_not(
    hidden: list[str], words: str | None, home: Home
) -> None:
    with Sandbox.start(hide=hidden) as server:
        mirror = Mirror(url=server.url, api_key=server.api_key, home=home)
        version = _versions(server, mirror)[1]
        server.state.project(ENTITY, PROJECT).collections["data"].aliases["theirs"] = version
        sender = Sender(url=server.url, api_key=server.api_key, home=home)
        sender.put("maker", edit(version, **ADD, **TAKE))
        report = sender.replay()
        if words is None:
            assert report.applied == 1, [placed.entry.reason for placed in OutboxReader(home).entries("dead")]
            assert upstream(server, version) == ({"latest", "theirs", "best", "prod"}, {"kept", "good"})
        else:
            assert report.buried == 1
            (dead,) = OutboxReader(home).entries("dead")
            assert words in (dead.entry.reason or "")


def test_what_a_run_logs_again_has_its_new_names_in_the_mirror_at_once(
    sandbox: Sandbox, sender: Sender, mirror: Mirror, versions: list[ArtifactRecord]
) -> None:
    other, version = versions
    operation = LogArtifact(
        artifact_id=other.id, name=f"{ENTITY}/{PROJECT}/data:v0", collection="data", type="dataset",
        digest=other.digest, aliases=("old", "again"), tags=("new",),
    )  # fmt: skip
    sandbox.state.add_run(ENTITY, PROJECT, "second")
    mirror.pull()
    sender.put("second", operation)
    assert sender.replay().applied == 1
    assert held(mirror, other) == ({"other", "old", "again"}, {"bad", "kept", "new"}) == upstream(sandbox, other)
    assert held(mirror, version)[0] == {"latest"} == upstream(sandbox, version)[0]


def test_an_entry_survives_its_file_and_an_unknown_kind_is_refused(
    sender: Sender, versions: list[ArtifactRecord]
) -> None:
    entry = sender.put("maker", edit(versions[1], **ADD, **TAKE))
    assert entry_of_json(encode_entry(entry)) == entry
    newer = msgspec.json.encode({**msgspec.to_builtins(entry), "operation": {"kind": "paint_artifact"}})
    with pytest.raises(ValueError, match="it is no entry of an outbox: Invalid value 'paint_artifact'"):
        entry_of_json(newer)
