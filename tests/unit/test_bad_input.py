"""Malformed files: always diagnostics and a documented exit code, never another exception, never an output file.

Oracle: gABI 4.1 says what well-formed is; the exit codes are those of docs/reference/exit-codes.md.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conformance.cases import files, objects
from elfedit import Elf, tiny, widen
from llext_tools.check import check
from llext_tools.diag import CODES, Reporter
from llext_tools.elf.finish import finish
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import read_object
from llext_tools.elf.slid import inject
from llext_tools.errors import LlextError
from llext_tools.link import ExportTable, link
from llext_tools.mem import Domain

HOST = ExportTable.of(dict.fromkeys(("printk", "puts_k", "ext", "memset", "memcpy"), 0x2000_0101))
EXIT_CODES = {
    int(row)
    for row in re.findall(
        r"^\| (\d+) \|", (Path(__file__).parents[2] / "docs/reference/exit-codes.md").read_text("utf-8"), re.MULTILINE
    )
}
EXTENSION = files()["app_ldr_arm_gcc/e.llext"]
RISCV = files()["app_Os_rv_gcc/e.llext"]
REAL = {"arm": files()["ptrs_arm_gcc/e.llext"], "riscv": RISCV, "riscv64": widen(RISCV)}
TOP = 1 << 63


def link_anywhere(obj: ElfObject) -> Any:
    return link(obj, exports=HOST, domain=Domain(start=0x2001_0000), profile="abi")


def inject_slids(obj: ElfObject) -> None:
    reporter = Reporter()
    inject(obj, reporter)
    reporter.checkpoint()


STEPS: tuple[Callable[[ElfObject], Any], ...] = (link_anywhere, check, finish, inject_slids)
"""What may be done with a file that could be read. Each either works or fails with diagnostics."""


def failures(data: bytes) -> list[LlextError]:
    """Do everything with a file; what failed must have failed in the documented way."""
    found: list[LlextError] = []

    def attempt(step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except LlextError as error:
            codes = [d.code for d in error.diagnostics if d.severity == "error"]
            assert codes, "an error without a diagnostic"
            assert error.exit_code in EXIT_CODES - {0, 1}
            assert error.exit_code == CODES[codes[0]].error.exit_code
            assert all(d.message and d.message[0] == d.message[0].strip() for d in error.diagnostics)
            found.append(error)
            return None

    obj = attempt(read_object, data, "bad.llext")
    if obj is not None:
        for step in STEPS:
            attempt(step, obj)
    return found


def spoilt(kind: str, change: Callable[[Elf], None]) -> bytes:
    elf = Elf(REAL[kind])
    change(elf)
    return bytes(elf)


def put(*place: Any, value: int) -> Callable[[Elf], None]:
    """``put("shdr", ".text", "size", value=...)``: set one field. ``TOP`` is the field's highest bit: 2^31 or 2^63."""
    structure, *which = place

    def change(elf: Elf) -> None:
        at, width = getattr(elf, structure)(*which)
        elf.put((at, width), 1 << 8 * width - 1 if value == TOP else value)

    return change


def first_table(elf: Elf) -> int:
    return next(t for t in elf.reloc_tables if elf.get(elf.shdr(t, "size")))


def put_rel(field: str, value: int) -> Callable[[Elf], None]:
    return lambda elf: elf.put(elf.rel(first_table(elf), 0, field), value)


def put_table(field: str, value: int) -> Callable[[Elf], None]:
    return lambda elf: elf.put(elf.shdr(first_table(elf), field), value)


def swallow_the_text(elf: Elf) -> None:
    """Let .data cover the same bytes of the file as the first section with code."""
    text = next(i for i in elf.sections if elf.name(i).startswith(".text") and elf.get(elf.shdr(i, "size")))
    elf.put(elf.shdr(".data", "offset"), elf.get(elf.shdr(text, "offset")))


def unknown_type(elf: Elf) -> None:
    put_rel("info", 0xFF | 1 << (32 if elf.bits == 64 else 8))(elf)


def cycle(elf: Elf) -> None:
    """The symbol table's names are said to be in the symbol table, the names of sections too."""
    table = elf.index(".symtab")
    elf.put(elf.shdr(".symtab", "link"), table)
    elf.put(elf.shdr(".strtab", "link"), table)
    elf.put(elf.ehdr("shstrndx"), table)


