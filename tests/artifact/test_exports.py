"""What a manifest says of exports, and what is made of it where nothing else is left of the types.

Oracle: the C source, and gdb for the layouts.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

import built
from llext_tools.errors import LlextError
from llext_tools.testing import Extension
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

ENTRY = """\
struct symbol { const char *name; const void *address; };
#define EXPORT(title, what) __attribute__((section(".exported_sym"), used)) \\
    static const struct symbol entry_##title = {#title, (const void *)&what}
"""
SOURCE = f"""{ENTRY}
#include <stdint.h>
struct hidden {{ int secret; }};
struct point {{ int16_t x, y; struct point *next; }};
typedef struct {{ float gain; uint8_t mode : 3; }} filter_t;
enum unit {{ UNIT_C, UNIT_F = 7 }};
int printk(const char *format, ...);
static struct hidden hidden = {{5}};
struct point origin = {{1, 2}};
static int32_t level = 4;
static float same(float value) {{ return value; }}
int sum(const struct point *point, enum unit unit) {{ return point->x + point->y + (int)unit; }}
int set(filter_t *filter, uint32_t mode) {{ filter->mode = mode; return hidden.secret++; }}
int unseen(int number) {{ printk("%d", number); return number; }}
EXPORT(keep, same); EXPORT(sum, sum); EXPORT(set, set); EXPORT(origin, origin); EXPORT(volume, level);
EXPORT(printk, sum);
"""
PROTOTYPES = {
    "keep": "float keep(float value)",
    "origin": "struct point origin",
    "printk": "int printk(const struct point *point, enum unit unit)",
    "set": "int set(filter_t *filter, uint32_t mode)",
    "sum": "int sum(const struct point *point, enum unit unit)",
    "volume": "int32_t volume",
}
TARGETS = [("cortex-m4", "gcc"), ("rv32imac", "gcc"), ("cortex-m33", "zig"), ("rv64gc", "zig")]


def finished(folder: Path, by: built.Combination, *objects: Path) -> dict[str, Any]:
    """The manifest of an extension of which nothing but that is kept."""
    merged = by.merge(folder, *objects)
    code, printed = llext("finish", str(merged), "-o", str(folder / "hello.llext"))
    assert code == 0, printed
    merged.rename(folder / "whole.elf")
    found: dict[str, Any] = json.loads((folder / "hello.json").read_text())
    return found


@pytest.mark.parametrize("target", TARGETS, ids="-".join)
def test_exports_are_as_the_source_has_them(target: tuple[str, str], tmp_path: Path) -> None:
    by = built.find(*target)
    manifest = finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g", "-O1"))
    exports = manifest["exports"]
    assert {name: entry["prototype"] for name, entry in exports.items()} == PROTOTYPES
    assert exports["sum"]["hash"] == exports["printk"]["hash"] != exports["set"]["hash"]
    assert manifest["imports"]["printk"] in ({}, {**manifest["imports"]["printk"], "type": "fn(*u8, ...) -> i32"})
    types = manifest["types"]
    if target[1] == "gcc":  # clang does not describe printk, so that all types are kept
        assert types.keys() == {"struct point", "struct filter_t", "enum unit"}
    with (tmp_path / "hello.llext").open("rb") as file:
        assert not ELFFile(file).get_section_by_name(".debug_info"), "types come from nowhere else"
    asked = [f"(int)sizeof({name})" for name in ("struct point", "filter_t", "enum unit")]
    asked += [f"(int)&((struct point *)0)->{name}" for name in ("x", "y", "next")]
    commands = [word for each in asked for word in ("-ex", f"output {each}", "-ex", "echo \\n")]
    gdb = [need("gdb-multiarch", "gdb"), "-batch", "-nx", *commands, str(tmp_path / "whole.elf")]
    known = subprocess.run(gdb, capture_output=True, text=True, check=True).stdout.split()
    sizes = [types[tag]["size"] for tag in ("struct point", "struct filter_t", "enum unit")]
    assert [*map(str, sizes), *(each.split()[0] for each in types["struct point"]["members"])] == known


@pytest.mark.emulator
@pytest.mark.parametrize("target", TARGETS, ids="-".join)
def test_calls_without_debug_information(target: tuple[str, str], tmp_path: Path) -> None:
    by = built.find(*target)
    finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g", "-O1"))
    path = tmp_path / "hello.llext"
    calls = ("--call", "keep(2.5)", "--call", "sum({3, 4}, UNIT_F)", "--call", "set({.gain = 1, .mode = 2}, 3)")
    code, printed = llext("run", str(path), *calls)
    assert (code, "warning" in printed) == (0, False), printed
    assert printed.splitlines() == ["keep(2.5) = 2.5", "sum({3, 4}, UNIT_F) = 14", "set({.gain = 1, .mode = 2}, 3) = 5"]
    with Extension.load(path) as extension:
        assert extension.keep(2.5) == 2.5
        assert (extension.origin.x, extension.origin.y, extension.volume) == (1, 2, 4)
        assert extension.sum(extension.origin, "UNIT_F") == 10
        assert extension.type("filter_t").size == extension.type("struct point").size - {32: 0, 64: 8}[by.target.bits]
    path.write_bytes(path.read_bytes() + b"\0")  # the manifest is about another file
    code, printed = llext("run", str(path), "--call", "keep(2.5)")
    assert (code, "warning[call-guessed]" in printed) == (0, True)
    assert "note: `hello.json` is about another version of `hello.llext`" in printed
    with Extension.load(path) as extension, pytest.raises(TypeError, match=r"not known, for `hello\.json` is about"):
        extension.keep(2.5)


ODD: tuple[object, ...] = (None, True, -1, 10**30, "", "fn(", "*" * 5000 + "i32", [], {}, [None], {"": None})
CALLS: tuple[Callable[[Any], object], ...] = (
    lambda extension: extension.keep(2.5),
    lambda extension: extension.sum(extension.origin, "UNIT_F"),
    lambda extension: extension.set({}, 3),
    lambda extension: (repr(extension.origin), extension.volume),
)


def odd(document: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], object]]:
    """Each place of a document, with something else there."""
    if where:
        yield from ((where, value) for value in ODD)
    inside = dict(enumerate(document)) if isinstance(document, list) else document
    for key, value in inside.items() if isinstance(inside, dict) else ():
        yield from odd(value, (*where, key))


@pytest.mark.emulator
@pytest.mark.parametrize("size", [1 << 27, 1 << 40, (1 << 63) - 1, 1 << 63, 10**30])
@pytest.mark.parametrize("tag", ["struct point", "enum unit"])
def test_sizes_that_only_a_manifest_can_claim(tag: str, size: int, tmp_path: Path) -> None:
    by = built.find("cortex-m4", "gcc")
    manifest = finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g", "-O1"))
    manifest["types"][tag]["size"] = size
    (tmp_path / "hello.json").write_text(json.dumps(manifest))
    believed = tag == "struct point" and size < 1 << 63
    error, text = (OverflowError, "too large for a value") if believed else (TypeError, "`hello.json` is no manifest")
    with Extension.load(tmp_path / "hello.llext") as extension, pytest.raises(error, match=text):
        extension.sum({"x": 1, "y": 2}, 7)


@pytest.mark.emulator
def test_odd_manifests(tmp_path: Path) -> None:
    """Whatever stands in it, loading and calling end with a result or with an error of ours."""
    by = built.find("cortex-m4", "gcc")
    manifest = finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g", "-O1"))
    told = {key: value for key, value in manifest.items() if key not in ("target", "memory", "regions", "toolchain")}
    for where, value in random.Random(1).sample(list(odd(told)), 60):
        document = json.loads(json.dumps(manifest))
        *above, last = where
        reduce(getitem, above, document)[last] = value
        (tmp_path / "hello.json").write_text(json.dumps(document))
        with Extension.load(tmp_path / "hello.llext") as extension:
            for call in CALLS:
                try:
                    call(extension)
                except (LlextError, TypeError, AttributeError) as error:
                    assert "`" in str(error), "not a message of ours"
            assert "keep" in extension.symbols


@pytest.mark.emulator
def test_a_bundle_without_debug_files_can_be_called(tmp_path: Path) -> None:
    by = built.find("cortex-m4", "gcc")
    finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g", "-O1"))
    bundle, out = str(tmp_path / "b.llextpack"), tmp_path / "out"
    assert llext("pack", str(tmp_path / "hello.llext"), "--no-debug", "-o", bundle)[0] == 0
    code, printed = llext("unpack", bundle, "-C", str(out))
    assert code == 0, printed
    (path,) = out.rglob("*.llext")
    assert llext("run", str(path), "--call", "keep(2.5)") == (0, "keep(2.5) = 2.5\n")


def test_types_of_one_tag_are_told_apart(tmp_path: Path) -> None:
    """One file imports what the other one, in which the same tag stands for another type, exports its own of."""
    by = built.find("cortex-m4", "gcc")
    importing = (
        "struct point { short x, y; }; extern int take(struct point *); int go(struct point *p) { return take(p); }"
    )
    exporting = f"{ENTRY} struct point {{ long x; }}; int give(struct point *p) {{ return p->x; }} EXPORT(give, give);"
    objects = []
    for name, text in (("a.o", importing), ("b.o", exporting)):
        objects.append(by.compile(tmp_path, text, "-g", "-O1").rename(tmp_path / name))
    manifest = finished(tmp_path, by, *objects)
    assert manifest["imports"]["take"]["type"] == "fn(*struct point) -> i32"
    assert manifest["exports"]["give"]["type"] == "fn(*struct point#2) -> i32"
    assert [manifest["types"][tag]["size"] for tag in ("struct point", "struct point#2")] == [4, 4]
    assert manifest["types"]["struct point#2"]["members"] == ["0 x: long int = i32"]


def test_a_name_that_several_static_functions_have_says_nothing(tmp_path: Path) -> None:
    by = built.find("cortex-m4", "gcc")
    objects = []
    for name, kind in (("first", "int"), ("second", "short")):
        text = f"{ENTRY} static int f({kind} x) {{ return x + 1; }} EXPORT({name}, f);"
        objects.append(by.compile(tmp_path, text, "-g", "-O1").rename(tmp_path / f"{name}.o"))
    assert finished(tmp_path, by, *objects)["exports"] == {"first": {}, "second": {}}


def test_without_debug_information_the_names_are_there(tmp_path: Path) -> None:
    by = built.find("cortex-m4", "gcc")
    assert finished(tmp_path, by, by.compile(tmp_path, SOURCE, "-g0"))["exports"] == {name: {} for name in PROTOTYPES}
