"""The edge towards W&B: everything that is known about its API, and the only folder that speaks HTTP.

Words: a **deployment** is one W&B server under all its names; a **document** is a GraphQL text; a **page** is one
answer of a listing; the **contents** of a run are its files, exports, live tail, counts and artifacts; its
**streams** are history, system metrics and console lines; a **bad run** is one that the server answered in a shape
that W&B does not have; a **body** is the bytes behind a **signed url**, which expires; a **turn** is the permission to
send a request now; a **fitted** document asks only for what the server at hand **knows**; a **flaw** is a field that
the server could not serve, of a row that it did.

It owns: the documents and their fragments, written for a current server, and how they are fitted to the one at hand
(`fitting`, `known_server`, `learning`, `refusals`); what a server's
lacks mean to a person (`capabilities`); the shapes of the answers (`wire`, `scalars`, `times`, `lenient`) and how they
become values (`rows`, `content_rows`, `artifact_rows`); what an HTTP status and an error body mean (`answers`,
`transfer_answers`); where the key comes from and who may see it (`credentials`, `deployment`); politeness (`limits`);
and the two users of HTTP, `session` for questions and `transfer` for bytes, on `connection`. `Client` is made of one
file of questions for each subject.

It never: lets an exception of httpx out, shows the API key in a repr, message or log, sends the key to another host
than the configured one, decides what to pull, or writes anything to disk.
"""

from mirror.api.body import Body
from mirror.api.capabilities import Lack, lacks
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
from mirror.api.known_server import KnownServer
from mirror.api.limits import Limits
from mirror.api.look_questions import Look
from mirror.api.pages import BadArtifact, BadRun, RunCursor, RunsPage, SweepsPage
from mirror.api.rows import with_fingerprint
from mirror.api.session import OnRetry
from mirror.api.signed_url import SignedUrl
from mirror.api.spent import Spent
from mirror.api.transfer import Download

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
    "KnownServer",
    "Lack",
    "Limits",
    "ListedFile",
    "LogPage",
    "Look",
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
    "deployment_of",
    "find_api_key",
    "lacks",
    "with_fingerprint",
]
