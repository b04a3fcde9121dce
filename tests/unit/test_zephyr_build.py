"""What a build of Zephyr says of its loader and its CPU. Expected: Zephyr's Kconfig, its release dates, the folders of
``west build``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llext_tools import profile
from llext_tools.cli import main
from llext_tools.profile.releases import FIRST, profile_for

ARM = "CONFIG_ARM=y\nCONFIG_LLEXT_TYPE_ELF_OBJECT=y\n"
RISCV = "CONFIG_RISCV=y\nCONFIG_LLEXT_TYPE_ELF_RELOCATABLE=y\n"
MAC = "CONFIG_RISCV_ISA_EXT_M=y\nCONFIG_RISCV_ISA_EXT_A=y\nCONFIG_RISCV_ISA_EXT_C=y\n"
DOUBLE = "CONFIG_CPU_HAS_FPU_DOUBLE_PRECISION=y\n"


def build(folder: Path, options: str, version: str = "4.2.0", header: str = "zephyr/version.h") -> Path:
    path = folder / "zephyr" / "include" / "generated" / header
    path.parent.mkdir(parents=True)
    path.write_text(f'#ifndef V\n#define KERNELVERSION 0x4020000\n#define KERNEL_VERSION_STRING     "{version}"\n')
    (folder / "zephyr" / ".config").write_text(f"# a comment\nCONFIG_LLEXT=y\n{options}")
    return folder


def show(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["zephyr", "show", "--json", *words]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("version", "name", "exact"),
    [
        ("4.2.0", "zephyr-4.2", True),
        ("4.2.1", "zephyr-4.2", True),
        ("v4.2.0-rc1", "zephyr-4.2", True),
        ("4.1.99", "zephyr-4.2", False),
        ("4.1.0", "zephyr-4.2", False),
        ("3.7.0", "zephyr-4.2", False),
        ("4.2.99", "zephyr-4.2", False),
        ("4.3.0", "zephyr-4.2", False),
        ("4.4.0", "zephyr-4.2", False),
        ("4.4.99", "zephyr-next", False),
        ("4.5.0", "zephyr-next", False),
        ("5.0.0", "zephyr-next", False),
        ("4", "", False),
        ("main", "", False),
    ],
)
def test_the_profile_of_a_release(version: str, name: str, exact: bool) -> None:
    assert profile_for(version) == (name, exact)
    assert {name for name, _ in FIRST} <= set(profile.names())


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (ARM + "CONFIG_CPU_CORTEX_M0PLUS=y\n", "cortex-m0plus"),
        (ARM + "CONFIG_CPU_CORTEX_M3=y\n", "cortex-m3"),
        (ARM + "CONFIG_CPU_CORTEX_M4=y\n# CONFIG_FPU is not set\n", "cortex-m4"),
        (ARM + "CONFIG_CPU_CORTEX_M4=y\nCONFIG_FPU=y\nCONFIG_FP_HARDABI=y\n", "cortex-m4f"),
        (ARM + "CONFIG_CPU_CORTEX_M4=y\nCONFIG_FPU=y\nCONFIG_FP_SOFTABI=y\n", ""),
        (ARM + "CONFIG_CPU_CORTEX_M7=y\nCONFIG_FPU=y\nCONFIG_FP_HARDABI=y\n" + DOUBLE, "cortex-m7"),
        (ARM + "CONFIG_CPU_CORTEX_M7=y\nCONFIG_FPU=y\nCONFIG_FP_HARDABI=y\n", ""),
        (ARM + "CONFIG_CPU_CORTEX_M33=y\n", "cortex-m33"),
        (ARM + "CONFIG_CPU_CORTEX_M33=y\nCONFIG_FPU=y\nCONFIG_FP_HARDABI=y\n", ""),
        (ARM + "CONFIG_CPU_CORTEX_M85=y\n", ""),
        (RISCV + MAC + "CONFIG_RISCV_ISA_RV32I=y\n", "rv32imac"),
        (RISCV + MAC + "CONFIG_RISCV_ISA_RV32I=y\nCONFIG_FPU=y\nCONFIG_FLOAT_HARD=y\n", "rv32imafc"),
        (RISCV + MAC + "CONFIG_RISCV_ISA_RV64I=y\nCONFIG_FPU=y\nCONFIG_FLOAT_HARD=y\n" + DOUBLE, "rv64gc"),
        (RISCV + MAC.replace("EXT_A=y", "EXT_A=n") + "CONFIG_RISCV_ISA_RV32I=y\n", ""),
    ],
)
def test_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, target: str) -> None:
    build(tmp_path, options)
    assert show(capsys, "-d", str(tmp_path))["target"] == target


def test_what_else_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = RISCV + "CONFIG_LLEXT_STORAGE_WRITABLE=y\nCONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID=y\n"
    options += 'CONFIG_KERNEL_BIN_NAME="image"\n'
    build(tmp_path, options, "4.5.0", "version.h")  # the header's place until Zephyr 3.7
    (tmp_path / "zephyr" / "image.elf").write_bytes(b"")
    for path in ("b/one.llext", "two.llext", "a/one.llext", "CMakeFiles/three.llext", ".git/four.llext"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    found = show(capsys, "-d", str(tmp_path))
    assert found == {
        "firmware": str(tmp_path / "zephyr" / "image.elf"),
        "config": str(tmp_path / "zephyr" / ".config"),
        "target": "",
        "profile": "zephyr-next",
        "exact": False,
        "version": "4.5.0",
        "kind": "relocatable",
        "storage": "writable",
        "slid": True,
        "extensions": {"two": str(tmp_path / "two.llext"), "one": str(tmp_path / "a" / "one.llext")},
    }
    assert show(capsys, "-d", str(tmp_path), "--zephyr-version", "4.2.0")["profile"] == "zephyr-4.2"
    assert main(["zephyr", "show", "-d", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "profile         zephyr-next (the nearest)\n" in text
    assert "imports         by SLID\n" in text


def test_a_folder_of_sysbuild(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image with extensions is meant; of two, one has to be named."""
    monkeypatch.chdir(tmp_path)
    app = build(tmp_path / "build" / "app", ARM)
    boot = build(tmp_path / "build" / "mcuboot", ARM)
    (boot / "zephyr" / ".config").write_text("# CONFIG_LLEXT is not set\n" + ARM)
    assert show(capsys)["config"] == "build/app/zephyr/.config"
    second = build(tmp_path / "build" / "second", ARM)
    assert main(["zephyr", "show"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "`build` holds several builds with extensions: `build/app`, `build/second`" in said
    assert show(capsys, "-d", "build/second")["config"] == "build/second/zephyr/.config"
    monkeypatch.chdir(app)
    assert show(capsys)["config"] == "./zephyr/.config"
    monkeypatch.chdir(second / "zephyr")
    assert show(capsys, "-d", ".")["config"] == "./.config"


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (None, ["show"], "there is no build folder `build`"),
        ("", ["show"], "is of a CPU that is not supported"),
        ("CONFIG_LLEXT=n\n" + ARM, ["show"], "`CONFIG_LLEXT` is off in `build/zephyr/.config`"),
        (ARM, ["show", "--zephyr-version", "next"], "`next` is no version of Zephyr"),
        (ARM, ["check"], "there are no extensions in `build`"),
        (ARM, ["check", "hello"], "there is no extension `hello` in `build` = help: the build has made none"),
        (ARM, ["run", "hello.llext"], "there is no extension `hello.llext` in `build`"),
        (ARM + "CONFIG_LLEXT_HEAP_SIZE=0\n", ["check", __file__, "--no-firmware"],
         "`CONFIG_LLEXT_HEAP_SIZE=0` is a heap that no extension fits into --> build/zephyr/.config:5 = help: "),
        (ARM, ["check", __file__], "there is no firmware in `build/zephyr` yet"),
        (ARM, ["run", __file__], "there is no firmware in `build/zephyr` yet"),
        (ARM, ["check", __file__, "--no-firmware", "--exports", "x"], "there is a firmware, and --no-firmware"),
        (ARM, ["run", __file__, "--builtin-host", "--exports", "x"], "there is a firmware, and --builtin-host"),
        (RISCV.replace("RELOCATABLE", "SHAREDLIB"), ["run", __file__], "shared libraries cannot be run, only checked"),
        (ARM, ["check", "--werorr"], "llext zephyr check: there is no option `--werorr` = help: did you mean"),
        (ARM, ["chekc"], "ACTION cannot be `chekc` = help: did you mean `check`?"),
        (ARM, [], "missing argument: ACTION = help: "),
        (ARM, ["check", "--manifest"], "expected one argument = help: `llext zephyr check --help` shows the arguments"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: str | None,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if options is not None:
        build(tmp_path / "build", options)
    assert main(["zephyr", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_extensions_of_one_name_are_all_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy, as an application makes one, is not another extension; which one is to run has to be said."""
    monkeypatch.chdir(tmp_path)
    root = build(tmp_path / "build", ARM)
    for name, text in {"a/x.llext": "1", "b/x.llext": "2", "c/x.llext": "1", "b/y.llext": "1"}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    assert main(["zephyr", "check", "--no-firmware"]) != 0
    said = capsys.readouterr().err
    assert [name for name in ("a/x", "b/x", "c/x", "b/y") if f"--> build/{name}.llext" in said] == ["a/x", "b/x", "b/y"]
    assert show(capsys)["extensions"] == {
        "a/x.llext": "build/a/x.llext",
        "b/x.llext": "build/b/x.llext",
        "y": "build/b/y.llext",
    }
    assert main(["zephyr", "run", "x", "--builtin-host"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "`build` has 2 extensions `x`: `build/a/x.llext` and `build/b/x.llext` = help: give the path of one" in said


@pytest.mark.parametrize("action", ["check", "run", "show"])
def test_each_action_has_its_help(capsys: pytest.CaptureFixture[str], action: str) -> None:
    assert main(["zephyr", action, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: llext zephyr {action} ")
    assert "-d, --build-dir FOLDER" in out
    assert len(out.splitlines()) <= 24
    assert all(len(line) <= 80 for line in out.splitlines())
