"""What the settings say wrong of packing: named with its file and line. Oracle: the files, written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import made
from transcript import llext

ONE = "dist/cortex-m4-gcc/blink.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made.dist(tmp_path, ("blink",))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "options", "said"),
    [
        ("llext.toml", '[build]\ntargets = ["cortex-m44"]', [], "`targets` cannot be `cortex-m44` --> llext.toml:2"),
        ("llext.toml", '[build]\n\ntoolchains = "gcx"', [], "`toolchains` cannot be `gcx` --> llext.toml:3"),
        ("llext.toml", '[build]\ntoolchains = ["auto", "zig", "gcc"]', [ONE], ""),
        ("llext.toml", '[[build.firmware]]\nname = "a"\nfile = "a"\ntarget = "m4"', [], "`m4` --> llext.toml:4"),
        ("llext.toml", "[build]\nx = 1", [], "there is no key `x` --> llext.toml:2"),
        ("llext.toml", "[build]\nx = 1", ["dist"], "there is no key `x` --> llext.toml:2"),
        ("llext.toml", "[build]\nx = 1", [ONE], ""),
        ("llext.toml", '[pack]\nname = "a/b"', [ONE], "`name` cannot be `a/b` --> llext.toml:2"),
        ("llext.toml", '[pack]\nversion = "1\\n2"', [ONE], "`version` cannot be `1\\n2` --> llext.toml:2"),
        ("llext.toml", '[pack]\nkey = ["no.pub"]', [ONE], "`key`: there is no file `no.pub` --> llext.toml:2"),
        ("pyproject.toml", '[tool.llext.pack]\nname = "a\\\\b"', [ONE], "`a\\b` --> pyproject.toml:2"),
        ("pyproject.toml", '[project]\nname = "a/b"', [ONE], "`name` cannot be `a/b` --> pyproject.toml:2"),
        ("pyproject.toml", '[project]\nname = "a/b"', [ONE, "--name=x"], ""),
        ("pyproject.toml", '[project]\nname = "a"\n[project', [ONE], "--> pyproject.toml:3"),
        ("pyproject.toml", "[project", [ONE, "--version=1"], "--> pyproject.toml:1"),
        ("pyproject.toml", "[project", [ONE, "--name=x", "--version=1"], ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    file: str, text: str, options: list[str], said: str, folder: Path
) -> None:
    (folder / file).write_text(f"{text}\n")
    code, codes, printed = made.refused("pack", "-o", "b.llextpack", *options)
    assert (code, codes) == ((2, {"settings-syntax"}) if said else (0, set())), printed
    assert said in printed
    assert Path("b.llextpack").exists() == (not said)


def test_what_settings_say_goes_before_the_project(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project")
    (folder / "llext.toml").write_text('[pack]\nname = "kit"\nversion = "2"\n')
    assert llext("pack")[0] == 0
    assert "kit 2" in llext("inspect", "kit.llextpack")[1]


@pytest.mark.parametrize("command", ["verify", "unpack"])
def test_a_key_that_is_not_there(command: str, folder: Path) -> None:
    made.packed(folder)
    (folder / "llext.toml").write_text('[pack]\nkey = "no.pub"\n')
    code, codes, printed = made.refused(command, "b.llextpack")
    assert (code, codes) == (2, {"settings-syntax"})
    assert "`key`: there is no file `no.pub` --> llext.toml:2" in printed
