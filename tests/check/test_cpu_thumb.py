"""Arm and Thumb code. Oracle: GNU ld, which makes a BLX where one is needed; readelf for what is where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from check.test_cpu_facts import HARD, SOFT, compiler, run
from llext_tools.check import Board, check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.paths import include_dir
from needs import need

pytestmark = pytest.mark.toolchain

GCC, AS, LD = "arm-none-eabi-gcc", "arm-none-eabi-as", "arm-none-eabi-ld"


def found(path: Path, firmware: Firmware | None = None, target: str = "") -> list[Diagnostic]:
    reporter, obj = Reporter(), load_object(str(path))
    try:
        check(obj, firmware=firmware, board=Board(target=target), reporter=reporter)
    except LlextError as error:
        reporter.add(error.diagnostics)
    return [d for d in reporter.diagnostics if d.code.startswith(("thumb-", "store-", "exports-thumb"))]


def codes(path: Path, firmware: Firmware | None = None, target: str = "") -> list[tuple[str, str]]:
    return [(d.code, d.severity) for d in found(path, firmware, target)]


def assembled(folder: Path, text: str, *flags: str) -> Path:
    (folder / "e.s").write_text(f".syntax unified\n{text}")
    run(need(AS), *flags, folder / "e.s", "-o", folder / "e.llext")
    return folder / "e.llext"


def finished(path: Path) -> Path:
    """What is shipped: without mapping symbols."""
    shipped = path.with_name("finished.llext")
    shipped.write_bytes(finish(load_object(str(path))))
    assert "$t" not in run(need("arm-none-eabi-readelf"), "-sW", shipped)
    return shipped


LABELS = """\
#include <llext/symbol.h>
int jump(int x)
{
    static void *const to[] = {&&one, &&two, &&three};
    goto *to[x];
one:
    return 1;
two:
    return 5;
three:
    return jump(x - 1) * 3;
}
static int next(int x) { return x + 1; }
static int last(int x) { return x - 1; }
int (*volatile chosen)(int) = next;
int (*const table[])(int) = {next, last, jump};
int many(int x)
{
    switch (x) {
    case 0: return 5;
    case 1: return 77;
    case 2: return jump(3);
    case 3: return 11;
    case 4: return table[x & 1](9);
    case 5: return chosen(1);
    case 6: return many(x - 1) + 1;
    }
    return 0;
}
__attribute__((naked)) void raw(void) { __asm__("bx lr"); }
__asm__(".pushsection .text, \\"ax\\", %progbits\\n"
        ".balign 4\\nnumbers: .word 1, 2, 3\\n.size numbers, 12\\n.popsection");
extern const int numbers[];
int number(int x) { return numbers[x]; }
__attribute__((constructor)) static void begin(void) { chosen = last; }
LL_EXTENSION_SYMBOL(many);
LL_EXTENSION_SYMBOL(raw);
"""
CPUS = [
    f"-mcpu=cortex-m0 {SOFT}",
    f"-mcpu=cortex-m4 {SOFT}",
    f"-mcpu=cortex-m33 {HARD} -mfpu=fpv5-sp-d16",
    f"-mcpu=cortex-r5 {SOFT}",
]


@pytest.mark.parametrize("kind", ["gcc", "clang"])
@pytest.mark.parametrize("cpu", CPUS)
def test_addresses_that_compilers_take(kind: str, cpu: str, tmp_path: Path) -> None:
    """Labels of computed jumps are even and no symbols; tables of functions are odd; data in code is even."""
    (tmp_path / "e.c").write_text(LABELS)
    for level in ("-O0", "-Os", "-O2"):
        command = [*compiler(kind, cpu), level, "-ffreestanding", "-DLL_EXTENSION_BUILD", f"-I{include_dir()}"]
        run(*command, "-fno-unwind-tables", "-c", tmp_path / "e.c", "-o", tmp_path / "e.llext")
        assert codes(tmp_path / "e.llext") == []
        run(need("arm-none-eabi-objcopy"), "-R", ".ARM.exidx", "-R", ".rel.ARM.exidx", tmp_path / "e.llext")
        assert codes(finished(tmp_path / "e.llext")) == []


EXPORT = """\
        .section .exported_sym, "a"
        .word   name, {symbol}
        .section .rodata
