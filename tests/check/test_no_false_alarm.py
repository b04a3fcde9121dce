"""What compilers make of correct sources passes without a word after the link step of the CMake package.

Oracle: the sources, which are correct; a firmware of the same headers exports what they use.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from cmake_project import need_toolchain
from llext_tools import arch
from llext_tools.build import Job, Options, build, cores, diagnose, diagnose_warnings
from llext_tools.cli.render import Paint, render

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

PROJECT = Path(__file__).with_name("variants")
VARIANTS = re.findall(r"flags_(\w+) ", (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8"))
MOST = ("cortex-m0plus", "cortex-m4", "rv32imac", "rv64gc")
FEW = ("O0", "O2_sections", "Os_lto")
"""For CPUs that differ from one of ``MOST`` in what the compiler chooses, not in what it makes sections of."""


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
@pytest.mark.parametrize("target", arch.targets())
def test_no_false_alarm(target: str, toolchain: str, tmp_path: Path) -> None:
    need_toolchain(target, toolchain)
    job = Job(target=target, toolchain=toolchain, build=tmp_path / "build", output=tmp_path / "dist")
    variants = VARIANTS if target in MOST else FEW
    (result,) = build([job], Options(source=PROJECT, cores=cores(), define=(f"VARIANTS={';'.join(variants)}",)))
    said = [render(each, Paint(sys.stderr)) for each in (*diagnose([result]), *diagnose_warnings([result]))]
    assert not said, "\n".join(said)
    assert {path.stem for path in result.artifacts} == {f"{kind}_{v}" for kind in ("part", "shape") for v in variants}
