"""A configuration that is wrong: its path, what is wrong with it, and what would be right."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli

WRONG = [
    ("[server]\nbase_ulr = 'x'", "server.base_ulr is not a known setting", "did you mean 'base_url'?"),
    ("[sever]", "sever is not a known setting", "did you mean 'server'?"),
    ("[pull]\nxyzzy = 1", "pull.xyzzy is not a known setting", "overlap_minutes"),
    ("[[source]]\npth = 'a/b'", "source[0].pth is not a known setting", "did you mean 'path'?"),
    ("[server]\ntimeout_s = 'fast'", "server.timeout_s: expected a number, got a text", "timeout_s = 30.0"),
    ("[server]\ntimeout_s = true", "server.timeout_s: expected a number, got true or false", "timeout_s = 30.0"),
    ("[server]\ntimeout_s = -1", "server.timeout_s: expected a number > 0", "timeout_s = 30.0"),
    ("[server]\naliases = 'x'", "server.aliases: expected a list, got a text", 'aliases = ["…", "…"]'),
    ("[pull]\npage_size_start = 0", "pull.page_size_start: expected a whole number >= 1", "page_size_start = 100"),
    ("[pull]\noverlap_minutes = inf", "pull.overlap_minutes: expected a number <= 1000000", "overlap_minutes = 10.0"),
    ("source = 'a/b'", "source: expected a list, got a text", "[[source]]"),
    ("[[source]]", "source[0]: path is missing", "path = "),
    ("[[source]]\npath = 'a'", "source[0]: a source is ENTITY/PROJECT", "[[source]]"),
    ("x =", "is not valid TOML: Invalid value", "NAME = VALUE"),
    ("[server]\n[server]", "is not valid TOML: Cannot declare ('server',) twice (at line 2", "NAME = VALUE"),
]


@pytest.mark.parametrize(("text", "message", "hint"), WRONG, ids=[text.replace("\n", " ") for text, _, _ in WRONG])
def test_a_wrong_setting_is_named_with_its_path_and_what_would_be_right(
    cli: Cli, text: str, message: str, hint: str
) -> None:
    cli.home.mkdir()
    cli.config.write_text(text)
    said = cli.fails(3, "status")
    assert said.error.startswith(f"error: {cli.config}")
    assert message in said.error
    assert hint in said.hint


def test_a_file_that_is_not_utf_8_is_refused(cli: Cli) -> None:
    cli.home.mkdir()
    cli.config.write_bytes(b"# caf\xe9\n")
    assert "is not UTF-8 text" in cli.fails(3, "status").error


def test_a_named_file_that_is_not_there_is_refused(cli: Cli) -> None:
    assert "no.toml does not exist" in cli.fails(3, "status", "--config", "no.toml").error


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nonsense", "must start with http:// or https://"),
        ("http://", "must start with http:// or https://"),
        ("https://me:secret@host.example", "must not hold a user name or password"),
        ("https://host.example/?key=1", "must not hold a query"),
        ("https://wandb.ai", "is the web site of W&B and not its API"),
        ("http://api.wandb.ai", "would send the API key unencrypted"),
    ],
)
def test_nonsense_for_an_address_is_refused_and_no_password_repeated(cli: Cli, url: str, expected: str) -> None:
    said = cli.configure("team/proj").using(WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40).fails(3, "pull")
    assert expected in said.error
    assert "secret" not in said.err


def test_a_pull_without_any_source_names_init(cli: Cli) -> None:
    said = cli.fails(3, "pull")
    assert "no source is configured" in said.error
    assert "wandb-mirror init --source" in said.hint


@pytest.mark.parametrize(
    ("key", "expected"),
    [(None, "there is no API key for"), ("short", "does not look like one"), ("x y" * 20, "does not look like one")],
)
def test_a_key_that_cannot_be_one_is_not_sent_and_not_repeated(cli: Cli, key: str | None, expected: str) -> None:
    cli = cli.configure("team/proj").using(WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY=key)
    said = cli.fails(4, "pull")
    assert expected in said.error
    assert key is None or key not in said.err
