"""Who may import whom. Oracle: the table in docs/explanation/architecture.md; the imports come from ``ast``."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import llext_tools

PACKAGE = Path(llext_tools.__file__).parent
TABLE = Path(__file__).parents[1] / "docs" / "explanation" / "architecture.md"
ROW = re.compile(r"^\| (?P<row>\d) \| (?P<modules>.+?) \| (?P<outside>.+?) \|$", re.MULTILINE)


class Place(NamedTuple):
    """Where a module stands: a lower place may be imported from a higher one."""

    row: int
    column: int
    group: str  # the table's entry, such as ``link`` or ``arch.*``
    outside: frozenset[str]


class Import(NamedTuple):
    line: int
    target: str  # full module name
    lazy: bool  # inside a function


@cache
def table() -> tuple[Place, ...]:
    return tuple(
        Place(int(row["row"]), column, group, frozenset(re.findall(r"`([\w.: ]+)`", row["outside"])))
        for row in ROW.finditer(TABLE.read_text(encoding="utf-8"))
        for column, group in enumerate(re.findall(r"`([\w.*]+)`", row["modules"]))
    )


def modules() -> dict[str, Path]:
    """All modules of the package, named without ``llext_tools.``; a package has its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "share" in path.relative_to(PACKAGE).parts:  # the samples in an installed wheel
            continue
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def place(module: str) -> Place:
    """The most specific entry: the module itself, its sub-package, then its package."""
    entries = {entry.group: entry for entry in table()}
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        prefix = ".".join(parts[:n])
        if prefix in entries:
            return entries[prefix]
        if n > 1 and (pattern := ".".join([*parts[: n - 1], "*"])) in entries:
            return entries[pattern]
    raise LookupError(f"{module} is not in the table of {TABLE.name}")


def package(module: str, entry: Place) -> str:
    """Whose siblings a module may import: ``arch.arm`` for all of that folder, ``link`` for ``link.symtab``."""
    return ".".join(module.split(".")[: entry.group.count(".") + 1]) if "*" in entry.group else entry.group


def imports(path: Path) -> Iterator[Import]:
    """Absolute imports, without those under ``if TYPE_CHECKING`` (they do not happen at run time)."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for otherwise in node.orelse:
                yield from visit(otherwise, lazy)
            return
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {f"llext_tools.{name}" for name in modules()}
            yield from (Import(node.lineno, name, lazy) for name in sorted(submodules & known) or [node.module])
        lazy |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


ALL = sorted(name for name in modules() if name not in ("", "__main__"))


@pytest.mark.parametrize("module", ALL)
def test_imports_go_to_lower_rows(module: str) -> None:
    here, path = place(module), modules()[module]
    for found in imports(path):
        where = f"{path}:{found.line}: {found.target}"
        top, _, rest = found.target.partition(".")
        if top == "llext_tools":
            if not rest:
                continue  # __version__ and cmake_dir, which import nothing
            there = place(rest)
            same = package(rest, there) == package(module, here)
            assert same or (there[:2] < here[:2] and not siblings(here, there)), f"{where} is not below {module}"
        elif top not in sys.stdlib_module_names:
            assert "anything" in here.outside or top in outside(module, here), f"{where} is not for {module}"


def siblings(here: Place, there: Place) -> bool:
    return "*" in here.group and here.group == there.group


def outside(module: str, entry: Place) -> set[str]:
    """Packages that a module may import: ``numpy``, or ``elftools: elf.dwarf`` for that module alone."""
    allowed = set()
    for item in entry.outside:
        name, _, only = item.partition(": ")
        if not only or any(fnmatchcase(module, pattern) for pattern in only.split()):
            allowed.add(name)
    return allowed


def test_every_entry_of_the_table_exists() -> None:
    names = list(modules())
    for entry in table():
        assert any(fnmatchcase(name, entry.group) for name in names), f"{entry.group} is in the table, but not there"


@pytest.mark.parametrize("module", [m for m in ALL if not m.startswith(("cli", "pytest_plugin"))])
def test_only_the_command_line_prints_or_exits(module: str) -> None:
    path = modules()[module]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("print", "exit", "quit", "sys.exit", "os._exit", "input"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("module", [m for m in ALL if not m.startswith("cli")])
def test_heavy_imports_stand_at_the_top(module: str) -> None:
    """A library that loads late hides its cost; the command table of ``cli`` is the one lazy place."""
    for found in imports(modules()[module]):
        if found.lazy:
            top = found.target.partition(".")[0]
            assert top in sys.stdlib_module_names or top == "llext_tools", f"{module}:{found.line}: {found.target}"


def test_cmake_calls_the_command_line_only() -> None:
    folder = Path(__file__).parents[1] / "cmake"
    files = [*folder.rglob("*.cmake"), *folder.rglob("*.cmake.in")]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"python\S*\s+-c\b|\bimport llext_tools\b", text, re.IGNORECASE), path
