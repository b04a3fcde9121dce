"""Compilers of the Zephyr SDK, and which of several counts.

Folders as the SDK lays them out stand in for it, with scripts that call Debian's compilers. Oracles: those, and the
SDK's own `target.cmake`, from which the names and folders are taken.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from builders.by_hand import made, printed
from llext_tools import arch, toolchains, zephyr_sdk
from needs import need
from transcript import llext

TRIPLES = {"arm": "arm-zephyr-eabi", "riscv": "riscv64-zephyr-elf"}
DEBIAN = {"arm": "arm-none-eabi", "riscv": "riscv64-unknown-elf"}
TOOLS = ("gcc", "g++", "ld", "ar", "ranlib")
OLD, NEW = "{}/bin", "gnu/{}/bin"


def sdk(folder: Path, version: str, layout: str = OLD, name: str = "arm") -> Path:
    """An SDK with the compiler of one architecture; returns its folder of programs.

    Its compiler links as picolibc's specs make it: of those, ``--gc-sections`` is what reaches a partial link.
    """
    programs = folder / layout.format(TRIPLES[name])
    programs.mkdir(parents=True)
    (folder / "sdk_version").write_text(f"{version}\n")
    for tool in TOOLS:
        path = programs / f"{TRIPLES[name]}-{tool}"
        real = shutil.which(f"{DEBIAN[name]}-{tool}") or "false"
        linker = "-Wl,--gc-sections" if tool == "gcc" else ""
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} {linker} "$@"\n')
        path.chmod(0o755)
    return programs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a PATH without compilers; no SDK is named, and none is found elsewhere."""
    folder = tmp_path / "home"
    (folder / "empty").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder / "empty"))
    monkeypatch.delenv(zephyr_sdk.VARIABLE, raising=False)
    monkeypatch.setattr(zephyr_sdk, "PLACES", tuple(place for place in zephyr_sdk.PLACES if place.startswith("~")))
    monkeypatch.setattr(toolchains, "find_spec", lambda _name: None)
    return folder


def found(target: str = "cortex-m4") -> Path:
    return Path(toolchains.find(arch.target(target)).path)


