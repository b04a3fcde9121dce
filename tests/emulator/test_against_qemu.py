"""The samples on the base image, by `llext run` and by QEMU: what calls return and what is printed is the same.

Oracle: QEMU, with the image started from reset on a board, and calls compiled by the target's own compiler.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from llext_tools import profile
from llext_tools.c.types import encode
from llext_tools.cli import main
from llext_tools.elf.read import load_object
from llext_tools.host.devices import parse_mmio
from llext_tools.host.firmware import read_firmware
from llext_tools.link.image import Image
from llext_tools.mem import Mem
from llext_tools.run import Setup, load, run
from llext_tools.run.proof import others, prove
from needs import need
from oracle import qemu
from oracle.qemu import BOARDS, Answer, Board, Call
from samples import RUNTIME, Builder, Sample, read_samples

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

EXTENSIONS_AT = 0x8_0000
"""Bytes from the start of RAM: behind what the image has."""

COMBINATIONS = [
    ("cortex-m0plus", "gcc"),
    ("cortex-m3", "gcc"),
    ("cortex-m4f", "gcc"),
    ("cortex-m7", "gcc"),
    ("cortex-m33", "gcc"),
    ("rv32imac", "gcc"),
    ("rv32imafc", "gcc"),
    ("rv64gc", "gcc"),
    ("cortex-m4f", "zig"),
    ("rv32imac", "zig"),
]
DECLARATIONS = """
int hello(void);
int greet(const char *);
int counter_run(int);
int execute(const char *, const char *, int);
int init_fini_run(void);
int report(int);
uint32_t hash_text(const char *);
uint32_t rotate_right(uint32_t, uint32_t);
int64_t mean_ns(int64_t, int64_t);
float fahrenheit(float);
double square_root(double);
int32_t round_to(double, int32_t);
int age_of(const char *);
int sensor_sample(int);
int far_call(int);
int thermometer_watch(int);
int thermometer_limit(int);
uint32_t thermometer_crc(const char *);
"""
"""From the sources of the samples."""

TYPES = {
    name: (result.strip(), f"{result}(*)({params})")
    for result, name, params in re.findall(r"^(.+?)(\w+)\((.*)\);$", DECLARATIONS, re.MULTILINE)
}


def on_image() -> list[Sample]:
    """Without the one that is there twice, and the one that needs threads: the image has none."""
    return [s for s in read_samples() if not s.extension.startswith("near_") and s.folder != "threads"]


def groups() -> dict[str, list[Sample]]:
    """The tests of each extension: their calls are made one after the other."""
    tests = sorted(on_image(), key=lambda s: s.extension)
    return {name: list(group) for name, group in groupby(tests, key=lambda sample: sample.extension)}


GROUPS = groups()
Built = Callable[[str, str], Builder]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """``built(target, chain)``: the image for the board and all extensions, each ``<name>.debug.elf``."""

    @cache
    def build(target: str, chain: str) -> Builder:
        board = BOARDS[target]
        builder = Builder(target, chain, tmp_path_factory.mktemp(target))
        builder.firmware(board.flash, board.ram, board.uart)
        for name in {name for s in on_image() for name in (s.extension, *s.extensions.split())}:
            builder.extension(name)
        return builder

    return build


def symbol(path: Path, name: str) -> int:
    """By pyelftools."""
    with path.open("rb") as file:
        return int(ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"])


def on_board(builder: Builder, board: Board, images: Sequence[Image], calls: list[Call], folder: Path) -> Answer:
    firmware = builder.folder / "firmware.elf"
    source = folder / "program.c"
    source.write_text(qemu.program(images, calls, symbol(firmware, "printk")), encoding="utf-8")
    start = builder.program(source, board.ram + qemu.PROGRAM_AT)
    return qemu.run(board, firmware, start, images, folder)


@pytest.mark.parametrize("group", sorted(GROUPS))
@pytest.mark.parametrize(("target", "chain"), COMBINATIONS)
def test_results_and_output_are_those_of_qemu(
    target: str, chain: str, group: str, built: Built, tmp_path: Path
) -> None:
    tests, board = GROUPS[group], BOARDS[target]
    need(board.program)
    builder = built(target, chain)
    firmware = builder.folder / "firmware.elf"
    names = [*tests[0].extensions.split(), group]
    objects = [load_object(str(builder.folder / f"{name}.debug.elf")) for name in names]
    heap = symbol(firmware, "kheap_llext_heap")
    host = read_firmware([firmware])
    exports, image = host.exports, host.images[0].obj
    images = load(objects, builder.target, exports=exports, firmware=[image])
    where = images[0].layout.base[Mem.TEXT]
    assert heap <= where < heap + (192 << 10) or (group, chain) == ("math", "zig"), "Zig's helpers are larger than that"
    setup = Setup(builder.target, exports, (image,), mmio=(parse_mmio(f"{board.uart:#x}+4K={board.kind}"),))
    prototypes = [test.prototype for test in tests if test.prototype]
    texts = [test.call for test in tests]
    ours = run(images, texts, setup, prototypes=prototypes)
    assert ours.fault is None, ours.fault
    assert prove(images, texts, setup, ours, placements=3, profile=profile.DEFAULT, prototypes=prototypes) is None

    calls = []
    for test in tests:
        name, arguments = test.call.removesuffix(")").split("(", 1)
        result, signature = TYPES[name]
        calls.append(Call(signature, images[-1].exp_tab.by_name[name].address, arguments, result))
    theirs = on_board(builder, board, images, calls, tmp_path)
    assert theirs.output == ours.output
    assert theirs.results == tuple(
        r.string if r.string is not None else int.from_bytes(encode(r.type, r.value or 0), "little")
        for r in ours.returned
    )


def test_other_places_are_in_the_heap(built: Built) -> None:
    """Oracle: the heap's address and size by pyelftools."""
    builder = built("cortex-m4f", "gcc")
    path = builder.folder / "firmware.elf"
    host = read_firmware([path])
    exports, image = host.exports, host.images[0].obj
    objects = [load_object(str(builder.folder / "counter.debug.elf"))]
    images = load(objects, builder.target, exports=exports, firmware=[image])
    places = [images[0].layout.base, *(d.fixed for (d,) in others(images, Setup(builder.target, exports, (image,)), 4))]
    heap = symbol(path, "kheap_llext_heap")
    assert len({tuple(place.items()) for place in places}) == 5
    for place in places:
        for mem, base in place.items():
            assert heap <= base
            assert base + images[0].mem[mem].size <= heap + (192 << 10)
    assert heap + (192 << 10) - max(places[1].values()) < 1 << 13, "at its end"