name:   .asciz  "name"
"""
KEEP = "\n.thumb\n.global keep\n.type keep, %function\nkeep: bx lr\n"
ERROR, WARNING = ("thumb-bit", "error"), ("thumb-bit", "warning")
POINTERS = [
    # what is in .text, what is exported, other data, what is found, and in the finished file
    ("untyped: bx lr", "untyped", "", [ERROR], [WARNING]),
    (".global untyped\nuntyped: bx lr", "untyped", "", [ERROR], [ERROR]),
    (".thumb_func\nf: bx lr", "f", "", [], []),
    (".type f, %function\nf: bx lr", "f", "", [], []),
    ("untyped: bx lr", "untyped + 1", "", [], []),  # who writes it so knows
    (".balign 4\nnumbers: .word 1", "keep", ".word numbers", [], []),
    (".balign 4\n.type numbers, %object\nnumbers: .word 1", "numbers", "", [], [WARNING]),  # as the first one
    (".balign 4\n.global numbers\nnumbers: .word 1", "numbers", "", [], [ERROR]),  # as the second one
    (".global untyped\nuntyped: bx lr", "keep", ".word untyped", [WARNING], []),
    (".global untyped\nuntyped: bx lr", "keep", ".word untyped + 1", [], []),
    (".global untyped\nuntyped: bx lr\nbl untyped", "keep", ".word untyped", [WARNING], [WARNING]),
    (".global untyped\nuntyped: bx lr\nbl untyped", "keep", "", [], []),
    (
        ".global untyped\nuntyped: bx lr\nmovw r0, #:lower16:untyped\nmovt r0, #:upper16:untyped",
        "keep",
        "",
        [WARNING],
        [],
    ),
    (
        ".global untyped\nuntyped: bx lr",
        "keep",
        '.section .init_array, "aw", %init_array\n.word untyped',
        [ERROR],
        [ERROR],
    ),
    ("untyped: bx lr", "keep", '.section .fini_array, "aw", %fini_array\n.word untyped', [ERROR], [ERROR]),
]


@pytest.mark.parametrize(("text", "symbol", "data", "expected", "later"), POINTERS)
def test_addresses_of_labels(
    text: str, symbol: str, data: str, expected: list[tuple[str, str]], later: list[tuple[str, str]], tmp_path: Path
) -> None:
    """The finished file has no mapping symbols: less can be said there, and nothing that is wrong."""
    source = f".thumb\n{text}\n{KEEP}{EXPORT.format(symbol=symbol)}\n.data\n{data}\n"
    path = assembled(tmp_path, source, "-mcpu=cortex-m4")
    assert codes(path) == expected
    assert codes(finished(path)) == later


STATES = ("arm", "thumb")
CALL = """\
        .cpu    cortex-r5
        .text
        .{caller}
        .global start
        .type   start, %function
start:  {branch}  callee
        bx      lr
"""
CALLEE = """\
        .cpu    cortex-r5
        .text
        .{callee}
        .global callee
        .type   callee, %function
