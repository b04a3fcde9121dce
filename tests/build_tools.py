"""Stand-ins for CMake, CTest and Ninja that do what a plan says, for tests of the build driver without compilers."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llext_tools import build
from llext_tools.build import Job, Options, Result

TOOL = """\
#!{python}
import json, os, sys, time
from pathlib import Path

name = Path(sys.argv[0]).name
args = sys.argv[1:]
plan = json.loads(Path({plan!r}).read_text()).get(name, {{}})
with open({calls!r}, "a") as calls:
    print(name, *args, file=calls)
folder = Path(args[args.index({{"cmake": "-B", "ninja": "-C", "ctest": "--test-dir"}}[name]) + 1])
kept = dict.fromkeys(["CMakeCache.txt", "CMakeFiles/rules.ninja"] if name == "cmake" else [], "#")
for path, text in (kept | plan.get("write", {{}})).items():
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text.replace("@", str(folder)))
if name == "ctest":
    Path(args[args.index("--output-junit") + 1]).write_text(plan.get("junit", "<testsuite/>"))
print(plan.get("print", ""), flush=True)
if "sleep" in plan:
    Path({calls!r}).with_name("asleep").write_text(str(os.getpid()))
    time.sleep(plan["sleep"])
sys.exit(plan.get("exit", 0))
"""

A = "@/a.llext\t@/a.debug.elf\t@/a.json\n"
B = "@/b.llext\t@/b.debug.elf\t@/b.json\n"


def manifest(name: str, files: dict[str, tuple[str, str]]) -> str:
    """That of an artifact, by docs/reference/manifest.md; ``files``: name -> kind, contents."""
    entries = {
        file: {"kind": kind, "size": len(text), "sha256": sha256(text.encode()).hexdigest()}
        for file, (kind, text) in files.items()
    }
    return json.dumps({"format": 2, "name": name, "files": entries})


FILES_OF_A = {
    "a.debug.elf": "dA",
    "a.llext": "A",
    "a.json": manifest("a", {"a.llext": ("extension", "A"), "a.debug.elf": ("debug", "dA")}),
}
TWO_EXTENSIONS = {
    "cmake": {"write": {"build.ninja": "#", "llext-extensions.txt": A + B}},
    "ninja": {"print": "[1/2] a\n[2/2] b", "write": {**FILES_OF_A, "b.llext": "B"}},
    "ctest": {
        "junit": '<testsuite><testcase name="runs" time="0.5" status="run"/>'
        '<testcase name="off" time="0" status="disabled"/></testsuite>'
    },
}


class Tools:
    """Stand-ins for the three tools, and a job for them to work on."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = tmp_path
        self.plan_file = tmp_path / "plan.json"
        self.calls_file = tmp_path / "calls"
        for name in ("cmake", "ctest", "ninja"):
            script = tmp_path / "bin" / name
            script.parent.mkdir(exist_ok=True)
            text = TOOL.format(python=sys.executable, plan=str(self.plan_file), calls=str(self.calls_file))
            script.write_text(text, encoding="utf-8")
            script.chmod(0o755)
        monkeypatch.setattr(build, "find_tool", lambda name: str(tmp_path / "bin" / name))
        self.plan(TWO_EXTENSIONS)

    def plan(self, plan: dict[str, Any]) -> None:
        self.plan_file.write_text(json.dumps(plan), encoding="utf-8")
        self.calls_file.write_text("", encoding="utf-8")

    def job(self, target: str = "cortex-m4") -> Job:
        name = f"{target}-gcc"
        return Job(target=target, toolchain="gcc", build=self.root / "build" / name, output=self.root / "dist" / name)

    def run(self, *jobs: Job, **options: Any) -> tuple[Result, ...]:
        return build.build(jobs or (self.job(),), Options(source=self.root, **({"cores": 2} | options)))

    @property
    def calls(self) -> list[str]:
        return [line.split()[0] for line in self.calls_file.read_text(encoding="utf-8").splitlines()]

    def dist(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.job().output.glob("*"))}
