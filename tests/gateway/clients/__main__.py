"""`python -m tests.gateway.clients`: make the environments of all clients, and judge each."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.clients.clients import ARCHIVE, CLIENTS, ENTITY, PATH, PROJECT, SWEEP, Client
from tests.gateway.served import served
from tests.mirroring import Mirror

HERE = Path(__file__).parent
LIMIT_S = 600
# What differs between two runs of one client at one server.
_VARIES = re.compile(
    rb"[0-9a-f]{2}/[0-9a-f]{62,64}|\d{8}T\d{6}Z[\w-]*|/tmp/[\w./-]+|http://127\.0\.0\.1:\d+|[0-9a-f]{32}|\d\.\d+s"
    rb"|\x1b\[[\d;]*m|endCursor\W+[\w=]*"
)


def main() -> None:
    """Judge, and end with the number of clients that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.clients", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="parts of the names of clients")
    parser.add_argument("--python", default=sys.executable, help="of the environments; wandb-archive wants 3.12")
    parser.add_argument("--checkout", help="work tree of a client that is in no registry, which is left out without it")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "wandb-mirror-client-environments",
        help="where the virtual environments are kept (default: %(default)s)",
    )
    options = parser.parse_args()
    chosen = [client for client in CLIENTS if not options.only or any(part in client.name for part in options.only)]
    failed = 0
    with tempfile.TemporaryDirectory() as folder, seeded(Path(folder)) as places:
        for client in chosen:
            if "{checkout}" in client.packages and options.checkout is None:
                print(f"{client.name}: left out, it needs --checkout", flush=True)
                continue
            try:
                environment = made(options.environments, client, options.python, options.checkout)
            except subprocess.CalledProcessError as error:
                failed += 1
                print(f"{client.name}: CANNOT be installed: pip ends with {error.returncode}", flush=True)
                continue
            outputs = {
                name: run_in(Path(folder) / f"{CLIENTS.index(client)}-{name}", client, environment, place)
                for name, place in places.items()
                if name == "gateway" or not client.refused  # it would leave a run at the server
            }
            verdict = judged(client, outputs)
            failed += verdict != "as at the server" and not client.refused
            print(f"{client.name}: {verdict}", flush=True)
    raise SystemExit(failed)


@contextlib.contextmanager
def seeded(folder: Path) -> Iterator[dict[str, Mapping[str, str]]]:
    """A server with runs, files, artifacts and a sweep, and the gateway over its mirror; how clients reach them."""
    with Sandbox.start() as sandbox:
        seed(sandbox)
        home = Home(folder / "home")
        place = Mirror(
            url=sandbox.url,
            api_key=sandbox.api_key,
            home=home,
            sources=(PATH,),
            policy={"artifacts_include": ("*",)},
        )
        assert place.pull().errors == []
        with served(home) as gateway:
            yield {"server": _reached(sandbox.url, sandbox.api_key), "gateway": _reached(gateway.url, gateway.key)}


def seed(sandbox: Sandbox) -> None:
    """Runs as people have them."""
    state = sandbox.state
    config = "method: bayes\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {values: [1, 2]}}\n"
    state.add_sweep(ENTITY, PROJECT, SWEEP, config_text=config)
    for number in range(8):
        sandbox.clock.advance(1)
        rows = [
            {
                "_step": step,
                "_timestamp": 1.7e9 + step,
                "_runtime": step * 0.5,
                "loss": 1 / (step + 1),
                "n": {"a": step},
            }
            for step in range(50)
        ]
        run = state.add_run(
            ENTITY,
            PROJECT,
            f"run{number}",
            display_name=f"größe {number}",
            config={"lr": number / 100, "nested": {"a": [1, None]}},
            summary={"loss": 0.02, "_step": 49},
            history=rows,
            tags=["a", "b"][: number % 3],
        )
        run.sweep_name = SWEEP if number % 2 else None
        state.add_file(ENTITY, PROJECT, run.name, "media/images/a b.png", bytes(range(256)))
        state.add_file(ENTITY, PROJECT, run.name, "config.yaml", b"lr: 0.1\n")
        if number % 2:
            state.export_history(run)
        if number % 3 == 0:
            state.add_artifact(
                ENTITY, PROJECT, "set", files={"a.txt": b"one", "b/c.bin": bytes([number] * 300)}, run=run
            )


def made(folder: Path, client: Client, python: str, checkout: str | None = None) -> Path:
    """The client's environment, made once; those that want the same packages share one."""
    first = next(other for other in CLIENTS if other.packages == client.packages)
    place = folder / re.sub(r"\W+", "-", first.name)
    finished = place / "finished"
    if not finished.exists():
        subprocess.run([python, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        packages = [word.replace("{checkout}", checkout or "") for word in client.packages]
        subprocess.run([*pip, *packages], check=True)
        finished.touch()
    return place


def run_in(folder: Path, client: Client, environment: Path, reached: Mapping[str, str]) -> dict[str, bytes]:
    """What the client's commands said and wrote, in a folder that has nothing."""
    folder.mkdir()
    programs = environment / "bin"
    variables = {
        **reached,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_ERROR_REPORTING": "false",
        "ARCHIVE": ARCHIVE,
        "GIT_PYTHON_REFRESH": "quiet",
    }
    said = []
    for words in client.commands:
        command = [word.replace("{here}", str(HERE)) for word in words]
        done = subprocess.run(
            command,
            cwd=folder,
            env=variables,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said.append(b"%d\n" % done.returncode + done.stdout + (done.stderr if done.returncode else b""))
    written = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] in ("out", "artifacts")
    }
    return {"said": b"\n".join(said), **written}


def judged(client: Client, outputs: Mapping[str, Mapping[str, bytes]]) -> str:
    """In words, whether the client was answered as it should be."""
    gateway = outputs["gateway"]
    if client.refused:
        told = gateway["said"].decode(errors="replace")
        found = next((line for line in told.splitlines() if client.refused in line), None)
        return f"NOT refused: {told[-500:]}" if found is None else f"refused: {found.strip()[-300:]}"
    server = outputs["server"]
    if not server["said"].startswith(b"0\n"):
        return f"FAILS at the server, too: {server['said'][-500:].decode(errors='replace')}"
    names = [sorted(_VARIES.sub(b"", name.encode()) for name in written) for written in (server, gateway)]
    if names[0] != names[1]:
        return f"WRITES other files: {set(names[0]) ^ set(names[1])}, {len(names[0])} and {len(names[1])}"
    a, b = (re.sub(client.unlike, b"", _VARIES.sub(b"", outputs[name]["said"])) for name in ("server", "gateway"))
    if a != b:
        pairs = zip(a.splitlines(), b.splitlines(), strict=False)
        first = next((pair for pair in pairs if pair[0] != pair[1]), (a[-300:], b[-300:]))
        return f"SAYS something else: {first[0][:300]!r}, {first[1][:300]!r}"
    return "as at the server"


def _reached(url: str, key: str) -> dict[str, str]:
    return {"WANDB_BASE_URL": url, "WANDB_API_KEY": key, "WANDB_ENTITY": ENTITY}


if __name__ == "__main__":
    main()
