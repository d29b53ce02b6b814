"""`wandb-mirror export`: the page as files that open without a server."""

from __future__ import annotations

from pathlib import Path

import click

from mirror.cli.delivery.entries import entry_json
from mirror.cli.filter_text import parse_filter
from mirror.cli.gateway_start import check_installed
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError
from mirror.records.addresses import ProjectKey
from mirror.texts.amounts import plural


@click.command("export", epilog=exit_statuses(5, 10))
@setting_options
@click.argument("project", type=UTF8, metavar="ENTITY/PROJECT")
@click.option(
    "--html", "target", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A folder that is made."
)
@click.option("--filter", "filter_text", type=UTF8, default="{}", help="W&B's filter as JSON: which runs.")
@click.option("--key", "keys", type=UTF8, multiple=True, metavar="KEY", help="Only this metric; may be given again.")
def command(
    home: str | None, config: str | None, project: str, target: Path, filter_text: str, keys: tuple[str, ...]
) -> None:
    """Write the page of a project as files: its table, its curves, a page a run. No network.

    The files open in any browser, without a server, also in ten years: a paper's appendix, an archive. Of each line up
    to 500 points are kept, of a console the first 10,000 lines; images, sounds and videos of runs are copied.
    """
    check_installed()
    parts = project.split("/")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"a project is ENTITY/PROJECT, not {project!r}")
    setting = find_setting(home, config)
    from mirror.run.pending.local import LocalMirror
    from mirror.web.static import Wanted, export_html

    wanted = Wanted(project=ProjectKey(*parts), filters=parse_filter(filter_text), keys=keys, target=target)
    count = export_html(LocalMirror(setting.home), wanted, entry_json)
    write(str(target / "index.html"))
    say(f"wrote {plural(count, 'run')}")
