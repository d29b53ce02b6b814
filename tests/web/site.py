"""A mirror whose page is served, as a person starts it, and a browser that is signed in."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from mirror.gateway.http.key import GatewayKey
from mirror.sandbox import Sandbox
from mirror.web.entry import entry_path
from tests.browser import Browser
from tests.gateway.served import Served
from tests.mirroring import ENTITY, PROJECT, SOURCE

RUNS = 24
STEPS = 30
LONG = 5_000  # steps of the longest run
HOSTILE = '<img src=x onerror="hit=1">"\'\N{RIGHT-TO-LEFT OVERRIDE}x\n' + "long " * 100
HOSTILE_ID = "a b%2F\N{SNOWMAN}?&#<x>"
NOTES = "# A try\n\n**bold** <script>hit=1</script> [link](https://example.org) ![image](https://example.org/x.png)"
SAMPLE = {"_type": "image-file", "path": "media/images/s.png", "width": 2, "height": 2}
TABLE = {"columns": ["word", "score"], "data": [["<b>one</b>", 0.5], ["two", None], ["three", 2]]}


def fill(sandbox: Sandbox) -> None:
    """A project in which each part of the page finds something."""
    for number in range(RUNS):
        add_run(sandbox, number)
    sandbox.state.add_run(
        ENTITY, PROJECT, HOSTILE_ID, display_name=HOSTILE, notes=NOTES, tags=[HOSTILE[:60]], state="running",
        config={HOSTILE[:80]: HOSTILE, "lr": 1}, summary={"loss": float("nan"), "</script>": 1},
        history=[{"_step": step, "loss": step, "</script><b>": step} for step in range(5)],
        console=["\x1b[1;31mred\x1b[0m <b>no markup</b> \x1b]8;;https://example.org\x07link\x1b]8;;\x07", "plain"],
        files={"<b>.txt": b"text", "media/html/p.html": b"<script>parent.hit=1;fetch('https://example.org')</script>hello"},
    )  # fmt: skip
    sandbox.state.add_artifact(ENTITY, PROJECT, "model", files={"w.txt": b"weights"}, run="run00")


def add_run(sandbox: Sandbox, number: int) -> None:
    """One of many; the first has media, the second a long history."""
    steps = LONG if number == 1 else STEPS
    key = "media/table/words.table.json"
    first = number == 0
    sandbox.state.add_run(
        ENTITY, PROJECT, f"run{number:02}", display_name=f"{('adam', 'sgd')[number % 2]}-{number}",
        group=f"g{number % 3}", tags=["t"],
        config={"lr": 0.1 / (number + 1), "opt": ("adam", "sgd")[number % 2], "same": 1},
        summary={"loss": 1.0 / (number + 1), "acc": number / RUNS},
        notes=NOTES if first else None,
        history=[
            {
                "_step": step, "_timestamp": 1.7e9 + step, "loss": 1 / (step + 1) + number, "train/acc": step / steps,
                **({f"layer{layer}/norm": step + layer for layer in range(40)} if first else {}),
                **({"weights": {"_type": "histogram", "values": [1, 2, step], "bins": [0, 1, 2, 3]}} if first else {}),
                **({"sample": SAMPLE} if first else {}),
            }
            for step in range(steps)
        ],
        events=[{"_timestamp": 1.7e9 + at, "_runtime": at, "system.cpu": 10.0 * at} for at in range(5)],
        console=[f"line {line}" for line in range(200)] if first else ["one line"],
        files={
            **({"media/images/s.png": picture(), key: json.dumps(TABLE).encode()} if first else {}),
            "wandb-metadata.json": json.dumps({"host": "node7", "args": ["--lr", str(number)]}).encode(),
        },
    )  # fmt: skip


def picture() -> bytes:
    """A PNG of two by two pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes([200, 40, 40, 40, 40, 200]) for _ in range(2)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@dataclass(frozen=True)
class Site:
    """Where the page is."""

    served: Served

    def address(self, path: str) -> str:
        """A one-time address that goes on to a page."""
        return f"{self.served.url}{entry_path(GatewayKey(self.served.key))}&{urlencode({'next': path})}"

    def open(self, browser: Browser, path: str, **how: Any) -> None:
        """Open a page in a browser, and wait until it is drawn."""
        browser.go(self.address(path), **how)
        browser.wait("document.readyState === 'complete' && document.querySelector('main h1, main h2, main [role]')")

    def get(self, name: str, /, **asked: Any) -> Any:
        """An answer, which must be one."""
        answer = self.ask(name, **asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, name: str, /, **asked: Any) -> httpx.Response:
        """A question with the key."""
        given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in asked.items()}
        return httpx.get(f"{self.served.url}/-/data/{name}", params=given, auth=("api", self.served.key), timeout=60)

    def post(self, name: str, body: Any, **headers: str) -> httpx.Response:
        """What a script of the page sends, with the key."""
        sent = {"x-wandb-mirror": "page"} | headers
        url = f"{self.served.url}/-/data/{name}"
        return httpx.post(url, json=body, headers=sent, auth=("api", self.served.key), timeout=60)


def run_of(run_id: str) -> str:
    """A run as a question names it."""
    return f"{SOURCE}/{quote(run_id, safe='')}"
