"""Two hundred faults, put at random into good extensions and their firmware: all are found, each under its code.

Oracle: the fault itself. The objects are built by real compilers from ``variants/``, and pass as they are
(``test_the_objects_are_good``). A fault is chosen by its seed, so that a failure can be looked at again.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import built
from elfedit import Elf
from llext_tools.check import Board, check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object, reloc_tables
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.link.exports import Export, ExportTable
from llext_tools.llext import Config
from llext_tools.paths import cmake_dir, include_dir

pytestmark = pytest.mark.toolchain

SOURCES = Path(__file__).with_name("variants")
BUILDS = [("cortex-m4", "gcc"), ("cortex-m0plus", "gcc"), ("rv32imac", "gcc"), ("rv64gc", "zig")]
EACH = 50  # faults of each of the four kinds
FLAGS = ("-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Good:
    """An extension that is fine, its inputs before the partial link, and the firmware that it is for."""

    combination: built.Combination
    folder: Path
    inputs: tuple[Path, ...]
    path: Path
    firmware: Path


class Fault(NamedTuple):
    """What was done, for whoever reads a failure, and the code under which it has to be found."""

    what: str
    code: str


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Good]:
    """The extension for a seed: of all builds in turn, each made once."""

    @cache
    def make(target: str, toolchain: str) -> Good:
        combination = built.find(target, toolchain)
        folder = tmp_path_factory.mktemp(f"{target}-{toolchain}")
        inputs = [compiled(combination, folder, SOURCES / name, *FLAGS) for name in ("part.c", "more.c")]
        inputs.append(helpers(combination, folder))
        merged = combination.merge(folder, *inputs)
        path = folder / "hello.llext"
        path.write_bytes(finish(load_object(str(merged))))
        header = (SOURCES / "api.h").read_text(encoding="utf-8")
        return Good(combination, folder, tuple(inputs), path, firmware_of(combination, folder, header))

    return lambda seed: make(*BUILDS[seed % len(BUILDS)])


def compiled(combination: built.Combination, folder: Path, source: Path, *flags: str) -> Path:
    """An object with headers of ``folder`` before those beside the source."""
    more = (*flags, f"-I{folder}", f"-I{include_dir()}", f"-I{SOURCES}", "-DLL_EXTENSION_BUILD")
    target = combination.compile(folder, source.read_text(encoding="utf-8"), *more)
    return target.rename(folder / f"{source.stem}.o")


def helpers(combination: built.Combination, folder: Path) -> Path:
    """Stands for the compiler's helper functions: what they compute does not matter here."""
    names = ["__aeabi_uldivmod", "__udivdi3", "__aeabi_fmul", "__aeabi_dmul", "__aeabi_i2d", "__aeabi_d2iz",
             "__muldf3", "__floatsidf", "__fixdfsi", "__aeabi_idivmod", "__aeabi_uidivmod", "__aeabi_idiv",
             "__aeabi_uidiv", "__aeabi_lmul", "__muldi3", "__extendsfdf2", "__aeabi_f2d"]  # fmt: skip
    text = "".join(f'__attribute__((visibility("hidden"))) void {name}(void) {{}}\n' for name in names)
    text += "static volatile int early; __attribute__((constructor(101))) static void start_early(void) { early++; }\n"
    return combination.compile(folder, text, "-fno-builtin", "-w").rename(folder / "helpers.o")


def firmware_of(combination: built.Combination, folder: Path, header: str) -> Path:
    """A firmware that defines and exports whatever a header declares."""
    folder.joinpath("firmware-api.h").write_text(header, encoding="utf-8")
    functions = re.findall(r"^([\w *]+?)(\w+)\((.*)\);$", header, re.MULTILINE)
    variables = re.findall(r"^extern (.*?\*?)(\w+)(\[\w*\])?;$", header, re.MULTILINE)
    lines = ['#include "firmware-api.h"', "#include <llext/symbol.h>", "struct opaque { int secret; };"]
    lines += [f"{result}{name}({params}) {{ for (;;) {{ }} }}" for result, name, params in functions]
    lines += [f"{kind} {name}{size};" for kind, name, size in variables]
    lines += [f"EXPORT_SYMBOL({name});" for name in [*(f[1] for f in functions), *(v[1] for v in variables)]]
    flags = ("-O1", "-fno-builtin", "-w", "-fno-data-sections", f"-I{folder}", f"-I{include_dir()}")
    obj = combination.compile(folder, "\n".join([*lines, ""]), *flags)
    script, output = SOURCES / "firmware.ld", folder / "firmware.elf"
    emulation = built.EMULATION[combination.target.arch, combination.target.bits]
    more = ["-m" + emulation] if combination.toolchain.name == "gcc" else []
    subprocess.run([*combination.toolchain.ld, *more, "-T", str(script), str(obj), "-o", str(output)], check=True)
    return output


