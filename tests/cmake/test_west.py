"""``west llext`` in a workspace without a network. Oracles: west itself, and ``llext zephyr`` called by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llext_tools.paths import samples_dir
from needs import need

pytestmark = pytest.mark.cmake

pytest.importorskip("west")

WEST = Path(samples_dir()).parent / "west"  # beside the samples, in a checkout and in the wheel
MANIFEST = """\
manifest:
  projects:
    - name: llext-tools
      url: {url}
      revision: main
      west-commands: west/west-commands.yml
"""
CONFIG = "CONFIG_LLEXT=y\nCONFIG_ARM=y\nCONFIG_CPU_CORTEX_M4=y\nCONFIG_LLEXT_TYPE_ELF_OBJECT=y\n"


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False)


def west(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "west", *words, cwd=workspace)


def llext(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "llext_tools", *words, cwd=workspace)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as the page says: a project of the manifest, fetched by `west update` from a folder beside it."""
    git = need("git")
    top = tmp_path_factory.mktemp("west")
    remote = top / "remote"
    shutil.copytree(WEST, remote / "west", ignore=shutil.ignore_patterns("__pycache__"))
    me = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*me, "commit", "-q", "-m", "all")):
        assert run(git, *words, cwd=remote).returncode == 0
    workspace = top / "work space"
    (workspace / "app").mkdir(parents=True)
    (workspace / "app" / "west.yml").write_text(MANIFEST.format(url=remote.as_uri()))
    for line in ("init -l app", "update"):
        done = west(workspace, *line.split())
        assert done.returncode == 0, done.stderr
    build = workspace / "build" / "zephyr"
    (build / "include/generated/zephyr").mkdir(parents=True)
    (build / ".config").write_text(CONFIG)
    (build / "include/generated/zephyr/version.h").write_text('#define KERNEL_VERSION_STRING "4.2.1"\n')
    return workspace


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show"], 0),
        (["show", "--json"], 0),
        (["check"], 2),  # there is no extension
        (["check", "--no-firmware", "broken"], 2),  # nor one of this name
        (["run", "--help"], 0),
        (["check", "-d", "elsewhere"], 2),
    ],
)
def test_output_and_exit_code_are_those_of_llext(workspace: Path, words: list[str], code: int) -> None:
    theirs, ours = west(workspace, "llext", *words), llext(workspace, "zephyr", *words)
    assert (theirs.returncode, theirs.stdout, theirs.stderr) == (code, ours.stdout, ours.stderr)
    assert ours.returncode == code


def test_every_other_command_of_llext(workspace: Path) -> None:
    theirs, ours = west(workspace, "llext", "explain", "heap-shared"), llext(workspace, "explain", "heap-shared")
    assert (theirs.returncode, theirs.stdout) == (0, ours.stdout)
    assert west(workspace, "llext", "explan").returncode == 2
    assert west(workspace, "llext").returncode == 2


def test_west_names_the_command(workspace: Path) -> None:
    assert "check and run loadable extensions on the host" in west(workspace, "help").stdout
    assert "west llext check [-d BUILD_DIR] [EXTENSION...]" in west(workspace, "help", "llext").stdout


def test_the_folder_that_west_builds_in(workspace: Path) -> None:
    """`west config build.dir-fmt`, where it is one folder; a file that no loader takes has llext's exit code."""
    shutil.copytree(workspace / "build", workspace / "out")
    (workspace / "out" / "none.llext").write_bytes(b"\x7fELX" + bytes(60))
    assert west(workspace, "config", "build.dir-fmt", "out").returncode == 0
    try:
        done = west(workspace, "llext", "check", "--no-firmware")
        assert "error[elf-magic]" in done.stderr
        assert "out/none.llext" in done.stderr
        assert done.returncode == llext(workspace, "check", "out/none.llext").returncode != 0
        assert west(workspace, "llext", "check", "-d", "build").returncode == 2
        done = west(workspace / "out", "llext", "show")
        assert (done.returncode, "./zephyr/.config" in done.stdout) == (0, True), "within it"
        assert west(workspace, "config", "build.dir-fmt", "build/{board}").returncode == 0
        assert "build/zephyr/.config" in west(workspace, "llext", "show").stdout
    finally:
        west(workspace, "config", "-d", "build.dir-fmt")


def test_without_the_package(workspace: Path, tmp_path: Path) -> None:
    """The command is there, and says what is missing."""
    (tmp_path / "llext_tools.py").write_text("raise ImportError('none')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from west.app.main import main; main(['llext', 'show'])"
    done = run(sys.executable, "-c", code, cwd=workspace)
    assert done.returncode != 0
    assert "llext-tools is not installed where west is; try:" in done.stderr
    assert "-m pip install llext-tools" in done.stderr
