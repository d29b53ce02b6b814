"""The bones: layers, public names, one idea a file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
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


# What people hold leads from one to the other as in the SDK and says so by its types: a run to its sweep and artifacts,
# a sweep to its runs, a version to its collection, its entries, and the run that logged it.
ONE_OF_ANOTHER = {
    *("run", "runs", "sweeps"),
    *(f"artifacts.{name}" for name in ("artifact", "collection_lists", "collections", "files", "logged_objects")),
    *(f"artifacts.{name}" for name in ("manifest", "run_artifacts")),
}


def test_no_files_import_each_other_in_a_circle_but_the_objects_that_people_hold() -> None:
    circles = imports_in_circles()
    assert circles == {f"mirror.run.{name}" for name in ONE_OF_ANOTHER}


def imports_in_circles() -> set[str]:
    """Modules from which imports lead back to themselves, those inside functions and for type checking included."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES
    }
    imports: dict[str, set[str]] = {}
    for name, path in modules.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in modules else node.module for one in named}
        imports[name] = found & modules.keys()
    reached = dict(imports)
    while True:
        further = {name: found.union(*(imports[one] for one in found)) for name, found in reached.items()}
        if further == reached:
            return {name for name, found in reached.items() if name in found}
        reached = further


def test_opening_an_api_imports_no_page_and_nothing_that_writes() -> None:
    program = "import sys, mirror; mirror.Api('nowhere'); print(*(name for name in sys.modules if 'mirror' in name))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) <= 60
    assert not [name for name in loaded if name.startswith(("mirror.store.write", "mirror.run.page", "mirror.outbox"))]


def test_a_pull_loads_arrow_and_the_parser_of_graphql_when_it_needs_them_first() -> None:
    """Each takes as long to load as everything else of a pull that finds nothing."""
    program = "import sys, mirror.cli.commands.pull; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"pyarrow", "numpy", "graphql", "pandas"}.isdisjoint(loaded)


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


ITS_OWN = ("mirror.sandbox", "mirror.wandb_protocol")  # and what is the wire's


def test_the_sandbox_imports_nothing_of_the_program_that_it_judges() -> None:
    for path in (ROOT / "mirror" / "sandbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            for name in names:
                assert not name.startswith("mirror") or name.startswith(ITS_OWN), f"{path}: {name}"


# A command of ours in a hint, with a name that no shell was thought of for.
_COMMANDS = "pull|status|checkout|history|show|edit|code"
_UNQUOTED = re.compile(
    rf"wandb-mirror (?:{_COMMANDS})(?: --[a-z-]+)* \{{(?!in_shell\(|(?:typed|best|artifact\._a_run)\}})"
)


def test_a_command_that_names_a_run_can_be_pasted() -> None:
    assert [str(path) for path in SOURCES if _UNQUOTED.search(path.read_text(encoding="utf-8"))] == []