def found(path: Path, firmware: Firmware, board: Board = Board()) -> tuple[Diagnostic, ...]:  # noqa: B008 - frozen
    """All that the check says about a file."""
    reporter = Reporter()
    try:
        check(load_object(str(path)), firmware=firmware, board=board, reporter=reporter)
    except LlextError as error:
        reporter.add(error.diagnostics)
    return reporter.diagnostics


def assert_found(fault: Fault, diagnostics: tuple[Diagnostic, ...]) -> None:
    """The fault's code, and no other error."""
    errors = {d.code for d in diagnostics if d.severity == "error"}
    assert errors == {fault.code}, (fault, [d.message for d in diagnostics])


@pytest.mark.parametrize("seed", range(len(BUILDS)), ids=["-".join(each) for each in BUILDS])
def test_the_objects_are_good(seed: int, good: Callable[[int], Good], tmp_path: Path) -> None:
    it = good(seed)
    assert found(it.path, read_firmware([it.firmware])) == ()
    assert found(link_split(it, tmp_path), read_firmware([it.firmware])) == ()


# ---- imports renamed


@pytest.mark.parametrize("seed", range(EACH))
def test_a_renamed_import_is_found(seed: int, good: Callable[[int], Good], tmp_path: Path) -> None:
    it, rng = good(seed), random.Random(seed)
    firmware = read_firmware([it.firmware])
    data, obj = bytearray(it.path.read_bytes()), load_object(str(it.path))
    y, strings = obj.symbols, int(obj.sections.link[obj.symbols.section])
    undefined = np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0)).tolist()
    i = rng.choice(undefined)
    name = y.name(i)
    place = int(obj.sections.offset[strings] + y.name_at[i]) + rng.randrange(len(name))
    data[place] = rng.choice([c for c in b"abcdefghijklmnopqrstuvwxyz_0123456789" if c != data[place]])
    path = tmp_path / "renamed.llext"
    path.write_bytes(data)
    renamed = load_object(str(path)).symbols.name(i)
    assert renamed not in firmware.exports.by_name
    diagnostics = found(path, firmware)
    assert_found(Fault(f"`{name}` became `{renamed}`", "undefined-symbol"), diagnostics)
    assert f"`{renamed}`" in diagnostics[0].message


# ---- types changed in the firmware


def member_inserted(header: str, rng: random.Random) -> str:
    """A member before another one, of any structure."""
    at = rng.choice([m.start() for m in re.finditer(r"^\t(?!MODE|int32_t raw|float|}|union)\S", header, re.MULTILINE)])
    return f"{header[:at]}\tint32_t inserted;\n{header[at:]}"


def member_removed(header: str, rng: random.Random) -> str:
    lines = re.findall(r"^\t(?:struct|const|enum|version_t|int64_t|int \(|uint8_t h).*;\n", header, re.MULTILINE)
    return header.replace(rng.choice(lines), "", 1)


def members_swapped(header: str, rng: random.Random) -> str:
    pairs = re.findall(r"^\t(?:struct|const|enum|version_t|uint8_t h|int64_t).*;\n", header, re.MULTILINE)
    a, b = rng.sample(pairs, 2)
    return header.replace(a, "\0").replace(b, a).replace("\0", b)


def replaced(*pairs: tuple[str, str]) -> Callable[[str, random.Random], str]:
    def change(header: str, rng: random.Random) -> str:
        old, new = rng.choice(pairs)
        assert header.count(old) == 1, old
        return header.replace(old, new)

    return change


