"""A server that answers looks and edits of any number of runs at once: `python -m tests.bench.quick_server`.

Its answers are those that the sandbox gave for one run, with the id and the notes of the run that was asked for. So a
backlog that would keep the sandbox busy for an hour is drained in minutes. It ends with its stdin.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx

from mirror.api.documents import queries as documents
from mirror.api.documents import writes as write_documents
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT

RUN, ID, NOTES = "the-run-of-the-answer", "the-id-of-the-answer", "the-notes-of-the-answer"


def answers() -> tuple[str, str]:
    """What the sandbox says to a look and to an edit."""
    with Sandbox.start() as sandbox:
        run = sandbox.state.add_run(ENTITY, PROJECT, RUN, notes=NOTES, config={"lr": 0.1}, summary={"loss": 0.5})

        def ask(document: str, variables: object) -> str:
            asked = {"query": document, "variables": variables}
            return httpx.post(f"{sandbox.url}/graphql", json=asked, auth=("api", sandbox.api_key)).text

        look = ask(documents.RUN, {"entity": ENTITY, "project": PROJECT, "run": RUN})
        edit = ask(write_documents.UPSERT_RUN, {"input": {"id": run.id, "notes": NOTES}})
        return look.replace(run.id, ID), edit.replace(run.id, ID)


class Quick(BaseHTTPRequestHandler):
    """Answers GraphQL; what it was told of each run is all it knows."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    look, edit = "", ""
    notes: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        """One question."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        given: dict[str, Any] = asked["variables"]
        if "input" in given:
            name, form = given["input"]["id"], self.edit
            self.notes[name] = given["input"]["notes"]
        else:
            name, form = given["run"], self.look
        text = form.replace(RUN, name).replace(ID, name).replace(NOTES, self.notes.get(name, ""))
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that the base class has
        """Say nothing."""


def main() -> None:
    """Ask the sandbox, say where, and wait for the end of stdin."""
    Quick.look, Quick.edit = answers()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quick)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", "k" * 40, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
