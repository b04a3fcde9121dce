"""Presets of a project that `llext build` builds. Oracle: the C preprocessor, which puts a preset's variable into what
a test returns, and CMake's own word on which presets there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cmake_project import LLEXT_COMMAND, llext_build, need_toolchain, tool
from llext_tools import cmake_dir

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.emulator]

NATIVE = "cmake_minimum_required(VERSION 3.25)\nproject(n LANGUAGES NONE)\n"


def write_presets(folder: Path, *presets: dict[str, Any], name: str = "CMakePresets.json", **more: Any) -> None:
    text = json.dumps({"version": 6, **more, "configurePresets": presets})
    (folder / name).write_text(text, encoding="utf-8")


def seen(folder: Path, job: str) -> list[str]:
    return (folder / "build" / job / "seen.txt").read_text(encoding="utf-8").split(" ")


def variables(**more: str) -> dict[str, str]:
    return {"LLEXT_TARGET": "cortex-m4", "LLEXT_TOOLCHAIN": "auto", **more}


def test_presets_in_place_of_targets(folder: Path) -> None:
    """One of them inherits from a hidden one of an included file, and asks for another generator."""
    toolchain = "$env{LLEXT_CMAKE_DIR}/toolchains/llext.cmake"
    (folder / "more").mkdir()
    write_presets(
        folder / "more",
        {"name": "base", "hidden": True, "toolchainFile": toolchain, "cacheVariables": variables()},
    )
    write_presets(
        folder,
        {"name": "five", "inherits": "base", "cacheVariables": {"VALUE": "5", "LLEXT_HEAP": "6K"}},
        {"name": "six", "inherits": "base", "generator": "Unix Makefiles", "cacheVariables": {"VALUE": "6"}},
        include=["more/CMakePresets.json"],
    )
    done = llext_build(folder, "--preset=five", "--preset=six", "--json=result.json")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:6] for line in done.stdout.splitlines() if line.startswith("cortex-m4")]
    assert sorted(rows) == [["cortex-m4", "gcc", name, "1", "1*", "1"] for name in ("five", "six")]
    assert seen(folder, "five") == ["5", "6K", "cortex-m4", "Ninja"]
    assert seen(folder, "six") == ["6", "", "cortex-m4", "Ninja"]
    assert (folder / "dist" / "five" / "one.json").is_file()
    assert not (folder / "CMakeUserPresets.json").exists()
    jobs = json.loads((folder / "result.json").read_text(encoding="utf-8"))["jobs"]
    assert [(job["preset"], job["target"], job["toolchain"]) for job in jobs] == [
        ("five", "cortex-m4", "gcc"),
        ("six", "cortex-m4", "gcc"),
    ]

    log = folder / "build" / "five" / "llext.log"
    assert llext_build(folder, "--preset=five").returncode == 0
    assert "--preset" not in log.read_text(encoding="utf-8"), "CMake need not run again"
    text = (folder / "CMakePresets.json").read_text(encoding="utf-8")
    (folder / "CMakePresets.json").write_text(text.replace('"5"', '"7"'), encoding="utf-8")
    assert llext_build(folder, "--preset=five", "--heap=7K").returncode == 0
    assert seen(folder, "five")[:2] == ["7", "7K"], "the command line goes before a preset"


def test_one_settings_file_for_the_build_and_its_checks(folder: Path) -> None:
    """One above the project, then one that is named, then none; with a preset of the user, too."""
    write_presets(
        folder,
        {
            "name": "own",
            "toolchainFile": "$env{LLEXT_CMAKE_DIR}/toolchains/llext.cmake",
            "cacheVariables": variables(LLEXT_SETTINGS="OFF"),
        },
    )
    (folder.parent / "llext.toml").write_text('exports = "no.elf"\n[build]\ntargets = "cortex-m4"\n', encoding="utf-8")
    named = folder.parent / "named.toml"
    named.write_text('entries = "missing_one"\n[build]\ntoolchains = "gcc"\n', encoding="utf-8")
    for words, said in (
        ((), "no.elf"),
        (("--settings", str(named), "--target=cortex-m4"), "missing_one"),
        (("--settings", str(named), "--preset=own"), "missing_one"),
        (("--no-settings", "--target=cortex-m4", "--toolchain=gcc"), ""),
        (("--preset=own",), ""),
    ):
        done = llext_build(folder, *words)
        assert (done.returncode != 0, said in done.stderr) == (bool(said), True), done.stdout + done.stderr
        assert "../" not in done.stderr


def test_the_preset_of_the_page_works_with_cmake_alone(folder: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/build-for-many-targets.md"
    (text,) = re.findall(r"^```json\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (folder / "CMakePresets.json").write_text(text, encoding="utf-8")
    need_toolchain("cortex-m0plus", "gcc")
    environment = {**os.environ, "LLEXT_CMAKE_DIR": cmake_dir()}
    made = [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DLLEXT_COMMAND={LLEXT_COMMAND}"]
    command = [tool("cmake"), "--preset", "small", *made]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert seen(folder, "small") == ["1", "4K", "cortex-m0plus", "Ninja"]
    assert not (folder / "CMakeCache.txt").exists()
    assert "cortex-m0plus" in llext_build(folder, "--preset=small").stdout


def test_a_preset_with_the_name_of_a_job(folder: Path) -> None:
    """It says but one variable. Our own preset of that name, of a build before it was there, makes way for it."""
    job = ("--target=cortex-m4", "--toolchain=gcc")
    assert llext_build(folder, *job).returncode == 0
    (folder / "llext.toml").write_text('[build]\nheap = "5K"\n[build.define]\nVALUE = "3"\n', encoding="utf-8")
    write_presets(folder, {"name": "cortex-m4-gcc", "cacheVariables": {"VALUE": "9"}})
    done = llext_build(folder, *job)
    assert done.returncode == 0, done.stderr
    assert seen(folder, "cortex-m4-gcc")[:3] == ["9", "5K", "cortex-m4"], "settings are for what it does not say"
    assert any(line.split()[:3] == ["cortex-m4", "gcc", "1"] for line in done.stdout.splitlines())
    ours = json.loads((folder / "CMakeUserPresets.json").read_text(encoding="utf-8"))
    assert "configurePresets" not in ours
    assert llext_build(folder, *job, "-DVALUE=4").returncode == 0
    assert seen(folder, "cortex-m4-gcc")[0] == "4"


def test_presets_that_cannot_be_built(folder: Path) -> None:
    write_presets(folder, {"name": "base", "hidden": True}, {"name": "native"}, {"name": "off", "condition": False})
    for name in ("base", "off", "nativ"):
        done = llext_build(folder, "--preset", name)
        assert done.returncode == 2
        assert f"error[usage]: --preset: there is no configure preset `{name}` to use" in done.stderr
    assert "= help: did you mean `native`?" in done.stderr

    done = llext_build(folder, "--preset=native", "--target=cortex-m4")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--preset: the preset says what is built for" in done.stderr

    (folder / "CMakeLists.txt").write_text(NATIVE, encoding="utf-8")
    done = llext_build(folder, "--preset=native")
    assert done.returncode == 12
    assert "error[build-failed]: native: configuring `native` failed" in done.stderr
    assert "the preset does not use our toolchain file" in " ".join(done.stderr.split())
    assert "configure failed" in done.stdout

    (folder / "CMakePresets.json").write_text('{"version": 6, "configurePresets": [{}]}', encoding="utf-8")
    done = llext_build(folder, "--preset=native")
    assert done.returncode == 2
    assert "error[usage]: CMake refuses the presets of `a project`" in done.stderr
