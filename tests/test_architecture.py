"""The bones: layers, public names, one idea a file."""

from __future__ import annotations

import ast
from pathlib import Path

import mirror
from mirror import errors

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "mirror").rglob("*.py"))


def test_every_public_name_is_there_and_documented() -> None:
    for name in mirror.__all__:
        assert getattr(mirror, name).__doc__, name


def test_every_folder_says_its_words() -> None:
    for folder in sorted({path.parent for path in SOURCES}):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert text, folder


def test_every_file_begins_with_its_one_idea_and_stays_short() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), path
        assert len(text.splitlines()) <= 400, path


def test_the_error_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.MirrorError):
            assert name in drawn, name
            assert kind.exit_code in range(1, 11)


def test_no_file_but_durable_renames_or_syncs_by_itself() -> None:
    allowed = {"mirror/durable.py"}
    for path in SOURCES:
        relative = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"fsync", "rename", "renames"}:
                assert relative in allowed, f"{relative}:{node.lineno}"


def test_the_sandbox_imports_nothing_of_the_program_that_it_judges() -> None:
    for path in (ROOT / "mirror" / "sandbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            for name in names:
                assert not name.startswith("mirror") or name.startswith("mirror.sandbox"), f"{path}: {name}"