MALFORMED: dict[str, tuple[str, Callable[[Elf], None]]] = {
    # name: the code of the first diagnostic, the edit
    "executable": ("elf-type", put("ehdr", "type", value=2)),
    "shared library": ("elf-type", put("ehdr", "type", value=3)),
    "core dump": ("elf-type", put("ehdr", "type", value=4)),
    "wrong machine": ("elf-machine", put("ehdr", "machine", value=62)),
    "no machine": ("elf-machine", put("ehdr", "machine", value=0)),
    "class 0": ("elf-header", put("ehdr", "ei_class", value=0)),
    "class 3": ("elf-header", put("ehdr", "ei_class", value=3)),
    "big-endian": ("elf-header", put("ehdr", "ei_data", value=2)),
    "unknown byte order": ("elf-header", put("ehdr", "ei_data", value=7)),
    "no section headers": ("elf-sections", put("ehdr", "shnum", value=0)),
    "more section headers than bytes": ("elf-truncated", put("ehdr", "shnum", value=0xFEFF)),
    "section headers of size 0": ("elf-sections", put("ehdr", "shentsize", value=0)),
    "section headers of odd size": ("elf-sections", put("ehdr", "shentsize", value=41)),
    "section headers at the end of the address space": ("elf-truncated", put("ehdr", "shoff", value=-8)),
    "no section names": ("elf-sections", put("ehdr", "shstrndx", value=0)),
    "section names out of bounds": ("elf-sections", put("ehdr", "shstrndx", value=0xFFFE)),
    "section name out of bounds": ("elf-sections", put("shdr", 1, "name", value=0xFFFF_FFFF)),
    "section of 2^63 bytes": ("elf-truncated", put("shdr", ".data", "size", value=TOP)),
    "section of 2^32-1 bytes": ("elf-truncated", put("shdr", ".data", "size", value=0xFFFF_FFFF)),
    "bss of 2^63 bytes": ("elf-sections", put("shdr", ".bss", "size", value=TOP)),
    "bss of 2^32-1 bytes": ("elf-sections", put("shdr", ".bss", "size", value=0xFFFF_FFFF)),
    "section beyond the file": ("elf-truncated", put("shdr", ".data", "offset", value=0x7FFF_FFF0)),
    "section at the last byte of the address space": ("elf-truncated", put("shdr", ".data", "offset", value=-1)),
    "offset and size that wrap": ("elf-truncated", put("shdr", ".data", "size", value=-16)),
    "overlapping sections": ("region-overlap", swallow_the_text),
    "alignment of 3": ("region-alignment", put("shdr", ".data", "addralign", value=3)),
    "alignment of 2^63": ("elf-sections", put("shdr", ".data", "addralign", value=TOP)),
    "symbols of size 0": ("elf-symbols", put("shdr", ".symtab", "entsize", value=0)),
    "symbols of odd size": ("elf-symbols", put("shdr", ".symtab", "entsize", value=17)),
    "part of a symbol": ("elf-symbols", put("shdr", ".symtab", "size", value=33)),
    "symbol names out of bounds": ("elf-symbols", put("shdr", ".symtab", "link", value=0xFFFF_FFFF)),
    "symbol names in itself": ("elf-symbols", lambda e: e.put(e.shdr(".symtab", "link"), e.index(".symtab"))),
    "cyclic links": ("elf-sections", cycle),
    "symbol name out of bounds": ("elf-symbols", put("sym", 1, "name", value=0xFFFF_FFFF)),
    "symbol in a section that is not there": ("elf-symbols", put("sym", 1, "shndx", value=0xFEFF)),
    "relocations of size 0": ("elf-relocations", put_table("entsize", 0)),
    "relocations of odd size": ("elf-relocations", put_table("entsize", 9)),
    "part of a relocation": ("elf-relocations", put_table("size", 3)),
    "relocations of no section": ("elf-relocations", put_table("info", 0xFFFF_FFFF)),
    "relocations of the section after the last": ("elf-relocations", lambda e: put_table("info", len(e.sections))(e)),
    "relocations of themselves": ("", lambda e: put_table("info", e.reloc_tables[0])(e)),
    "relocations with another symbol table": ("elf-relocations", put_table("link", 0)),
    "relocation outside its section": ("elf-relocations", put_rel("offset", 0x7FFF_FFFF)),
    "relocation at the end of the address space": ("elf-relocations", put_rel("offset", -1)),
    "relocation of an unknown symbol": ("elf-relocations", put_rel("info", 0xFFFF_FFFF_FFFF_FF02)),
    "relocation of an unknown type": ("reloc-unknown", unknown_type),
}


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_object_is_refused(what: str, kind: str) -> None:
    code, change = MALFORMED[what]
    found = failures(spoilt(kind, change))
    assert found or not code, "nothing was reported"
    if code:
        assert found[0].diagnostics[0].code == code


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"int add(int, int);\n", b"\x7fEL", b"!<arch>\n", bytes(4096), b"\xff" * 64]
)
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    (error,) = failures(data)
    assert [d.code for d in error.diagnostics] == ["elf-magic"]
    assert error.exit_code == 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_object_without_symbols_is_refused(bits: int, order: str) -> None:
    found = failures(tiny(bits=bits, machine=243, order=order))
    assert found
    assert found[0].diagnostics[0].code == ("elf-symbols" if order == "<" else "elf-header")


@pytest.mark.parametrize("kind", REAL)
def test_truncated_at_every_length(kind: str) -> None:
    """Section headers come last in these files, so that nothing of them may be missing."""
    data = REAL[kind]
    for length in range(min(len(data), 4096)):
        (error,) = failures(data[:length])
        assert error.exit_code == 3, length


