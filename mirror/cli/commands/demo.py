"""`wandb-mirror demo`: the whole story in about a minute, on real runs of the real SDK."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from mirror.api.client import Client
from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.cli.config_text import new_config_text
from mirror.cli.histories import collect
from mirror.cli.setting import Setting
from mirror.cli.story.edits import Paths, compare, deliver_edits, edit_by_somebody_else, edit_offline
from mirror.cli.terminal.output import say_lines, write, write_lines
from mirror.cli.terminal.plot import draw
from mirror.cli.terminal.tables import print_table
from mirror.config import Config, parse_config
from mirror.durable import make_folder, write_replace
from mirror.errors import ConfigError, MirrorError, Refused
from mirror.layout import Home, find_home
from mirror.pull import PullReport, PullRequest, pull
from mirror.records.addresses import RunPath
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.history.forms import WideRows
from mirror.store.history.history import wide_history
from mirror.store.objects.checkout import HeldBytes, check_out
from mirror.store.objects.objects import Objects
from mirror.store.read.files import files_of_run
from mirror.store.sql.statements import connect, run_sql
from mirror.texts.amounts import plural

if TYPE_CHECKING:
    from mirror.sandbox import Sandbox

NEEDED = ("wandb", "starlette", "uvicorn", "graphql", "sklearn", "numpy")
ENTITY, PROJECT = "sandbox-team", "digits"

QUESTIONS = (
    (
        "Which model recognises digits best?",
        """SELECT display_name AS model, (config->>'hidden')::INT AS hidden_units,
       (summary->>'$."test/accuracy"')::DOUBLE AS accuracy
FROM runs ORDER BY accuracy DESC""",
    ),
    (
        "What does a hidden layer bring?",
        """SELECT "group", count(*) AS runs, max((summary->>'$."test/accuracy"')::DOUBLE) AS best_accuracy
FROM runs GROUP BY "group" ORDER BY best_accuracy""",
    ),
    (
        "How many epochs did each model need to pass 80 % on digits that it never saw?",
        """SELECT r.display_name AS model, min(m.step) + 1 AS epochs, count(*) AS epochs_above
FROM metrics m JOIN runs r USING (entity, project, run_id)
WHERE m.key = 'test/accuracy' AND m.value > 0.8 GROUP BY ALL ORDER BY epochs, model""",
    ),
    (
        "Which runs lost their footing, and with which learning rate?",
        """SELECT run_id, display_name, (config->>'learning_rate')::DOUBLE AS learning_rate, summary->>'loss' AS loss
FROM runs WHERE NOT isfinite((summary->>'loss')::DOUBLE)""",
    ),
)


@click.command("demo")
@click.option("--home", type=click.Path(), help="Where to put the demo's mirror (else a new temporary folder).")
def command(home: str | None) -> None:
    """Train small models, mirror them, take the server away, ask and edit offline, and deliver when it is back.

    Everything is real but the server, which is the sandbox that comes along: a W&B-compatible server on this machine.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the demo needs {', '.join(missing)}", hint='install the extra: pip install "wandb-mirror[demo]"'
        )
    outer = (click.get_current_context().obj or {}).get("home")
    place = find_home(home or outer or tempfile.mkdtemp(prefix="wandb-mirror-demo-"))
    if place.catalog.exists():
        raise Refused(f"{place.root} holds a mirror already", hint="give the demo a folder of its own with --home")
    tell_story(place)


def tell_story(home: Home) -> None:
    """Every line printed here is something that has just happened."""
    from mirror.sandbox import Sandbox

    with Sandbox.start() as sandbox:
        write(f"1. A W&B-compatible sandbox server listens on {sandbox.url}.")
        names = _train(sandbox)
        write(f"2. The real wandb SDK trained and logged {plural(len(names), 'run')}: {', '.join(names)}.")
        config = _write_config(home, sandbox)
        report = anyio.run(_pull, home, config)
        taken = sum(project.written for project in report.projects)
        held = sum(project.files for project in report.projects)
        parts = sum(project.parts for project in report.projects)
        write(f"3. Mirrored {plural(taken, 'run')} into {home.root} with {plural(report.requests, 'request')}.")
        write(f"   With them came {plural(parts, 'history export')} and {plural(held, 'file')}.")
        setting = Setting(home=home, config=config, config_path=home.config)
        with sandbox.outage():
            if not _refuses(sandbox.port):
                raise MirrorError(f"the sandbox still answers on port {sandbox.port}: nothing offline can be shown")
            write_lines(
                f"4. The server is gone: port {sandbox.port} refuses connections. What follows is from the mirror.\n"
            )
            _answer(home)
            best = _draw_best(home)
            _check_out_weights(home, best)
            paths = Paths(best=best, failed=_failed(home))
            edit_offline(setting, paths)
            edit_by_somebody_else(sandbox, paths)
        write_lines("7. The server is back. What waits is looked at, merged, written, and read back:\n")
        deliver_edits(setting)
        compare(setting, paths, _run_with_sdk(sandbox, "mirror.cli.story.judge", best, paths.failed))
    write_lines("Go on with:\n")
    write(f"  export WANDB_MIRROR_HOME={home.root}")
    write("  wandb-mirror status")
    write(f"  wandb-mirror history {best} --keys loss,test/loss --plot")
    write(f"  wandb-mirror checkout {best} best-model")
    write(f"  wandb-mirror edit {best} --add-tag mine && wandb-mirror outbox diff")
    write("  wandb-mirror runs --columns run_id,display_name,config.learning_rate,summary.loss")
    write('  wandb-mirror sql "SELECT display_name, config, summary FROM runs LIMIT 1" --json')
    write("  wandb-mirror sql            # a prompt")
    write_lines(f"\nThe demo's only trace is {home.root}; remove the folder when you are done.")


