"""What a user gets: the wheel and the source archive of this tree, and an environment with the wheel installed.

Both are built once, the wheel from the source archive. The environment otherwise sees the packages of the one the tests
run in, so nothing is downloaded. The fixtures are for all tests; mark those that use them `packaging` and `slow`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
PACKAGE = TREE / "llext_tools"


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel installed."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / ("Scripts" if sys.platform == "win32" else "bin")

    def run(self, *command: str, cwd: Path | None = None, path: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program; with ``path`` the environment is active."""
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        if path:
            env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        return subprocess.run(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
        )

    def llext(self, *arguments: str) -> str:
        done = self.run(str(self.bin / "llext"), *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel made from it."""
    for package in ("build", "scikit_build_core"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    if not (TREE / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    dist = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(TREE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return dist


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = Installed(tmp_path_factory.mktemp("environment") / "with space")
    venv.create(environment.root, with_pip=True, symlinks=sys.platform != "win32")
    python = str(environment.bin / "python")
    purelib = environment.run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    Path(purelib, "other.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    done = environment.run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel))
    assert done.returncode == 0, done.stdout
    return environment
