"""What a server lacks, in words of the user: the one place that says what is lost by it.

A capability is lost where one of the names that it needs was left out of the documents; what no capability explains is
named as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mirror.records.server import ServerFacts


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Something that servers of some age can do."""

    name: str
    needs: tuple[str, ...]  # `Type.field` or `Type.field(argument)`; without one of them it is lost
    without: str  # what follows, as half a sentence


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a server lacks, or fails at."""

    capability: str
    without: str  # what follows, as half a sentence
    names: tuple[str, ...]  # what of the schema is missing
    fails: bool = False  # the server has it, and forbids it or fails at it: it is asked again within the hour

    @property
    def verb(self) -> str:
        """What the server does, before the name of the capability."""
        return "forbids or fails at" if self.fails else "has no"

    def __str__(self) -> str:
        """For a person, as what is said of the server."""
        return f"{self.verb} {self.capability}: {self.without}{'; asked again within the hour' if self.fails else ''}"


_NAMED_BY = ("Artifact.id", "Artifact.artifactSequence", "ArtifactSequence.name")  # without them a version is nothing

CAPABILITIES = (
    Capability(
        name="run listings",
        needs=("Query.project", "Project.runs", "RunConnection.edges", "RunEdge.node", "Run.name"),
        without="runs cannot be listed, so nothing can be mirrored",
    ),
    Capability(
        name="paging of runs",
        needs=("Project.runs(after)", "Project.runs(first)"),
        without="runs cannot be listed page by page",
    ),
    Capability(
        name="filters on runs",
        needs=("Project.runs(filters)", "Project.runCount(filters)"),
        without="every pull lists all runs",
    ),
    Capability(name="project listings", needs=("Query.models",), without="sources with globs cannot be resolved"),
    Capability(
        name="the key's owner",
        needs=("Query.viewer",),
        without="a refused key shows only with the first pull, and `mirror.Api().viewer` is not known",
    ),
    Capability(
        name="counts of runs",
        needs=("Project.runCount",),
        without="deletions are seen by the daily walk over all runs, not by each pull",
    ),
    Capability(
        name="times of edits",
        needs=("Run.updatedAt",),
        without="edits of ended runs are seen by the daily walk over all runs",
    ),
    Capability(
        name="storage ids of runs", needs=("Run.id",), without="edits of runs cannot be delivered to this server"
    ),
    Capability(
        name="history exports",
        needs=("Run.parquetHistory", "ParquetHistory.parquetUrls", "Run.parquetHistory(liveKeys)"),
        without="histories come row by row",
    ),
    Capability(
        name="rows that are not exported yet",
        needs=("ParquetHistory.liveData",),
        without="the newest rows of a history come once they are exported, or row by row",
    ),
    Capability(
        name="histories by row",
        needs=("Run.history", "Run.history(minStep)", "Run.history(maxStep)", "Run.history(samples)"),
        without="rows of a history come only once they are exported",
    ),
    Capability(
        name="facts about histories",
        needs=("Run.historyKeys", "Run.historyLineCount"),
        without="whether a history is whole is judged by fewer facts",
    ),
    Capability(name="system metrics", needs=("Run.events",), without="system metrics are not mirrored"),
    Capability(
        name="counts of system metrics",
        needs=("Run.eventsLineCount",),
        without="system metrics are read anew whenever a run moved",
    ),
    Capability(
        name="console lines",
        needs=("Run.logLines", "LogLineConnection.edges", "LogLineEdge.node", "LogLine.number", "LogLine.line"),
        without="console lines are not mirrored",
    ),
    Capability(
        name="paging of console lines",
        needs=("Run.logLines(useImprovedPagination)", "Run.logLines(after)", "Run.logLines(first)"),
        without="of long console outputs only the newest lines come",
    ),
    Capability(
        name="counts of console lines",
        needs=("Run.logLineCount",),
        without="console lines are read anew whenever a run moved",
    ),
    Capability(
        name="files",
        needs=("Run.files", "FileConnection.edges", "FileEdge.node", "File.name"),
        without="files of runs are not mirrored",
    ),
    Capability(name="addresses of files", needs=("File.directUrl",), without="files are fetched by another address"),
    Capability(
        name="digests of files",
        needs=("File.md5",),
        without="downloads are checked by their size alone, and uploads are recognised by their size",
    ),
    Capability(
        name="logged artifacts",
        needs=("Run.outputArtifacts", "ArtifactConnection.edges", "ArtifactEdge.node", *_NAMED_BY),
        without="what runs logged as artifacts is not mirrored",
    ),
    Capability(
        name="used artifacts",
        needs=("Run.inputArtifacts", "InputArtifactConnection.edges", "InputArtifactEdge.node", *_NAMED_BY),
        without="what runs used as artifacts is not mirrored",
    ),
    Capability(
        name="artifacts by id", needs=("Query.artifact",), without="versions of artifacts are named, without more"
    ),
    Capability(
        name="manifests of artifacts",
        needs=("Artifact.currentManifest", "ArtifactManifest.file"),
        without="which files a version holds is not mirrored",
    ),
    Capability(
        name="files of artifacts",
        needs=("Artifact.files",),
        without="bytes of artifacts are not mirrored, their manifests are",
    ),
    Capability(name="artifact tags", needs=("Artifact.tags",), without="tags of artifacts are not mirrored"),
    Capability(
        name="sweeps",
        needs=("Project.sweeps", "SweepConnection.edges", "SweepEdge.node"),
        without="sweeps are not mirrored",
    ),
    Capability(
        name="server features",
        needs=("ServerInfo.features", "Query.serverInfo"),
        without="newer ways of the server are found out by asking",
    ),
    Capability(
        name="setting states",
        needs=("Mutation.updateRunState",),
        without="states are set with the run's other fields, where the server takes that",
    ),
    Capability(
        name="editing runs", needs=("Mutation.upsertBucket",), without="edits stay in the outbox: it takes none"
    ),
    Capability(name="stopping runs", needs=("Mutation.stopRun",), without="a stop stays in the outbox"),
    Capability(name="deleting runs", needs=("Mutation.deleteRun",), without="a deletion stays in the outbox"),
    Capability(
        name="addresses for uploads",
        needs=("Mutation.createRunFiles",),
        without="uploads go the older way, by addresses from the list of files",
    ),
    Capability(
        name="registering uploads",
        needs=("Mutation.markRunFilesUploaded",),
        without="the server registers uploaded files by itself, which may take a while",
    ),
    Capability(
        name="deleting files", needs=("Mutation.deleteFiles",), without="a deletion of a file stays in the outbox"
    ),
    Capability(
        name="attaching artifacts", needs=("Mutation.createArtifact",), without="log_artifact stays in the outbox"
    ),
    Capability(name="using artifacts", needs=("Mutation.useArtifact",), without="use_artifact stays in the outbox"),
    Capability(
        name="rewinding runs",
        needs=("Mutation.rewindRun",),
        without="an offline run that rewinds itself stays in the outbox",
    ),
    Capability(
        name="alerts",
        needs=("Mutation.notifyScriptableRunAlert",),
        without="alerts of runs that were trained offline are not sent",
    ),
    Capability(
        name="adding and removing aliases",
        needs=("Mutation.addAliases", "Mutation.deleteAliases"),
        without="aliases of a version are written all at once",
    ),
    Capability(
        name="changing versions of artifacts",
        needs=("Mutation.updateArtifact",),
        without="changes of their tags stay in the outbox",
    ),
)

_BY_NAME = {capability.name: capability for capability in CAPABILITIES}

OTHER_FIELDS = "other fields"


def lacks(facts: ServerFacts) -> tuple[Lack, ...]:
    """What a server lacks of what the mirror asks for, in the order of `CAPABILITIES`; the rest by name, at the end."""
    failing = facts.failing.keys() & set(facts.lacking)
    found = explained({*facts.left_out, *facts.lacking})
    return tuple(msgspec.structs.replace(lack, fails=failing.issuperset(lack.names)) for lack in found)


def lack_of(facts: ServerFacts, *capabilities: str) -> Lack | None:
    """The first of some capabilities that a server lacks or fails at; None when there is none, or it was never asked.

    What it failed at counts until it is served again.

    Raises:
        KeyError: there is no such capability.
    """
    missing = facts.unserved
    for name in capabilities:
        needs = _BY_NAME[name].needs
        if names := tuple(name for name in needs if name in missing):
            fails = facts.failing.keys() >= set(names)
            return Lack(capability=name, without=_BY_NAME[name].without, names=names, fails=fails)
    return None


def explained(left_out: Iterable[str]) -> tuple[Lack, ...]:
    """Names that were left out, sorted by what is lost."""
    rest = set(left_out)
    found: list[Lack] = []
    for capability in CAPABILITIES:
        names = tuple(name for name in capability.needs if name in rest)
        if names:
            rest -= set(names)
            found.append(Lack(capability=capability.name, without=capability.without, names=names))
    if rest:
        names = tuple(sorted(rest))
        found.append(Lack(capability=OTHER_FIELDS, without=f"{', '.join(names)} stay empty", names=names))
    return tuple(found)


def words_for(left_out: Iterable[str]) -> str:
    """What is lost, on one line."""
    return "; ".join(f"it has no {lack.capability}" if lack.capability != OTHER_FIELDS else
                     f"it does not know {', '.join(lack.names)}" for lack in explained(left_out))  # fmt: skip
