"""Sources whose names in the debug information are relative to the project, as the CMake package has them compiled.

Oracles: GDB, which prints the line of the file; the source itself.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from emulator.compiled import compile_file
from gdb.sessions import SECONDS, Extension, debugged, session
from llext_tools import arch
from needs import need
from transcript import llext

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = """\
#include <llext/symbol.h>
int run(int x)
{
    x += 2; // here
    return *(volatile int *)x; // fault
}
EXPORT_SYMBOL(run);
"""


@pytest.fixture(params=["gcc", "zig"])
def extension(request: pytest.FixtureRequest, tmp_path: Path) -> Extension:
    source, build = tmp_path / "project/src/program.c", tmp_path / "project/build/x"
    for folder in (source.parent, build):
        folder.mkdir(parents=True)
    source.write_text(SOURCE)
    maps = {f"{tmp_path}/project/": "", os.getcwd(): "."}
    options = [f"-ffile-prefix-map={old}={new}" for old, new in maps.items()]
    obj = compile_file(source, arch.target("cortex-m4"), request.param, build, "-O0", *options)
    dump = subprocess.run([need("readelf"), "--debug-dump=info", obj.path], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in dump.stdout
    assert "src/program.c" in dump.stdout
    return Extension(Path(obj.path), source, "cortex-m4")


def test_gdb_shows_the_source(extension: Extension, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    done = session(extension, [f"break {extension.at('here')}", "continue", "kill"], "--call", "run(3)")
    assert f"{extension.line('here')}\t    x += 2; // here" in done.gdb, done.gdb
    with debugged(extension, "--vscode", "--no-wait") as (process, _):
        process.communicate(timeout=SECONDS)
    (entry,) = json.loads((tmp_path / ".vscode/launch.json").read_text())["configurations"]
    command = [need("gdb-multiarch"), "-nx", "-batch"]
    for text in [each["text"] for each in entry["setupCommands"]]:
        command += ["-ex", text]
    command += ["-ex", f"file {entry['program']}", "-ex", f"break {extension.source}:{extension.line('here')}"]
    shown = subprocess.run([*command, "-ex", "info source"], capture_output=True, text=True, check=True)
    assert "Breakpoint 1 at" in shown.stdout, "an editor names the file by its full path"


def test_places_lead_to_the_source(extension: Extension, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "program.c").write_text("another project's\n")
    for folder, name in ((tmp_path / "project", "src/program.c"), (tmp_path, "project/src/program.c")):
        monkeypatch.chdir(folder)
        code, printed = llext("run", str(extension.path), "--target=cortex-m4", "--call=run(1)", "--no-bringup")
        assert (code, f"--> {name}:{extension.line('fault')}, in `run`" in printed) == (8, True), printed


def test_coverage_names_the_whole_path(extension: Extension, tmp_path: Path) -> None:
    report = tmp_path / "out.info"
    llext("run", str(extension.path), "--target=cortex-m4", "--call=run(1)", f"--coverage={report}")
    assert f"SF:{extension.source}\n" in report.read_text()


def test_a_source_that_is_gone_keeps_its_name(extension: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    extension.source.rename(extension.source.with_name("other.c"))
    monkeypatch.chdir("/")
    code, printed = llext("run", str(extension.path), "--target=cortex-m4", "--call=run(1)")
    assert (code, "--> src/program.c:5, in `run`" in printed) == (8, True), printed