callee: bx      lr
"""


@pytest.mark.parametrize("caller", STATES)
@pytest.mark.parametrize("callee", STATES)
@pytest.mark.parametrize("branch", ["bl", "b.w"])
@pytest.mark.parametrize("where", ["inside", "firmware"])
def test_branches_that_a_linker_changes(caller: str, callee: str, branch: str, where: str, tmp_path: Path) -> None:
    """GNU ld makes a BL a BLX, or leads it through a veneer, where the states differ; the loader does neither."""
    branch = branch.removesuffix(".w" if caller == "arm" else "!")
    call = CALL.format(caller=caller, branch=branch)
    (tmp_path / "callee.s").write_text(f".syntax unified\n{CALLEE.format(callee=callee)}")
    run(need(AS), tmp_path / "callee.s", "-o", tmp_path / "callee.o")
    path = assembled(tmp_path, call)
    run(need(LD), "-e0", "-Ttext=0x8000", path, tmp_path / "callee.o", "-o", tmp_path / "both.elf")
    listing = run(need("arm-none-eabi-objdump"), "-d", tmp_path / "both.elf")
    first = re.search(r"<start>:\n.*\t(\w[\w.]*)\t.*<(\S+)>", listing)
    assert first
    changed = first[1] == "blx" or first[2] != "callee"
    firmware = None
    if where == "inside":
        run(need(LD), "-r", path, tmp_path / "callee.o", "-o", tmp_path / "both.llext")
        path = tmp_path / "both.llext"
    else:
        address = int(run(need("arm-none-eabi-nm"), tmp_path / "both.elf").split(" T callee")[0].split()[-1], 16)
        table = 'cpu = { arch = "arm", bits = 32, name = "Armv7-R", isa = ["Armv7-R"] }\n[exports]\ncallee = '
        (tmp_path / "t.toml").write_text(table + f'{{ address = {address | (callee == "thumb"):#x}, kind = "func" }}\n')
        firmware = read_firmware([tmp_path / "t.toml"])
    assert codes(path, firmware) == ([("thumb-state", "error")] if changed else [])


@pytest.mark.parametrize("caller", STATES)
@pytest.mark.parametrize("callee", STATES)
def test_a_blx_changes_the_state(caller: str, callee: str, tmp_path: Path) -> None:
    source = CALL.format(caller=caller, branch="blx") + CALLEE.format(callee=callee)
    assert codes(assembled(tmp_path, source)) == ([("thumb-state", "error")] if caller == callee else [])


def test_long_calls_go_by_the_address(tmp_path: Path) -> None:
    (tmp_path / "e.c").write_text("int callee(int); int start(int x) { return callee(x) + 1; }\n")
    table = 'cpu = { arch = "arm", bits = 32, name = "Armv7-R", isa = ["Armv7-R"] }\n[exports]\n'
    (tmp_path / "t.toml").write_text(table + 'callee = { address = 0x8000, kind = "func" }\n')
    for flag, expected in (("-mno-long-calls", [("thumb-state", "error")]), ("-mlong-calls", [])):
        command = [*compiler("gcc", f"-mcpu=cortex-r5 {SOFT}"), "-O1", flag, "-c"]
        run(*command, tmp_path / "e.c", "-o", tmp_path / "e.llext")
        assert codes(tmp_path / "e.llext", read_firmware([tmp_path / "t.toml"])) == expected


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("typed", [True, False])
def test_code_without_a_cpu(state: str, typed: bool, tmp_path: Path) -> None:
    """Nothing says that it is for a Cortex-M; with a target it does. Arm code is then for another CPU, too."""
    kind = ".type start, %function\n" if typed else ""
    keep = KEEP.replace("thumb", state)
    source = f".{state}\n.global start\n{kind}start: bx lr\n{keep}{EXPORT.format(symbol='start')}"
    path = assembled(tmp_path, source)
    expected = [("thumb-bit", "error")] if state == "thumb" and not typed else []
    assert codes(path) == expected
    assert codes(path, target="cortex-m4") == expected


PACKED = """\
#include <llext/symbol.h>
struct __attribute__((packed)) entry {{ char pad[{pad}]; const char *text; int (*call)(int); }};
{section} struct entry entry = {{{{1}}, "hello", start}};
"""


@pytest.mark.parametrize("pad", range(1, 6))
@pytest.mark.parametrize(("cpu", "strict"), [("cortex-m0", True), ("cortex-m23", True), ("cortex-m4", False)])
def test_places_of_words(pad: int, cpu: str, strict: bool, tmp_path: Path) -> None:
    source = PACKED.format(pad=pad, section="int start(int);\n") + "int start(int x) { return entry.text[x]; }\n"
    (tmp_path / "e.c").write_text(
        source.replace("struct entry entry", "__attribute__((aligned(4))) struct entry entry")
    )
    command = [*compiler("gcc", f"-mcpu={cpu} {SOFT}"), "-Os", f"-I{include_dir()}"]
    run(*command, "-c", tmp_path / "e.c", "-o", tmp_path / "e.llext")
    listing = run(need("arm-none-eabi-readelf"), "-rW", tmp_path / "e.llext").split("'.rel.data'")[1]
    uneven = [at for at in re.findall(r"^([0-9a-f]{8}) .*R_ARM_ABS32", listing, re.MULTILINE) if int(at, 16) % 4]
    assert bool(uneven) == (pad % 4 != 0)
    assert codes(tmp_path / "e.llext") == ([("store-unaligned", "error")] if uneven and strict else [])
    if uneven and strict:
        location = found(tmp_path / "e.llext")[0].location
        assert location is not None
        assert (location.section, location.offset) == (".data", int(uneven[0], 16))
    assert codes(tmp_path / "e.llext", target="cortex-m0plus") == ([("store-unaligned", "error")] if uneven else [])