member_changed = replaced(
    ("int16_t low, high;", "int32_t low, high;"),
    ("int16_t low, high;", "uint16_t low, high;"),
    ("int32_t raw;", "int64_t raw;"),
    ("float ratio;", "double ratio;"),
    ("channel : 5", "channel : 7"),
    ("ready : 1", "ready : 2"),
    ("int64_t stamp;", "int32_t stamp;"),
    ("int64_t stamp;", "uint64_t stamp;"),
    ("history[3][4]", "history[3][5]"),
    ("history[3][4]", "history[4][4]"),
    ("MODE_SLOW = 5", "MODE_SLOW = 6"),
    ("MODE_OFF,", "MODE_OFF = 2,"),
    ("uint8_t major, minor;", "uint16_t major, minor;"),
    ("uint8_t major, minor;", "int8_t major, minor;"),
    ("int32_t *value);", "int64_t *value);"),
)
signature_changed = replaced(
    ("int sensor_register(", "int64_t sensor_register("),
    ("int sensor_register(struct sensor *sensor,", "int sensor_register(struct sensor sensor,"),
    ("enum mode mode);", "enum mode mode, int added);"),
    ("size_t sensor_visit(visitor_t visitor, void *data);", "size_t sensor_visit(visitor_t visitor);"),
    ("size_t sensor_visit(visitor_t visitor,", "size_t sensor_visit(int64_t visitor,"),
    ("size_t sensor_visit(", "void sensor_visit("),
    ("float factor, double offset", "double factor, double offset"),
    ("float factor, double offset", "double offset, float factor"),
    ("float factor, double offset", "float factor, float offset"),
    ("double sensor_scale(", "float sensor_scale("),
    ("int64_t sensor_stamp(", "int32_t sensor_stamp("),
    ("sensor_stamp(uint64_t seed)", "sensor_stamp(uint32_t seed)"),
    ("sensor_stamp(uint64_t seed)", "sensor_stamp(void)"),
    ("struct range sensor_limits(", "struct range *sensor_limits("),
    ("sensor_limits(version_t version)", "sensor_limits(const version_t *version)"),
    ("driver_of(const char *name)", "driver_of(int64_t name)"),
    ("struct opaque *driver_of(", "int64_t driver_of("),
    ("log_text(const char *format, ...)", "log_text(const char *format)"),
    ("log_text(const char *format, ...)", "log_text(int64_t level, const char *format, ...)"),
    ("extern struct sensor *first_sensor;", "extern struct sensor first_sensor;"),
    ("board_table[8]", "board_table[9]"),
    ("const uint16_t board_table", "const uint32_t board_table"),
)
CHANGES = (
    (member_inserted, "abi-layout"),
    (member_removed, "abi-layout"),
    (members_swapped, "abi-layout"),
    (member_changed, "abi-layout"),
    (signature_changed, "abi-prototype"),
)


@pytest.mark.parametrize("seed", range(EACH))
def test_a_changed_type_is_found(seed: int, good: Callable[[int], Good], tmp_path: Path) -> None:
    it, rng = good(seed), random.Random(seed)
    before = (SOURCES / "api.h").read_text(encoding="utf-8")
    change, code = rng.choice(CHANGES)
    header = change(before, rng)
    assert header != before
    firmware = read_firmware([firmware_of(it.combination, tmp_path, header)])
    lines = [line for line in header.splitlines() if line not in before.splitlines()]
    assert_found(Fault(f"{change.__name__}: {lines}", code), found(it.path, firmware))


# ---- relocations moved out of range


def place_behind_its_section(it: Good, rng: random.Random, tmp_path: Path) -> tuple[Path, Firmware, Board]:
    """The place of a relocation moves behind the end of its section."""
    edited, obj = Elf(it.path.read_bytes()), load_object(str(it.path))
    sizes = obj.sections.size[obj.sections.info[reloc_tables(obj)]]
    table = rng.choice([t for t, size in zip(reloc_tables(obj).tolist(), sizes.tolist(), strict=True) if size])
    size = int(obj.sections.size[obj.sections.info[table]])
    edited.put(edited.rel(table, rng.randrange(100), "offset"), size + 4 * rng.randrange(1000))
    path = tmp_path / "behind.llext"
    path.write_bytes(bytes(edited))
    return path, read_firmware([it.firmware]), Board()