def test_a_firmware_of_another_cpu_is_refused(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    hello = built("cortex-m4f", "gcc").folder / "hello.debug.elf"
    firmware = built("rv32imac", "gcc").folder / "firmware.elf"
    for option in ("--firmware", "--exports"):
        assert main(["run", str(hello), option, str(firmware), "--call", "hello()"]) == 13
        assert "the extension is for 32-bit arm, the firmware for 32-bit" in capsys.readouterr().err


OWN = r"""
static int by_number(const void *a, const void *b) { return *(const short *)a - *(const short *)b; }
static const double values[] = {0, -0.0, 1, -1, 0.5, 1.5, 2.5, 0.125, 0.375, 999.9996, 9.5, 99999999.5, 0.1,
    1e-3, -2e-5, 1e-9, 3e-300, 5e-324, 123456789.123456789, 4503599627370497.5, 9.2e18, -1e15, 0.05, 0.95};
static const char *const texts[] = {"", "a", "ab", "abcab", "cab", "b"};
static int at(const char *found, const char *in) { return found ? (int)(found - in) : -1; }
static int sign(int x) { return (x > 0) - (x < 0); }
int all(void)
{
    static short numbers[40];
    char text[40];
    char *blocks[8];
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        double v = values[i];
        printf("%f|%.0f|%.1f|%.2f|%12.3f|%-12.3f|%012.3f|%.17f\n", v, v, v, v, v, v, v, v);
    }
    printf("%d|%5d|%-5d|%05d|%u|%x|%08x|%ld|%lld|%llu|%llx\n", -7, -7, -7, -7, 4000000000u, 255u, 255u, -70000L,
           -9223372036854775807LL - 1, 18446744073709551615ULL, 0x123456789abcdefULL);
    printf("%s|%6s|%-6s|%.2s|%*d|%.*s|%c|%%|%zu\n", "text", "text", "text", "text", 5, 42, 1, "text", 'c', (size_t)9);
    for (int size = 0; size < 9; size++) {
        memset(text, '#', sizeof(text));
        printf("%d ", snprintf(text, (size_t)size, "%s%d", "abc", 1234));
        printf("%.9s\n", text);
    }
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 6; k++) {
            printf("%d%d%d%d ", sign(strcmp(texts[i], texts[k])), sign(strncmp(texts[i], texts[k], 2)),
                   at(strstr(texts[i], texts[k]), texts[i]), sign(memcmp(texts[i], texts[k], 1)));
        }
        memset(text, 'x', sizeof(text));
        strncpy(text, texts[i], 4);
        printf("%d %d ", text[3], text[4]);
        printf("%d %d\n", at(strchr(texts[i], 'b'), texts[i]), at(strchr(texts[i], 0), texts[i]));
        strcpy(text, texts[i]);
        strcat(text, "+");
        memmove(text + 1, text, strlen(text) + 1);
        puts(text);
    }
    for (unsigned i = 0, x = 1; i < 40; i++) {
        x = x * 1103515245 + 12345;
        numbers[i] = (short)(x >> 16);
    }
    qsort(numbers, 40, sizeof(short), by_number);
    for (int i = 0; i < 40; i++) {
        short missing = (short)(numbers[i] ^ 1);
        printf("%d %d %d\n", numbers[i], (int)((short *)bsearch(&numbers[i], numbers, 40, 2, by_number) - numbers),
               bsearch(&missing, numbers, 40, 2, by_number) != NULL);
    }
    for (int round = 0; round < 50; round++) { /* more in all than the heap has: it must take back what is freed */
        for (int i = 0; i < 8; i++) {
            blocks[i] = calloc(1 + (size_t)((round * 7 + i * 31) % 150), 3);
            if (!blocks[i] || blocks[i][0]) return -1;
            memset(blocks[i], i + 1, 3);
        }
        for (int i = 0; i < 8; i += 2) { blocks[i] = realloc(blocks[i], 900); if (!blocks[i]) return -2; }
        for (int i = 0; i < 8; i++) { if (blocks[i][0] != i + 1 || blocks[i][2] != i + 1) return -3; }
        for (int i = 0; i < 8; i++) free(blocks[i * 3 % 8]);
    }
    return 1;
}
"""


@pytest.mark.parametrize(("target", "chain"), [("cortex-m0plus", "gcc"), ("cortex-m4f", "zig"), ("rv64gc", "gcc")])
def test_the_images_own_functions_are_those_of_c(target: str, chain: str, built: Built, tmp_path: Path) -> None:
    """Oracle: the same code, compiled for this machine and run with its libc."""
    native = tmp_path / "native.c"
    headers = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    native.write_text(f'{headers}{OWN}\nint main(void) {{ printf("= %d", all()); }}\n', encoding="utf-8")
    subprocess.run([need("gcc", "cc"), "-w", str(native), "-o", str(tmp_path / "native")], check=True)
    expected = subprocess.run([tmp_path / "native"], capture_output=True, check=True).stdout.decode()

    board, builder = BOARDS[target], built(target, chain)
    source = tmp_path / "own.c"
    text = f"#include <llext/host.h>\n#include <llext/symbol.h>\n{OWN}\nEXPORT_SYMBOL(all);\n"
    source.write_text(text, encoding="utf-8")
    obj = load_object(str(builder.extension("own", source, RUNTIME)))
    images = load(
        [obj],
        builder.target,
        exports=read_firmware([builder.folder / "firmware.elf"]).exports,
        at=board.ram + EXTENSIONS_AT,
    )
    answer = on_board(
        builder, board, images, [Call("int(*)(void)", images[0].exp_tab.by_name["all"].address, "", "int")], tmp_path
    )
    assert answer.output.splitlines() == expected.rpartition("=")[0].splitlines()
    assert answer.results == (1,)
    assert expected.endswith("= 1")
