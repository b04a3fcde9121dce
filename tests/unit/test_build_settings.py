"""The table `[build]`, and what the command line says instead. Expected values are written out by hand."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from llext_tools.build import Firmware, Job
from llext_tools.cli import build as cli_build
from llext_tools.cli import settings, settings_build
from llext_tools.errors import LlextError, UsageError
from transcript import llext

ALL = """\
werror = true
profile = "abi"
[build]
targets = ["cortex-m4", "rv32imac"]
toolchains = "gcc"
profile = "zephyr-4.2"
heap = 8192
jobs = 3
keep-going = true
run = false
define = { BOARD = "a", LEVEL = 3, FAST = true }
output = "out"
build-dir = "made"
[[build.firmware]]
name = "v1"
file = "v1.elf"
[[build.firmware]]
name = "v2"
file = ["v2.elf", "more.toml"]
target = "cortex-m4"
heap = "4K"
profile = "zephyr-next"
config = ["CONFIG_MPU=y"]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli_build.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("name", ["llext.toml", "pyproject.toml"])
def test_every_key_is_taken(name: str) -> None:
    text = ALL if name == "llext.toml" else "[tool.llext]\n" + ALL.replace("[build", "[tool.llext.build")
    Path(name).write_text(text, encoding="utf-8")
    found = settings_build.read(name)
    assert found == settings_build.BuildSettings(
        targets=("cortex-m4", "rv32imac"),
        toolchains=("gcc",),
        profile="zephyr-4.2",
        heap="8192",
        firmware=(
            Firmware(name="v1", files=("v1.elf",)),
            Firmware(
                name="v2",
                files=("v2.elf", "more.toml"),
                targets=("cortex-m4",),
                heap="4K",
                profile="zephyr-next",
                config=("CONFIG_MPU=y",),
            ),
        ),
        jobs=3,
        keep_going=True,
        run=False,
        define=("BOARD=a", "LEVEL=3", "FAST=ON"),
        output="out",
        build_dir="made",
    )
    assert set(settings_build.BuildSettings._fields) == {key.replace("-", "_") for key in settings_build.KEYS}
    assert settings.read(name).profile == "abi", "the keys of the check are its own"


def test_the_command_line_goes_before(tmp_path: Path) -> None:
    Path("llext.toml").write_text(ALL, encoding="utf-8")
    (tmp_path / "zephyr.elf").touch()
    words = ("--target=rv64gc", "--toolchain=zig", "--heap=1K", "--jobs=1", "--no-keep-going", "--run", "-DBOARD=b")
    args = arguments(*words, "--firmware=zephyr.elf", "--firmware=next=zephyr.elf", "--output=o", "--profile=abi")
    firmware = cli_build.merge(args, settings_build.read("llext.toml"))
    assert [(each.name, each.files) for each in firmware] == [("zephyr", ("zephyr.elf",)), ("next", ("zephyr.elf",))]
    assert (args.target, args.toolchain, args.heap, args.jobs) == (["rv64gc"], ["zig"], "1K", 1)
    assert (args.keep_going, args.run_tests, args.output, args.build_dir) == (False, True, "o", "made")
    assert args.define[-1] == "BOARD=b"
    assert args.profile == "abi"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("text.txt", b"hello\n", "exports-syntax"),
        ("empty.elf", b"", "exports-syntax"),
        ("table.toml", b"[exports]\nprintk = 'here'\n", "exports-syntax"),
        ("extension.elf", b"\x7fELF\1\1\1" + bytes(9) + b"\1\0\x28\0", "elf-truncated"),
        ("gone.elf", None, "file-unreadable"),
    ],
)
def test_what_is_no_firmware_is_said_before_anything_is_built(
    name: str, data: bytes | None, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gABI, "ELF Header": 1 in e_type is a relocatable file, 2 an executable one, which jobs read themselves."""
    monkeypatch.chdir(tmp_path)
    if data is not None:
        Path(name).write_bytes(data)
    jobs = [
        Job(target=each, toolchain="gcc", build=tmp_path, output=tmp_path, firmware=Firmware(name="a", files=(name,)))
        for each in ("cortex-m4", "rv32imac")
    ]
    with pytest.raises(LlextError) as found:
        cli_build.check_firmware(jobs)
    assert [each.code for each in found.value.diagnostics] == [code]
    Path(name).write_bytes(b"\x7fELF\1\1\1" + bytes(9) + b"\2\0\x28\0")
    cli_build.check_firmware(jobs)


def test_a_firmware_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"there is no file `v9\.elf`"):
        cli_build.merge(arguments("--firmware=v9.elf"), settings_build.BuildSettings())


def test_all_that_is_wrong_comes_at_once_with_its_line() -> None:
    text = (
        'heap = "8K"\n'
        "[build]\n"
        'target = ["cortex-m4"]\n'
        'heap = "8Q"\n'
        "jobs = 0\n"
        'run = "no"\n'
        'define = { A = [1], LLEXT_TARGET = "cortex-m4" }\n'
        "[[build.firmware]]\n"
        'name = "v1"\n'
        'file = "a.elf"\n'
        "[[build.firmware]]\n"
        'name = "v/2"\n'
        'file = "a.elf"\n'
        "[[build.firmware]]\n"
        'file = "a.elf"\n'
    )
    Path("llext.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        settings_build.read("llext.toml")
    found = [(d.location.line, d.message) for d in caught.value.diagnostics if d.location]
    assert [line for line, _ in found] == [3, 4, 5, 6, 7, 7, 12, 15]
    assert caught.value.diagnostics[0].help == "did you mean `targets`?"
    assert caught.value.diagnostics[5].help == "`--target T`, or `targets` of [build]"


@pytest.mark.parametrize("line", ['output = "a\\u0000"', 'define = { A = "\\u0000" }', 'targets = ["\\u0000"]'])
def test_a_text_with_a_nul_is_refused(line: str) -> None:
    Path("CMakeLists.txt").touch()
    Path("llext.toml").write_text(f"[build]\n{line}\n", encoding="utf-8")
    code, printed = llext("build")
    assert (code, "error[settings-syntax]: a text holds the character U+0000" in printed) == (2, True), printed
    assert "--> llext.toml:2" in printed


@pytest.mark.parametrize("name", settings_build.OURS)
def test_variables_that_are_ours(name: str) -> None:
    Path("CMakeLists.txt").touch()
    code, printed = llext("build", f"-D{name}:STRING=x")
    assert (code, f"error[usage]: -D: `{name}` is for `llext build` to set" in printed) == (2, True), printed
    assert "= help: " in printed
    assert [path.name for path in Path().iterdir()] == ["CMakeLists.txt"]


@pytest.mark.parametrize("name", settings_build.OF_ZIG)
def test_variables_that_are_ours_for_zig(name: str, tmp_path: Path) -> None:
    gcc, zig = (Job(target="cortex-m4", toolchain=each, build=tmp_path, output=tmp_path) for each in ("gcc", "zig"))
    cli_build.check_defined([gcc], [f"{name}=x"])
    with pytest.raises(UsageError, match=f"`{name}` is for .* where zig compiles, as for cortex-m4-zig"):
        cli_build.check_defined([gcc, zig], ["A=1", f"{name}:FILEPATH=x"])


def test_a_preset_may_leave_the_target_to_the_command_line() -> None:
    said = cli_build.variables_said(arguments("--preset=p", "-DLLEXT_TARGET=cortex-m4"))
    assert said == {"LLEXT_TARGET"}
    with pytest.raises(UsageError, match="CMAKE_GENERATOR"):
        cli_build.variables_said(arguments("--preset=p", "-DCMAKE_GENERATOR=Xcode"))
