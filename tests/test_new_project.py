"""From an empty folder: what `llext new` makes builds and passes with the installed wheel alone, in tox too, and its
own wheel brings the extension to another environment.

Oracle: pip, tox and pytest themselves say whether they pass; the archive is read with ``zipfile``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cmake_project import need_toolchain, one_line
from installed import Installed

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

TARGETS = ("cortex-m4", "rv32imac")


def run(
    environment: Installed, *command: str, cwd: Path, cross: bool, links: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment; without ``cross`` no cross compiler is in PATH, so that zig alone is left."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    tools = str(Path(sys.executable).parent)  # cmake and ninja of the tests' own environment
    env["PATH"] = os.pathsep.join([str(environment.bin), tools, *([env["PATH"]] if cross else [])])
    env |= {"PIP_FIND_LINKS": str(links)} if links else {}
    program = [str(environment.bin / "python"), "-m", *command]
    return subprocess.run(
        program, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
    )


def workflow(project: Path, job: str) -> list[str]:
    """The commands of a job of the project's workflow for GitHub Actions, each once, or once for each target."""
    text = (project / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    found = YAML(typ="safe").load(text)["jobs"][job]
    targets = found.get("strategy", {"matrix": {"target": [""]}})["matrix"]["target"]
    commands = [step["run"] for step in found["steps"] if "run" in step]
    return list(dict.fromkeys(each.replace("${{ matrix.target }}", target) for each in commands for target in targets))


@pytest.fixture(scope="module")
def project(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nothing")  # zig cannot lie in a folder with a space, and tox installs it here
    targets = [word for target in TARGETS for word in ("--target", target)]
    done = run(installed, "llext_tools", "new", "blink", *targets, cwd=folder, cross=False)
    assert done.returncode == 0, done.stdout
    return folder / "blink"


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_it_builds_and_passes(installed: Installed, project: Path, toolchain: str) -> None:
    for target in TARGETS:
        need_toolchain(target, toolchain)
    done = run(installed, "llext_tools", "build", cwd=project, cross=toolchain == "gcc")
    assert done.returncode == 0, done.stdout
    assert "2 extensions for 2 targets built and checked without a firmware, 2 tests run" in one_line(done.stdout)
    for target in TARGETS:
        assert (project / "dist" / f"{target}-{toolchain}" / "blink.llext").is_file()
    for target in TARGETS:
        which = (f"--llext-target={target}", f"--llext-toolchain={toolchain}")
        done = run(installed, "pytest", "-q", *which, cwd=project, cross=False)
        assert done.returncode == 0, done.stdout
        assert "3 passed" in done.stdout


def test_tox_passes(installed: Installed, project: Path, wheel: Path) -> None:
    """With zig alone, as the workflow calls it, and then with GCC, in the environments that the first has made."""
    if find_spec("tox") is None:
        pytest.skip("needs tox")
    commands = workflow(project, "test")
    assert commands == ["pip install tox", *(f"tox -e {target}" for target in TARGETS)]
    for toolchain, wanted in (("zig", commands), ("gcc", ["tox"])):
        for target in TARGETS:
            need_toolchain(target, toolchain)
        output = ""
        for command in wanted:
            done = run(installed, *command.split(), cwd=project, cross=toolchain == "gcc", links=wheel.parent)
            assert done.returncode == 0, done.stdout
            output += done.stdout
        assert output.count("3 passed") == len(TARGETS)
        rows = re.findall(r"^([\w-]+) +(zig|gcc) ", output, re.MULTILINE)
        assert sorted(set(rows)) == sorted((target, toolchain) for target in TARGETS)


def test_its_wheel_brings_the_extension_to_others(
    installed: Installed, project: Path, tmp_path: Path, wheel: Path
) -> None:
    """The wheel is made of the source archive, in an environment that pip makes of what pyproject.toml names."""
    need_toolchain("cortex-m4", "zig")
    words = ("build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), ".")
    done = run(installed, *words, cwd=project, cross=False)
    assert done.returncode == 0, done.stdout
    with tarfile.open(tmp_path / "blink-0.1.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / "blink-0.1.0"
    assert not list(source.glob("dist*"))
    (command,) = workflow(project, "wheel")
    done = run(installed, *command.split(), cwd=source, cross=False, links=wheel.parent)
    assert done.returncode == 0, done.stdout
    (made,) = source.glob("dist/*.whl")
    assert made.name == "blink-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(made) as archive:
        names = {name for name in archive.namelist() if "/llext/" in name}
    assert names == {f"blink/llext/{target}-zig/blink.{end}" for target in TARGETS for end in ("llext", "json")}

    other = Installed(tmp_path / "other")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--system-site-packages", str(other.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    packages = Path(run(other, "sysconfig", cwd=tmp_path, cross=True).stdout.split('purelib = "')[1].split('"')[0])
    for origin in {Path(path) for path in sys.path if path.endswith("site-packages")}:
        (packages / "tests-own.pth").write_text(f"{origin}\n", encoding="utf-8")
    install = ("pip", "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel), str(made))
    done = run(other, *install, cwd=tmp_path, cross=False)
    assert done.returncode == 0, done.stdout
    done = run(other, "llext_tools", "list", cwd=tmp_path, cross=False)
    assert [line.split()[:5] for line in done.stdout.splitlines()[1:]] == [
        ["blink", "0.1.0", f"blink@{target}-zig", target, "zig"] for target in TARGETS
    ]
    call = ("run", "blink@rv32imac", "--call", "blink_run(3)")
    done = run(other, "llext_tools", *call, cwd=tmp_path, cross=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1:] == ["blink_run(3) = 3"], "a warning: the manifest has its type"


BAD = """\
#include <llext/symbol.h>
int missing(int);
int blink_run(int times) { return missing(times); }
LL_EXTENSION_SYMBOL(blink_run);
"""


def test_what_fails_the_check_gets_into_no_wheel(installed: Installed, tmp_path: Path) -> None:
    """Who ran pip sees what failed, and why."""
    need_toolchain("cortex-m4", "zig")
    done = run(installed, "llext_tools", "new", "blink", "--target", "cortex-m4", cwd=tmp_path, cross=False)
    assert done.returncode == 0, done.stdout
    project = tmp_path / "blink"
    (project / "src" / "blink.c").write_text(BAD, encoding="utf-8")
    (project / "board.toml").write_text("[exports]\nprintk = 0x8001\n", encoding="utf-8")
    with (project / "llext.toml").open("a", encoding="utf-8") as settings:
        settings.write('[[build.firmware]]\nname = "board"\nfile = "board.toml"\n')
    words = ("pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", "out", ".")
    done = run(installed, *words, cwd=project, cross=False)
    assert done.returncode == 1, done.stdout
    assert "error[build-failed]: cortex-m4-zig-board: building `blink` failed" in done.stdout
    assert "error[undefined-symbol]: `missing` is neither defined" in done.stdout
    assert not list(tmp_path.rglob("*.whl"))
