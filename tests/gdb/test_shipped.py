"""``llext debug`` with the file that is shipped, which has no debug information. Oracle: GDB with the one that has."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdb.sessions import TARGETS, Extension, build, debugged, session
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object
from needs import need

SOURCE = """\
static int counts[4] = {3, 5, 7, 9};
static __attribute__((noinline)) int twice(int index)
{
    int count = counts[index]; // read
    printk("count %d\\n", count); // print
    return 2 * count;
}
int run(int x)
{
    return twice(x) + 1; // call
}
LL_EXTENSION_SYMBOL(run);
"""
WITHOUT = "no lines, types and static functions for `ext.llext`: "


def shipped(whole: Extension, folder: Path, *, beside: bytes = b"") -> Extension:
    path = folder / "ext.llext"
    path.write_bytes(finish(load_object(str(whole.path))))
    if beside:
        (folder / "ext.debug.elf").write_bytes(beside)
    return Extension(path, whole.source, whole.target)


@pytest.mark.parametrize("target", TARGETS)
def test_debug_file_beside_it_tells_gdb_all(target: str, tmp_path: Path) -> None:
    need("gdb-multiarch")
    whole = build(tmp_path, SOURCE, target)
    folder = tmp_path / "out"
    folder.mkdir()
    commands = ["break twice", "continue", "next", "print count", "print counts", "ptype counts", "bt"]
    commands += ["info address twice", "info line twice", "finish", "kill"]
    told, asked = (
        session(each, commands, "--call", "run(2)", "--out", str(tmp_path / "gdb"))
        for each in (whole, shipped(whole, folder, beside=whole.path.read_bytes()))
    )
    assert "$1 = 7" in told.gdb
    assert "run (x=2) at" in told.gdb
    assert asked == told


def test_without_it_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    whole = build(tmp_path, SOURCE, "cortex-m4")
    other = tmp_path / "other"
    other.mkdir()
    older = build(other, SOURCE.replace("twice(x) + 1", "twice(x) + 70000"), "cortex-m4")
    cures = {
        "none": (b"", "build it with `-g` and keep `ext.debug.elf` beside it"),
        "older": (older.path.read_bytes(), "`ext.debug.elf` has no debug information, or is of another build"),
    }
    for name, (beside, cure) in cures.items():
        folder = tmp_path / name
        folder.mkdir()
        with debugged(shipped(whole, folder, beside=beside), "--call", "run(2)") as (process, _):
            assert process.stdout
            assert process.stdout.readline() == f"{WITHOUT}{cure}\n"