@pytest.mark.parametrize("structure", ["ehdr", "shdr", "sym", "rel"])
@pytest.mark.parametrize("kind", REAL)
def test_any_field_may_hold_anything(kind: str, structure: str) -> None:
    """Every field of the headers, the first symbols and relocations, set to each value that often breaks readers."""
    data = REAL[kind]
    for name, place in Elf(data).fields():
        if not name.startswith(structure):
            continue
        for value in (0, 1, 3, 16, 0xFF00, 0xFFF2, 1 << 31, TOP, len(data), -1):
            elf = Elf(data)
            elf.put(place, value)
            try:
                failures(bytes(elf))
            except Exception as error:
                error.add_note(f"{name} = {value:#x}")
                raise


# Everything below changes real objects at random, but in ways that keep most of the file plausible.

POOL = sorted({*objects(arch="arm").values(), *objects(arch="riscv").values(), widen(RISCV)}, key=lambda o: (len(o), o))
SPECIAL = st.sampled_from([0, 1, 3, 4, 8, 40, 243, 0xFF, 0xFFFF, 0x7FFF_FFFF, 1 << 31, 0xFFFF_FFFF, TOP, TOP - 1, -1])
NUMBER = SPECIAL | st.integers(0, 64) | st.integers(0, (1 << 64) - 1)
WHERE = st.integers(0, (1 << 16) - 1)
MUTATION = st.one_of(
    st.tuples(st.just("flip"), WHERE, st.integers(0, 7)),
    st.tuples(st.just("byte"), WHERE, st.integers(0, 255)),
    st.tuples(st.just("field"), WHERE, NUMBER),
    st.tuples(st.just("field"), WHERE, NUMBER),
    st.tuples(st.just("splice"), WHERE, WHERE, st.integers(1, 64)),
    st.tuples(st.just("cut"), WHERE, st.integers(1, 64)),
    st.tuples(st.just("insert"), WHERE, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("truncate"), WHERE),
)


def mutate(data: bytes, mutations: list[tuple[Any, ...]]) -> bytes:
    out = bytearray(data)
    fields = [place for _, place in Elf(data).fields()]
    for kind, where, *more in mutations:
        at = where % max(len(out), 1)
        match kind:
            case "flip" if out:
                out[at] ^= 1 << more[0]
            case "byte" if out:
                out[at] = more[0]
            case "field":
                start, width = fields[where % len(fields)]
                out[start : start + width] = struct.pack("<Q", more[0] & (1 << 64) - 1)[:width]
            case "splice":
                out[at : at + more[1]] = out[more[0] % max(len(out), 1) :][: more[1]]
            case "cut":
                del out[at : at + more[0]]
            case "insert":
                out[at:at] = more[0]
            case "truncate":
                del out[at:]
    return bytes(out)


@example(data=EXTENSION, mutations=[])
@given(data=st.sampled_from(POOL), mutations=st.lists(MUTATION, min_size=1, max_size=6))
def test_mutated_objects_fail_only_with_diagnostics(data: bytes, mutations: list[tuple[Any, ...]]) -> None:
    failures(mutate(data, mutations))


# The same through the command line: what a user sees.

CLI_CASES: dict[str, tuple[int, bytes]] = {
    "empty": (3, b""),
    "text": (3, b"hello\n"),
    "truncated in the header": (3, EXTENSION[:30]),
    "truncated in the middle": (3, EXTENSION[: len(EXTENSION) // 2]),
    "truncated at the end": (3, EXTENSION[:-1]),
    **{what: (CODES[MALFORMED[what][0]].error.exit_code, spoilt("arm", MALFORMED[what][1]))
       for what in ("executable", "wrong machine", "big-endian", "overlapping sections", "section of 2^32-1 bytes",
                    "symbol in a section that is not there", "relocation of an unknown symbol")},
    "section of 2^63 bytes": (3, spoilt("riscv64", MALFORMED["section of 2^63 bytes"][1])),
}  # fmt: skip


CLI_RUNS = [
    *((what, command) for what in CLI_CASES for command in ("link", "check")),
    *((what, command) for what in ("empty", "truncated at the end") for command in ("run", "inspect", "finish")),
    ("wrong machine", "run"),
]


@pytest.mark.parametrize(("what", "command"), CLI_RUNS)
def test_command_line_refuses_without_output(what: str, command: str, tmp_path: Path) -> None:
    code, data = CLI_CASES[what]
    (tmp_path / "bad.llext").write_bytes(data)
    out = ["-o", "out.elf"] if command in ("link", "finish") else []
    call = ["--call", "start()"] if command == "run" else []
    done = subprocess.run(
        [sys.executable, "-P", "-m", "llext_tools", command, "bad.llext", *out, *call],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error[")
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr
    assert os.listdir(tmp_path) == ["bad.llext"]


def test_a_bss_larger_than_any_board_takes_no_memory_to_check() -> None:
    """A file of a kilobyte that claims a gigabyte: nothing of that is allocated here."""
    elf = Elf(files()["ptrs_arm_gcc/e.llext"])
    elf.put(elf.shdr(".bss", "size"), 1 << 30)
    tracemalloc.start()
    try:
        check(read_object(bytes(elf), "huge.llext"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
