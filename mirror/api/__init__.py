"""The edge towards W&B: everything that is known about its API, and the only folder that speaks HTTP.

Words: a **deployment** is one W&B server under all its names; a **document** is a GraphQL text; a **page** is one
answer of a listing; a **bad run** is one that the server listed in a shape that W&B does not have; a **turn** is the
permission to send a request now.

It owns: the documents, the shapes of the answers and how they become records (`wire`, `times`, `lenient`), what an
HTTP status and an error body mean (`answers`), where the key comes from and who may see it (`credentials`,
`deployment`), politeness (`limits`), and the one HTTP client (`session`). `Client` puts a name on each question.

It never: lets an exception of httpx out, shows the API key in a repr, message or log, sends the key to another host
than the configured one, decides what to pull, or writes anything to disk.
"""

from mirror.api.client import Client
from mirror.api.contents import (
    ArtifactsPage,
    FilesPage,
    ListedFile,
    LogPage,
    ManifestFile,
    RunContents,
    RunStreams,
    StreamAsk,
)
from mirror.api.credentials import ApiKey, find_api_key
from mirror.api.deployment import Deployment, deployment_of
from mirror.api.limits import Limits
from mirror.api.pages import BadArtifact, BadRun, RunCursor, RunsPage, SweepsPage, Viewer
from mirror.api.session import OnRetry
from mirror.api.signed_url import SignedUrl
from mirror.api.spent import Spent
from mirror.api.transfer import Body, Download

__all__ = [
    "ApiKey",
    "ArtifactsPage",
    "BadArtifact",
    "BadRun",
    "Body",
    "Client",
    "Deployment",
    "Download",
    "FilesPage",
    "Limits",
    "ListedFile",
    "LogPage",
    "ManifestFile",
    "OnRetry",
    "RunContents",
    "RunCursor",
    "RunStreams",
    "RunsPage",
    "SignedUrl",
    "Spent",
    "StreamAsk",
    "SweepsPage",
    "Viewer",
    "deployment_of",
    "find_api_key",
]
