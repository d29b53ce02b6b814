"""A real headless Chromium, spoken to over a pair of pipes: no port, no driver, no package.

It must be on the machine: Debian's `chromium`, or Chrome; `CHROMIUM` may name the program. Nothing stands in for it, so
that a page nobody looked at never passes.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-device-scale-factor=1", "--remote-debugging-pipe",
    # Whatever a page asks for beside its own file finds no host and no way out.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--proxy-server=127.0.0.1:9",
)  # fmt: skip
PATIENCE = float(
    os.environ.get("BROWSER_PATIENCE_S", "60")
)  # seconds that one answer may take on a machine with other work


def program() -> str:
    """Where Chromium is.

    Raises:
        RuntimeError: it is not on this machine; the message says how to get it.
    """
    named = os.environ.get("CHROMIUM")
    found = next((path for name in (named, *PROGRAMS, MAC) if name and (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError("these tests look at pages in Chromium: `apt-get install chromium`, or name it in CHROMIUM")
    return found


class Browser:
    """A browser with one tab and a profile of its own."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="page-test-", ignore_cleanup_errors=True)
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # Chromium reads its commands from descriptor 3 and answers on 4.
        started = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", started, program(), *OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._number, self._rest = 0, b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        self._attach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)  # a browser whose pipe ends goes
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._profile.cleanup()

    def open(self, path: Path, *, width: int, dark: bool = False, paper: bool = False) -> None:
        """Load a file afresh in a window of this width, and forget what happened before."""
        self.go(path.as_uri(), width=width, dark=dark, paper=paper)

    def go(self, url: str, *, width: int = 1280, dark: bool = False, paper: bool = False) -> None:
        """The same of any address."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", media="print" if paper else "", features=features)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.ask("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of a script in the page."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = PATIENCE) -> Any:
        """The value of an expression in the page, as soon as it is true.

        Raises:
            TimeoutError: it stays false; the message has what the page shows.
        """
        deadline = time.monotonic() + seconds
        while not (value := self.run(f"(found => found instanceof Node ? true : found)({condition})")):
            if time.monotonic() > deadline:
                shown = self.run("document.body.innerText.slice(0, 2000)")
                raise TimeoutError(f"never true: {condition}\n{shown}\n{self.complaints()}")
            time.sleep(0.05)
        return value

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def requested(self) -> list[str]:
        """Addresses that the page asked for since it was opened."""
        return [event["params"]["request"]["url"] for event in self._of("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """What stands in the console: errors, warnings, violations of the policy, exceptions."""
        kinds = (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Page.javascriptDialogOpening",
        )
        return [json.dumps(event["params"]) for kind in kinds for event in self._of(kind)]

    def ask(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """One command, and its answer."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                result: Mapping[str, Any] = message["result"]
                return result
            self.events.append(message)

    def _attach(self) -> None:
        page = next(target for target in self.ask("Target.getTargets")["targetInfos"] if target["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def _wait_for(self, method: str) -> None:
        while not self._of(method):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            chunk = os.read(self._from, 1 << 16)
            if not chunk:
                raise RuntimeError("Chromium ended")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
