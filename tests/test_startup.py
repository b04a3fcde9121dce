"""Starting fast is a feature: what a command loads, seen from a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import built
import fw
import llext_tools
from conformance.cases import files

HEAVY = {"numpy", "lief", "elftools", "unicorn"}
SLOW_HELP = {"argparse", "dataclasses", "typing", "re", "inspect", "enum", "pathlib"}

PROBE = """
import sys
before = set(sys.modules)
from llext_tools.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
print("\\0".join([str(code), *sorted(set(sys.modules) - before)]), file=sys.stderr)
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    """Exit code of ``llext ARGUMENTS``, and the modules that it loaded."""
    done = subprocess.run([sys.executable, "-P", "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    code, *modules = done.stderr.strip().splitlines()[-1].split("\0")
    return int(code), set(modules)


@pytest.mark.parametrize("option", ["--help", "--version", "cmake-dir"])
def test_help_loads_next_to_nothing(option: str) -> None:
    code, modules = loaded_by(option)
    assert code == 0
    assert not modules & (HEAVY | SLOW_HELP)
    assert len({m for m in modules if m.startswith("llext_tools")}) <= 4


@pytest.mark.parametrize("what", ["undefined-symbol", "elf-magic"])
def test_explain_loads_no_library(what: str) -> None:
    code, modules = loaded_by("explain", what)
    assert code == 0
    assert not modules & HEAVY


@pytest.mark.parametrize("arguments", ["targets", "cflags --target cortex-m4", "ldflags --target rv64gc"])
def test_what_is_known_of_a_target_needs_no_library(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # cflags and ldflags may find no compiler
    code, modules = loaded_by(*arguments.split())
    assert code in (0, 11)
    assert {"llext_tools.arch.arm.targets", "llext_tools.arch.riscv.targets"} <= modules
    assert not modules & HEAVY


def test_pytest_starts_without_any_library(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(llext_extension): pass\n")
    start = "import sys, pytest; code = pytest.main(sys.argv[1:]); print(); print(int(code), *sys.modules)"
    options = ["-p", "llext_tools.pytest_plugin", "--collect-only", "-q", "--rootdir=.", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-P", "-c", start, *options],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "test_it.py::test_it" in done.stdout
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "llext_tools.pytest_plugin" in modules
    assert not HEAVY & set(modules)


@pytest.mark.parametrize("command", ["link", "check"])
def test_link_and_check_load_only_numpy(command: str, tmp_path: Path) -> None:
    extension = tmp_path / "e.llext"
    extension.write_bytes(files()["ptrs_arm_gcc/e.llext"])
    more = ("-o", str(tmp_path / "out.elf")) if command == "link" else ()
    code, modules = loaded_by(command, str(extension), *more)
    assert code == 0
    assert not modules & {"lief", "unicorn", "elftools"}


def test_build_loads_nothing_of_the_check(tmp_path: Path) -> None:
    """Each call of an up-to-date build would pay for it. This one ends when the jobs are chosen."""
    (tmp_path / "CMakeLists.txt").touch()
    (tmp_path / "llext.toml").write_text('[build]\ntargets = ["cortex-m4"]\n')
    code, modules = loaded_by("build", str(tmp_path), "--target", "no-such-cpu")
    assert code == 2
    assert {"llext_tools.cli.settings_build", "llext_tools.toolchains"} <= modules
    assert not modules & HEAVY
    assert not {m for m in modules if m.startswith(("llext_tools.check", "llext_tools.host", "llext_tools.llext"))}


@pytest.mark.toolchain
def test_a_firmware_that_is_known_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second check of a finished extension compares types without any reader of debug information."""
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    firmware, gcc = fw.build(tmp_path, fw.SOURCE, "-g"), built.find("cortex-m4", "gcc")
    merged = gcc.merge(tmp_path, gcc.compile(tmp_path, built.SOURCE, "-g"))
    assert loaded_by("finish", str(merged))[0] == 0
    extension = str(tmp_path / "hello.llext")
    readers = {"llext_tools.abi.dwarf", "llext_tools.elf.dies", "elftools", "lief"}
    for known in (False, True):
        code, modules = loaded_by("check", extension, "--exports", str(firmware))
        assert code == 0
        assert ("llext_tools.abi.dwarf" in modules) != known
        assert not (modules & readers and known)
        assert "llext_tools.abi.compare" in modules


def test_public_names_are_the_same_whatever_is_loaded() -> None:
    """A module that has the name of a function takes its place as soon as it is imported."""
    first = [getattr(llext_tools, name) for name in llext_tools.__all__]
    again = [getattr(llext_tools, name) for name in llext_tools.__all__]
    assert not [each for each in (*first, *again) if isinstance(each, ModuleType)]