def _train(sandbox: Sandbox) -> list[str]:
    """Train in a process of its own, as a user would, and name the runs it logged."""
    return _run_with_sdk(sandbox, "mirror.cli.story.training", ENTITY).split()


def _run_with_sdk(sandbox: Sandbox, module: str, *arguments: str) -> str:
    """What a process prints that uses the real SDK, with the sandbox as its server."""
    with tempfile.TemporaryDirectory(prefix="wandb-mirror-training-") as folder:
        private = dict.fromkeys(("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"), folder)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        process = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={
                **kept,
                **private,
                "WANDB_BASE_URL": sandbox.url,
                "WANDB_API_KEY": sandbox.api_key,
                "WANDB_SILENT": "true",
                "WANDB_ERROR_REPORTING": "false",
                "WANDB_CONSOLE": "off",
                "NETRC": str(Path(folder) / "netrc"),
            },
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if process.returncode != 0:
        say_lines(process.stderr)
        raise MirrorError(f"{module} failed; what it said stands above")
    return process.stdout


def _write_config(home: Home, sandbox: Sandbox) -> Config:
    text = new_config_text(sandbox.url, [f"{ENTITY}/{PROJECT}"])
    make_folder(home.root)
    write_replace(home.config, text.encode())
    config = parse_config(text, origin=str(home.config))
    os.environ["WANDB_API_KEY"] = sandbox.api_key  # of this process alone, where find_api_key looks
    return config


async def _pull(home: Home, config: Config) -> PullReport:
    deployment = deployment_of(config.server.base_url)
    key = find_api_key(config.server, deployment)
    async with Client(deployment, key, config.server) as client:
        with Lake(home, deployment=deployment.id, app_url=deployment.app_url) as lake:
            report = await pull(client, lake, config, PullRequest(sources=config.source))
    for error in report.errors:
        raise error
    return report


def _refuses(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return False
    except OSError:
        return True


def _answer(home: Home) -> None:
    engine = connect(home)
    try:
        for question, query in QUESTIONS:
            result = run_sql(engine, query)
            write_lines(f"{question}\n")
            write_lines("  " + query.replace("\n", "\n  "))
            print_table([column.name for column in result.columns], result.rows())
    finally:
        engine.close()


def _draw_best(home: Home) -> str:
    """Draw how the best model learned.

    Returns:
        The path of its run.
    """
    with contextlib.closing(connect(home)) as engine, Reader(home) as lake:
        entity, project, run_id, name = next(
            run_sql(
                engine,
                "SELECT entity, project, run_id, display_name FROM runs"
                """ ORDER BY (summary->>'$."test/accuracy"')::DOUBLE DESC LIMIT 1""",
            ).rows()
        )
        reader = wide_history(lake, RunPath(entity, project, run_id), keys=["test/loss"])
        series = collect(WideRows(reader))["test/loss"]
    write_lines(f"How did the best one, {name}, learn?\n")
    for line in draw(series, width=72, height=8):
        write(f"  {line}")
    write("")
    return f"{entity}/{project}/{run_id}"


def _failed(home: Home) -> str:
    """The path of the run that lost its footing."""
    with contextlib.closing(connect(home)) as engine:
        rows = run_sql(engine, "SELECT entity, project, run_id FROM runs WHERE state = 'failed'").rows()
        return "/".join(next(rows))


def _check_out_weights(home: Home, path: str) -> None:
    """Write the files of the best model out, and read its weights back."""
    import numpy as np

    entity, project, run_id = path.split("/")
    with Reader(home) as lake:
        files = files_of_run(lake, RunPath(entity, project, run_id), gone=False)
    folder = home.root / "best-model"
    held = [HeldBytes(name=file.name, object=file.object) for file in files if file.object is not None]
    written = [file for file in check_out(Objects(home), held, folder) if file.outcome == "written"]
    write_lines(f"Its {plural(len(written), 'file')}, checked out of the mirror into {folder}:\n")
    for file in written:
        write(f"  {file.size:>8,} B  {file.name}")
    with np.load(folder / "weights.npz") as weights:
        count = sum(weights[name].size for name in weights.files)
    write_lines(f"\nNumPy reads weights.npz back: {count:,} parameters.\n")
