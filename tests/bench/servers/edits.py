"""Looks and edits of any number of runs, answered at once: `python -m tests.bench.servers.edits [LATENCY_S]`.

Its answers are those that the sandbox gave for one run, with the id and the notes of the run that was asked for, so
that the server costs next to nothing.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx

from mirror.api.documents import queries as documents
from mirror.api.documents import writes as write_documents
from mirror.sandbox import Sandbox
from tests.bench.servers.bare import Answer, Asked, serve_until_told, start
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


def main() -> None:
    """Ask the sandbox, then serve until told; what it was told of each run is all it knows."""
    look, edit = answers()
    notes: dict[str, str] = {}

    def respond(asked: Asked) -> Answer:
        given: dict[str, Any] = json.loads(asked.body)["variables"]
        if "input" in given:
            name, form = given["input"]["id"], edit
            notes[name] = given["input"]["notes"]
        else:
            name, form = given["run"], look
        text = form.replace(RUN, name).replace(ID, name).replace(NOTES, notes.get(name, ""))
        return Answer(text.encode(), headers="Content-Type: application/json\r\n")

    serve_until_told(start(respond, latency_s=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))


if __name__ == "__main__":
    main()
