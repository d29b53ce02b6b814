"""A configuration is right or refused, with the path of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.config import Config, conflict_policy, load_config, loopback_address, parse_config
from mirror.errors import ConfigError
from mirror.layout import find_home


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server", "not valid TOML"),
        ("[serve]\nlisten = '8600'", "serve: listen is HOST:PORT"),
        ("[servr]", "servr is not a known setting"),
        ("[server]\nbase_ur = 'x'", "server.base_ur is not a known setting"),
        ("[[source]]\npath = 'a/b'\npaht = 1", "paht is not a known setting"),
        ("[[source]]\npath = 'a'", "ENTITY/PROJECT"),
        ("[[source]]\npath = 'a/b/c'", "ENTITY/PROJECT"),
        ("[[source]]\npath = 'a*/b'", "only the project may hold a glob"),
        ('[[source]]\npath = "a/b\\u0000"', "control characters"),
        ("[[source]]", "path"),
        ("[pull]\noverlap_minutes = 0", "overlap_minutes"),
        ("[pull]\noverlap_minutes = inf", "overlap_minutes"),
        ("[pull]\noverlap_minutes = nan", "overlap_minutes"),
        ("[pull]\npage_size_max = 1099511627776", "page_size_max"),
        ("[pull]\npage_size_max = '7'", "page_size_max"),
        ("[pull]\ngone_fraction_max = 1.5", "gone_fraction_max"),
        ("[pull]\nrequests_per_second = 0", "requests_per_second"),
        ("[pull]\nrequests_per_second = -1.0", "requests_per_second"),
        ("[pull]\nrequests_per_second = '1'", "requests_per_second"),
        ("[server]\nrate_limit_patience_minutes = -1", "rate_limit_patience_minutes"),
        ("[daemon]\nlisten = '0.0.0.0:9155'", "HOST:PORT on loopback"),
        ("[daemon]\nlisten = '[::]:9155'", "HOST:PORT on loopback"),
        ("[daemon]\nlisten = 'example.com:9155'", "HOST:PORT on loopback"),
        ("[daemon]\nlisten = '127.0.0.1'", "HOST:PORT on loopback"),
        ("[daemon]\nlisten = '127.0.0.1:0'", "HOST:PORT on loopback"),
        ("[daemon]\nlisten = '127.0.0.1:65536'", "HOST:PORT on loopback"),
        ("[health]\nlate_after_hours = 0", "late_after_hours"),
        ("[store]\nmemory_limit_mb = 1", "memory_limit_mb"),
        ("[[source]]\npath = 'a/b'\nconflicts = 'mine'", "source[0].conflicts: 'mine' is not one of"),
        ("[[source]]\npath = 'a/b'\nconflicts = 1", "source[0].conflicts"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, origin="mirror.toml")
    assert words in caught.value.message
    assert caught.value.message.startswith("mirror.toml")
    assert "\n" not in caught.value.message


def test_an_address_on_loopback_is_taken_in_each_of_its_forms() -> None:
    for text, host in (("127.0.0.1:9155", "127.0.0.1"), ("localhost:9155", "127.0.0.1"), ("[::1]:9155", "::1")):
        config = parse_config(f"[daemon]\nlisten = '{text}'", origin="mirror.toml")
        assert loopback_address(config.daemon.listen) == (host, 9155)


def test_a_near_miss_is_answered_with_the_right_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("[server]\nbase_ur = 'x'", origin="mirror.toml")
    assert "base_url" in caught.value.hint


def test_a_file_that_does_not_exist_counts_as_empty_and_the_environment_speaks(tmp_path: Path) -> None:
    assert load_config(tmp_path / "none.toml", env={}) == Config()
    spoken = load_config(tmp_path / "none.toml", env={"WANDB_BASE_URL": " http://127.0.0.1:9 "})
    assert spoken.server.base_url == "http://127.0.0.1:9"


def test_a_mark_in_front_of_the_file_is_read_over_and_other_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mirror.toml"
    path.write_bytes(b"\xef\xbb\xbf[pull]\npage_size_start = 7\n")
    assert load_config(path, env={}).pull.page_size_start == 7
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(path, env={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, env={})


def test_the_key_is_in_no_repr() -> None:
    config = parse_config("[server]\napi_key = 'secret-secret'", origin="x")
    assert "secret" not in repr(config)


def test_the_home_is_the_argument_then_the_environment(tmp_path: Path) -> None:
    env = {"WANDB_MIRROR_HOME": str(tmp_path / "env")}
    assert find_home(tmp_path / "given", env).root == tmp_path / "given"
    assert find_home(None, env).root == tmp_path / "env"
    assert find_home(None, {}).root.is_absolute()


@pytest.mark.parametrize("wrong", ["~no-such-user-here/x"])
def test_a_home_that_is_no_path_is_an_error_of_ours(wrong: str) -> None:
    with pytest.raises(ConfigError):
        find_home(wrong, {})


def test_the_first_source_that_names_a_project_decides_about_conflicts() -> None:
    text = "\n".join(
        f"[[source]]\npath = '{path}'\nconflicts = '{conflicts}'"
        for path, conflicts in (("team/vision-1", "ours"), ("team/vision-*", "theirs"))
    )
    sources = parse_config(text, origin="x").source
    assert conflict_policy(sources, "team", "vision-1") == "ours"
    assert conflict_policy(sources, "team", "vision-2") == "theirs"
    assert conflict_policy(sources, "team", "other") == "hold"
    assert conflict_policy(sources, "other", "vision-1") == "hold"
