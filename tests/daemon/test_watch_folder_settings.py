"""A wrong watch folder is refused with the path of the key and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.config import parse_config
from mirror.daemon.watch_folder.worker import check_watches
from mirror.errors import ConfigError
from mirror.layout import Home

WATCH = "[[source]]\npath = 'team/{project}'\n[[source.watch]]\n"


@pytest.mark.parametrize(
    ("project", "text", "words"),
    [
        ("proj", "run = 'r1'", "source[0].watch[0]: folder is missing"),
        ("proj", "folder = '/data'", "source[0].watch[0]: run is missing"),
        ("proj", "folder = 'data'\nrun = 'r1'", "source[0].watch[0]: a watch folder is a full path"),
        ("proj", "folder = '/data'\nrun = 'a/b'", "source[0].watch[0]: run is the id of a run"),
        ("proj", "folder = '/data'\nrun = ''", "source[0].watch[0]: run is the id of a run"),
        ("proj", "folder = '/data'\nrun = 'r'\nprefix = '../up'", "source[0].watch[0]: prefix is a path inside"),
        ("proj", "folder = '/data'\nrun = 'r'\nignore = ['/a']", "source[0].watch[0]: ignore holds globs"),
        ("proj", "folder = '/data'\nrun = 'r'\nignore = '*.tmp'", "source[0].watch[0].ignore: expected a list"),
        ("proj", "folder = '/data'\nrun = 'r'\nstable_s = 0", "source[0].watch[0].stable_s"),
        ("proj", "folder = '/data'\nrun = 'r'\ngrowing_minutes = inf", "source[0].watch[0].growing_minutes"),
        ("proj", "folder = '/data'\nrun = 'r'\nignored = []", "source[0].watch[0].ignored is not a known setting"),
        ("proj", "folder = '/data'\nrun = 'r'\nproject = 'x'", "source[0]: watch[0]: project 'x' of a watch is none"),
        ("*", "folder = '/data'\nrun = 'r'", "source[0]: watch[0]: the source names many projects"),
        ("*", "folder = '/data'\nrun = 'r'\nproject = 'a*'", "source[0].watch[0]: project is the plain name"),
    ],
)
def test_what_is_wrong_with_a_watch_is_named_by_its_path(project: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(WATCH.format(project=project) + text, origin="mirror.toml")
    assert caught.value.message.startswith(f"mirror.toml: {words}")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def refused(home: Path, *watches: str) -> str:
    """Why the daemon of a home does not take these watches."""
    config = parse_config(
        "[[source]]\npath = 'team/proj'\n" + "".join(f"[[source.watch]]\n{watch}\n" for watch in watches),
        origin="mirror.toml",
    )
    with pytest.raises(ConfigError) as caught:
        check_watches(config, Home(home))
    assert caught.value.hint
    return caught.value.message


def test_a_folder_may_neither_lie_in_the_home_nor_hold_it(tmp_path: Path) -> None:
    home = tmp_path / "x" / "home"
    home.mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    for folder in (home, home / "data", tmp_path, tmp_path / "link" / "in"):
        message = refused(home, f"folder = '{folder}'\nrun = 'r1'")
        assert message.startswith("source[0].watch[0].folder: ")
        assert "lie in each other" in message


def test_a_folder_is_watched_once_for_a_run_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    first, other = f"folder = '{tmp_path}/data'\nrun = 'r1'", f"folder = '{tmp_path}/link/'\nrun = 'r1'\nprefix = 'x'"
    message = refused(tmp_path / "home", first, other)
    assert message.startswith("source[0].watch[1]: ")
    assert "by source[0].watch[0]" in message


def test_a_user_who_does_not_exist_is_named(tmp_path: Path) -> None:
    assert "no such user" in refused(tmp_path, "folder = '~nobody-of-this-name/data'\nrun = 'r1'")


def test_one_folder_for_two_runs_and_two_folders_for_one_run_are_taken(tmp_path: Path) -> None:
    text = WATCH.format(project="*") + "".join(
        f"folder = '{tmp_path}/{folder}'\nrun = '{run}'\nproject = 'p'\n[[source.watch]]\n"
        for folder, run in (("a", "r1"), ("a", "r2"))
    )
    config = parse_config(f"{text}folder = '{tmp_path}/b'\nrun = 'r1'\nproject = 'p'", origin="mirror.toml")
    check_watches(config, Home(tmp_path / "home"))
    assert len(config.source[0].watch) == 3