def function_far_away(it: Good, rng: random.Random, tmp_path: Path) -> tuple[Path, Firmware, Board]:
    """A short branch to a function that moves out of its reach, in any direction."""
    arm = it.combination.target.arch == "arm"
    mnemonic, reach = rng.choice([("bl", 1 << 24)] if arm else [("jal ra,", 1 << 20), ("call", 1 << 31)])
    if mnemonic == "call" and it.combination.target.bits == 32:
        mnemonic, reach = "jal ra,", 1 << 20
    text = [".text", ".globl run", ".type run, %function", "run:"]
    text += [*rng.choices(["nop"], k=rng.randrange(40)), f"{mnemonic} far"]
    text += ["bx lr" if arm else "ret", ".globl dummy", ".type dummy, %object", ".data", "dummy: .word 1"]
    flags = (*it.combination.target.cpu_flags, *([] if arm else ["-mno-relax"]), "-x", "assembler")
    source = tmp_path / "far.s"
    source.write_text("\n".join([*([".syntax unified", ".thumb"] if arm else []), *text, ""]))
    compiler = built.PREFIX[it.combination.target.arch] + "gcc"
    subprocess.run([compiler, *flags, "-c", source.name, "-o", "far.o"], cwd=tmp_path, check=True)
    heap = 0x4000_0000 if reach < 1 << 31 else 0x10_0000_0000
    away = rng.choice([-1, 1]) * (reach + 0x1_0000 + 2 * rng.randrange(reach // 2))
    exports = ExportTable(source="board", symbols=(Export("far", (heap + away) | int(arm), "func"),))
    return tmp_path / "far.o", Firmware(exports=exports), Board(config=Config(heap_start=heap, heap_size=0x4000))


@pytest.mark.parametrize("seed", range(EACH))
def test_a_relocation_out_of_range_is_found(seed: int, good: Callable[[int], Good], tmp_path: Path) -> None:
    it, rng = good(seed), random.Random(seed)
    if rng.random() < 0.4:
        path, firmware, board = place_behind_its_section(it, rng, tmp_path)
        fault = Fault("a place behind its section", "elf-relocations")
    else:
        path, firmware, board = function_far_away(it, rng, tmp_path)
        silent = it.combination.target.arch == "riscv" and "jal" in (tmp_path / "far.s").read_text()
        fault = Fault("a function far away", "reloc-deviates" if silent else "reloc-out-of-range")
    assert_found(fault, found(path, firmware, board))


# ---- sections split


def link_split(it: Good, folder: Path, first: Sequence[str] = ()) -> Path:
    """Link the inputs with the merge script, in front of which other output sections take some of the input."""
    script, output = folder / "split.ld", folder / "split.debug.elf"
    merge = Path(cmake_dir(), "llext-merge.ld").read_text(encoding="utf-8")
    script.write_text(merge.replace("SECTIONS\n{\n", "\n  ".join(["SECTIONS\n{", *first]) + "\n", 1))
    emulation = built.EMULATION[it.combination.target.arch, it.combination.target.bits]
    more = ["-m", emulation, "-d", "--force-group-allocation"] if it.combination.toolchain.name == "gcc" else []
    command = [*it.combination.toolchain.ld, *more, "-r", "-T", str(script), *map(str, it.inputs), "-o", str(output)]
    subprocess.run(command, check=True)
    return output


def split(it: Good, rng: random.Random) -> tuple[list[str], Fault]:
    """Output sections that tear apart what belongs to one region."""
    sections = [load_object(str(path)).sections for path in it.inputs]
    full = [(name, int(size)) for s in sections for name, size in zip(s.name, s.size, strict=True)]

    def some(kind: str) -> str:
        return rng.choice(sorted(name for name, size in full if size and name.startswith(f".{kind}.")))

    def alone(name: str, *inputs: str) -> str:
        return f".{name}.split 0 : {{ {' '.join(f'KEEP(*({each}))' for each in inputs)} }}"

    text, data, rodata, bss = some("text"), some("data"), some("rodata"), some("bss")
    overlap = [alone("text", text), alone("data", data), alone("rodata", rodata)]
    faults = (
        (rng.sample(overlap, 3), Fault(f"{text}, {data} and {rodata} in front", "region-overlap")),
        ([alone("bss", bss)], Fault(f"{bss} by itself", "region-nobits")),
        ([alone("init_array", ".init_array.*")], Fault("two arrays of constructors", "region-array")),
        ([alone("text", text, data)], Fault(f"{text} together with {data}", "region-flags")),
    )
    return rng.choice(faults)


@pytest.mark.parametrize("seed", range(EACH))
def test_a_split_section_is_found(seed: int, good: Callable[[int], Good], tmp_path: Path) -> None:
    it = good(seed)
    first, fault = split(it, random.Random(seed))
    assert_found(fault, found(link_split(it, tmp_path, first), read_firmware([it.firmware])))
