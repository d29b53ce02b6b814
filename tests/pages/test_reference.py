"""The reference is made of the code: nothing that people can type, import, ask or set is missing in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import msgspec
import pytest

import mirror
from mirror.cli import COMMANDS, program
from mirror.config import Config, SourceSettings
from mirror.store.schema.views import VIEWS, made_views
from mirror.watch_settings import OfflineSettings, WatchSettings
from tests.pages import meanings
from tests.pages.commands import commands, exit_statuses
from tests.pages.generated import DOCS, PARTS, filled, python
from tests.pages.hooks import linked
from tests.pages.settings import settings, told
from tests.pages.views import columns, meaning, views


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Each command by its words, those of groups among them."""
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                yield f"{name} {child}", found


def test_every_command_has_its_section_with_every_option() -> None:
    sections = dict(re.findall(r"^##+ `([^`]+)`\n(.*?)(?=^##|\Z)", commands(), re.MULTILINE | re.DOTALL))
    assert list(sections) == [name for name, _ in all_commands()]
    for name, command in all_commands():
        assert f"wandb-mirror {name}" in sections[name]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert max(parameter.opts, key=len) in sections[name], f"{name} {parameter.opts}"
    assert "| 130 | interrupted |" in exit_statuses()


def test_every_view_and_column_has_a_meaning() -> None:
    assert {*VIEWS, *made_views(), "runs_upstream"} <= set(columns())
    assert set(columns()) - set(meanings.VIEW) == set(), "say in tests/pages/meanings.py what the view holds"
    for view, shown in columns().items():
        unsaid = [column for column in shown if not meaning(view, column)]
        assert not unsaid, f"say in tests/pages/meanings.py what these columns of {view} are"
        assert set(meanings.OF_VIEW.get(view, {})) <= set(shown), view
    assert "| `summary` | JSON |" in views()


def test_every_setting_has_a_meaning_and_its_default() -> None:
    page = settings()
    many = {"source": SourceSettings, "source.watch": WatchSettings, "offline": OfflineSettings}
    once = {one.encode_name: one.type for one in msgspec.structs.fields(Config) if one.encode_name not in many}
    for table, struct in {**once, **many}.items():
        for field in msgspec.structs.fields(struct):
            if field.encode_name != "watch":
                assert told(table, field.encode_name), f"{table}.{field.encode_name}"
                assert f"| `{field.encode_name}` |" in page
    assert "| `poll_minutes` | number > 0, ≤ 1,000,000 | `10.0` | between two pulls of a source |" in page


def test_every_public_name_is_written_out() -> None:
    assert set(re.findall(r"^::: mirror\.(\w+)$", python(), re.MULTILINE)) == set(mirror.__all__)


def test_what_is_generated_has_its_place_on_a_page() -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    placed = [name for page in pages for name in re.findall(r"^<!-- generated: (.+) -->$", page, re.MULTILINE)]
    assert sorted(placed) == sorted(PARTS)
    assert "1. [The store is a DuckLake over a SQLite catalog](0001-" in filled("<!-- generated: decisions -->")
    with pytest.raises(KeyError):
        filled("<!-- generated: nothing -->")


@pytest.mark.parametrize(
    ("page", "written", "led"),
    [
        ("architecture.md", "[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
        ("contributing.md", "[a](docs/promises.md#x)", "[a](promises.md#x)"),
        ("contributing.md", "[`a`](docs/adr/)", "[`a`](adr/index.md)"),
        ("guides/daemon.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)"),
        ("promises.md", "[`a`](../tests/run/test_api.py): b", "`a`: b"),
        ("guides/sql.md", "[a](../reference/views.md#runs) [b](#runs)", "[a](../reference/views.md#runs) [b](#runs)"),
        ("guides/sql.md", "[a](https://example.com/x)", "[a](https://example.com/x)"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_site(page: str, written: str, led: str) -> None:
    assert linked(written, page) == led