@pytest.mark.parametrize("layout", [OLD, NEW])
@pytest.mark.parametrize(("name", "target"), [("arm", "cortex-m33"), ("riscv", "rv32imac")])
@pytest.mark.toolchain
def test_compilers_of_the_sdk_build(
    name: str, target: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled and linked by the programs of the SDK; it is named, so that those in PATH do not count."""
    need(f"{DEBIAN[name]}-gcc")
    programs = sdk(tmp_path / "my sdk", "1.0.0", layout, name)
    monkeypatch.setenv(zephyr_sdk.VARIABLE, str(tmp_path / "my sdk"))
    choice = ("--target", target, "--toolchain", "gcc")
    compiler = printed("cflags", *choice, "--cc")
    assert compiler == [str(programs / f"{TRIPLES[name]}-gcc")]
    (tmp_path / "a.c").write_text("#include <stdint.h>\n#include <llext/symbol.h>\nuint32_t a(void) { return 1; }\n")
    made(tmp_path, *compiler, *printed("cflags", *choice), "-c", "a.c", "-o", "a.o")
    made(tmp_path, *printed("ldflags", *choice, "--ld"), *printed("ldflags", *choice), "a.o", "-o", "a.o.elf")
    code, text = llext("finish", str(tmp_path / "a.o.elf"), *choice)
    assert code == 0, text
    code, text = llext("runtime", *choice, "-o", str(tmp_path / "libruntime.a"))
    assert code == 0, text
    code, text = llext("toolchain", *choice, "--format=cmake")
    assert f'set(CMAKE_CXX_COMPILER "{programs / TRIPLES[name]}-g++" "-m' in text, "the CPU follows"


def test_named_before_path_before_installed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = sdk(home / "zephyr-sdk-0.9.5", "0.9.5")
    assert found() == older / "arm-zephyr-eabi-gcc"
    newer = sdk(home / ".local/opt/zephyr-sdk-0.16.8", "0.16.8")
    assert found() == newer / "arm-zephyr-eabi-gcc"
    registered = sdk(tmp_path / "elsewhere", "1.0.0", NEW)
    entry = home / ".cmake/packages/Zephyr-sdk/0123456789abcdef"
    entry.parent.mkdir(parents=True)
    entry.write_text(str(tmp_path / "elsewhere" / "cmake"))
    assert found() == registered / "arm-zephyr-eabi-gcc"
    in_path = tmp_path / "bin"
    in_path.mkdir()
    for name in "arm-zephyr-eabi-gcc", "arm-none-eabi-gcc":
        (in_path / name).write_text("#!/bin/sh\n")
        (in_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(in_path))
        assert found() == in_path / name
    monkeypatch.setenv(zephyr_sdk.VARIABLE, str(home / "zephyr-sdk-0.9.5"))
    assert found() == older / "arm-zephyr-eabi-gcc"


def test_an_sdk_without_the_compiler_is_passed_over(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its minimal bundle is, or one with compilers of other architectures."""
    arm = sdk(home / "zephyr-sdk-0.16.8", "0.16.8")
    riscv = sdk(tmp_path / "named", "1.0.0", NEW, "riscv")
    monkeypatch.setenv(zephyr_sdk.VARIABLE, str(tmp_path / "named"))
    assert found("rv64gc") == riscv / "riscv64-zephyr-elf-gcc"
    assert found() == arm / "arm-zephyr-eabi-gcc"


@pytest.mark.parametrize("entry", ["", "/nowhere/cmake", "\0", "relative"])
def test_a_stale_entry_of_the_registry_does_no_harm(entry: str, home: Path) -> None:
    path = home / ".cmake/packages/Zephyr-sdk/0"
    path.parent.mkdir(parents=True)
    path.write_text(entry)
    (path.parent / "a folder").mkdir()
    code, text = llext("cflags", "--target", "cortex-m4")
    assert (code, "error[tool-missing]: no compiler for `cortex-m4`" in text) == (11, True)


def test_what_is_missing_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = llext("cflags", "--target", "rv32imac", "--toolchain", "gcc")
    said = " ".join(text.split())
    assert code == 11
    assert "or set ZEPHYR_SDK_INSTALL_DIR to a Zephyr SDK with `riscv64-zephyr-elf-gcc`" in said
    monkeypatch.setenv(zephyr_sdk.VARIABLE, str(home / "empty"))
    code, text = llext("cflags", "--target", "rv32imac", "--toolchain", "gcc")
    assert f"`{home / 'empty'}` has none" in text.replace("\n           ", " ")


def test_doctor_names_the_sdk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "zephyr sdk" not in llext("doctor")[1]
    programs = sdk(home / "zephyr-sdk-0.16.8", "0.16.8")
    _, text = llext("doctor")
    lines = [line.split() for line in text.splitlines()]
    assert ["ok", "zephyr", "sdk", "0.16.8", str(home / "zephyr-sdk-0.16.8")] in lines
    findings = json.loads(llext("doctor", "--json")[1])["findings"]
    paths = [each["path"] for each in findings if each["name"] == "arm-zephyr-eabi-gcc"]
    assert paths == [str(programs / "arm-zephyr-eabi-gcc")]
    shutil.rmtree(home / "zephyr-sdk-0.16.8/arm-zephyr-eabi")
    bare = f"`{home}/zephyr-sdk-0.16.8` has neither `arm-zephyr-eabi-gcc` nor `riscv64-zephyr-elf-gcc`"
    assert bare in llext("doctor")[1]
    monkeypatch.setenv(zephyr_sdk.VARIABLE, os.path.join(home, "gone"))
    assert f"ZEPHYR_SDK_INSTALL_DIR names `{home}/gone`, which is no folder" in llext("doctor")[1]
