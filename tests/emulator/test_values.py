"""Types from debug information, and values in emulated memory by them.

Oracle: the compilers, by tables of ``offsetof`` and ``sizeof``, and by code that writes or compares values.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import fw
from emulator.compiled import CHAINS
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.abi.c import Known
from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.c.view import Held, View, value_of
from llext_tools.cli import main
from llext_tools.diag import CODES
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object, read_object
from llext_tools.host.memory import AccessError
from llext_tools.link.exports import ExportTable
from llext_tools.run import Setup, load, run
from llext_tools.run.plan import find_symbol
from llext_tools.run.session import Session

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

EXPECTED = CODES["expect-return"].error.exit_code
TARGETS = ("cortex-m4", "rv64gc")

SOURCE = r"""
#include <stddef.h>
enum color { RED, GREEN = 5, BLUE = -1 };
enum wide { SMALL = 1, LARGE = 70000 };
typedef const char *title_t;
typedef struct { float x, y; } point_t;
struct everything {
    int8_t byte; bool flag; uint16_t half; int64_t wide; enum color color; enum wide large;
    float real; double twice; long double most; point_t at; point_t corners[2];
    union { int number; float same; struct { uint8_t low, high; }; };
    int small : 3; unsigned middle : 7; int64_t huge : 40; enum color tint : 4; bool bit : 1;
    char name[6]; uint8_t raw[3]; int table[2][3]; long wordy; unsigned long size;
    struct everything *next; title_t title; void *any; int (*act)(struct everything *, point_t); wchar_t letter;
};
struct __attribute__((packed)) packed { char a; int b; short c; };
struct tail { uint8_t count; uint16_t at[]; };

#define OFFSET(m) offsetof(struct everything, m)
const size_t offsets[] = {
    OFFSET(byte), OFFSET(flag), OFFSET(half), OFFSET(wide), OFFSET(color), OFFSET(large), OFFSET(real), OFFSET(twice),
    OFFSET(most), OFFSET(at), OFFSET(corners), OFFSET(number), OFFSET(same), OFFSET(high), OFFSET(name),
    OFFSET(raw), OFFSET(table), OFFSET(wordy), OFFSET(size), OFFSET(next), OFFSET(title), OFFSET(any), OFFSET(act),
    OFFSET(letter),
};
#undef OFFSET
const size_t sizes[] = {
    sizeof(struct everything), sizeof(struct packed), sizeof(struct tail), sizeof(point_t), sizeof(enum color),
    sizeof(enum wide), offsetof(struct packed, b), offsetof(struct packed, c), offsetof(struct tail, at),
    _Alignof(struct everything), _Alignof(point_t), _Alignof(struct packed),
};

static struct everything one, other;
static struct { struct tail head; uint16_t room[4]; } list;
extern const int fixed;
const int fixed = 7;
static int act(struct everything *e, point_t p) { return e->byte + (int)p.x; }

void write(void)
{
    one = (struct everything){
        -5, true, 65535, -0x123456789abcdef, BLUE, LARGE, 1.5f, -0.1, 2.25L, {0.5f, -1}, {{1, 2}, {3, 4}}, {0x1234},
        -3, 100, -0x7000000001, GREEN, true, "text", {1, 2, 255}, {{1, 2, 3}, {4, -5, 6}}, -7, 8, &other, "title",
        &list, act, L'x',
    };
    list.head.count = fixed;
    list.head.at[2] = 0x4321;
    other.byte = 1;
}
EXPORT_SYMBOL(write);

int compare(void)
{
    struct everything *e = &one;
    return e->byte == 127 && !e->flag && e->half == 4 && e->wide == 1LL << 62 && e->color == GREEN &&
           e->large == SMALL && e->real == 0.1f && e->twice == 1e300 && e->most == -3.5L && e->at.y == 8 &&
           e->corners[1].x == 9 && e->small == -4 && e->middle == 127 && e->huge == -(1LL << 39) && e->tint == BLUE &&
           !e->bit && e->same == 2.5f &&
           e->name[0] == 'a' && e->name[5] == 'f' && e->raw[1] == 77 && e->table[1][1] == 42 && e->table[0][2] == -1 &&
           e->wordy == -1 && e->size == 3 && e->next == e && e->next->title == (title_t)e->name && !e->any &&
           e->act == act && e->letter == 0x20ac;
}
EXPORT_SYMBOL(compare);
point_t mirrored(point_t p) { return (point_t){p.y, p.x}; }
EXPORT_SYMBOL(mirrored);
struct everything *first(void) { return &one; }
EXPORT_SYMBOL(first);
struct packed pack(struct packed p, const point_t *points, int n)
{
    for (int i = 0; i < n; i++) { p.b += points[i].y; }
    return p;
}
EXPORT_SYMBOL(pack);
int counted(void) { static short calls = 40; { static double calls2 = 0.5; calls2 *= 2; } return ++calls; }
EXPORT_SYMBOL(counted);
enum color mixed(enum color a) { return a == RED ? BLUE : GREEN; }
EXPORT_SYMBOL(mixed);
"""
MEMBERS = (
    *("byte", "flag", "half", "wide", "color", "large", "real", "twice", "most", "at", "corners", "number", "same"),
    *("high", "name", "raw", "table", "wordy", "size", "next", "title", "any", "act", "letter"),
)  # fmt: skip


class Compiled(NamedTuple):
    """An extension in a machine, and what is known of it."""

    session: Session
    known: Known

    def variable(self, name: str) -> Any:
        ctype = self.known.variable(name)
        assert ctype is not None, name
        return View(self.session.guest.memory, ctype, self.address(name))

    def address(self, name: str) -> int:
        return find_symbol(self.session.images, name, name, self.session.arch)

    def call(self, name: str) -> Any:
        prototype = self.known.prototype(name)
        assert prototype is not None
        return self.session.guest.call(self.address(name), prototype, (), ())


def compiled(build: Build, target: str, chain: str) -> tuple[ElfObject, Known]:
    """Statics keep their names; enumerations have the size that the target gives them."""
    obj = build(SOURCE, target, chain, "-O0", "-w")
    return obj, Known(obj, DataModel(arch.target(target).bits, 16 if target.startswith("rv") else 8))


def opened(build: Build, target: str, chain: str) -> Compiled:
    obj, known = compiled(build, target, chain)
    cpu = arch.target(target)
    return Compiled(Session(load([obj], cpu), Setup(cpu)), known)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_layouts_are_those_of_the_compiler(target: str, chain: str, build: Build) -> None:
    code = opened(build, target, chain)
    with code.session:
        types = [code.known.type(name) for name in ("struct everything", "struct packed", "struct tail", "point_t")]
        whole, packed, tail, point = (each for each in types if each is not None)
        members = [each.record.by_name if each.record else {} for each in (whole, packed, tail)]
        assert [members[0][name].offset for name in MEMBERS] == list(code.variable("offsets"))
        color, wide = code.known.type("enum color"), code.known.type("enum wide")
        assert color is not None
        assert wide is not None
        ours = [each.size for each in (whole, packed, tail, point, color, wide)]
        ours += [members[1]["b"].offset, members[1]["c"].offset, members[2]["at"].offset]
        assert [*ours, whole.align, point.align, packed.align] == list(code.variable("sizes"))


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_what_c_has_written_is_read(target: str, chain: str, build: Build) -> None:
    code = opened(build, target, chain)
    with code.session:
        code.call("write")
        one, other, listed = (code.variable(name) for name in ("one", "other", "list"))
        point, action = {"x": 0.5, "y": -1}, one.act
        assert one[...] == {
            "byte": -5, "flag": True, "half": 65535, "wide": -0x123456789ABCDEF, "color": -1, "large": 70000,
            "real": 1.5, "twice": -0.1, "most": 2.25, "at": point, "corners": [{"x": 1, "y": 2}, {"x": 3, "y": 4}],
            "number": 0x1234, "same": one.same, "low": 0x34, "high": 0x12, "small": -3, "huge": -0x7000000001,
            "middle": 100, "tint": 5, "bit": True,
            "name": b"text", "raw": [1, 2, 255], "table": [[1, 2, 3], [4, -5, 6]], "wordy": -7, "size": 8,
            "next": code.address("other"), "title": one.title, "any": code.address("list"), "act": action,
            "letter": ord("x"),
        }  # fmt: skip
        assert (one.color.name, one.large.name, one.tint.name, one.flag) == ("BLUE", "LARGE", "GREEN", True)
        assert (one.title.text, one.next.byte, one.next == code.address("other"), other.byte) == ("title", 1, True, 1)
        assert (listed.head.count, listed.head.at[2]) == (7, 0x4321)
        assert code.session.guest.name_of(action) == "act"
        assert str(action._to.ctype.function) == "int (struct everything *, point_t)"
        with pytest.raises(AccessError, match="cannot write 4 bytes: there is no writable memory at 0x"):
            code.variable("fixed").value = 8
        other.next = 16
        with pytest.raises(AccessError, match="cannot read 1 bytes: there is no readable memory at 0x00000010"):
            other.next.byte  # noqa: B018


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_written_c_reads(target: str, chain: str, build: Build) -> None:
    code = opened(build, target, chain)
    with code.session:
        code.call("write")
        one = code.variable("one")
        one.byte, one.flag, one.half, one.wide, one.color, one.large = 127, False, 4, 1 << 62, "GREEN", "SMALL"
        one.real, one.twice, one.most, one.at.y, one.corners[1].x = 0.1, 1e300, -3.5, 8, 9
        one.small, one.middle, one.huge, one.tint, one.bit, one.same = -4, 127, -1 << 39, "BLUE", False, 2.5
        one.name, one.raw[1], one.table[1][1], one.table[0] = "abcdef", 77, 42, [1, 2, -1]
        one.wordy, one.size, one.next, one.title, one.any, one.letter = -1, 3, one, one.name, None, 0x20AC
        assert code.call("compare") == 1
        one.table[0][2] += 1
        assert code.call("compare") == 0
        found = code.call("first")
        assert View(code.session.guest.memory, one.next._to.ctype, found).byte == 127


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_calls_take_and_show_structures(target: str, chain: str, build: Build) -> None:
    """Expected: what C says of initialisers, and what the functions do."""
    cpu = arch.target(target)
    obj, _ = compiled(build, target, chain)
    shown = {
        "mirrored({1, 2.5f})": "{x: 2.5, y: 1.0}",
        "mirrored({.y = 3})": "{x: 3.0, y: 0.0}",
        "pack({'a', 10, -1}, {{0, 1}, {.y = 2}}, 2)": "{a: 97, b: 13, c: -1}",
        "pack({.b = 0x10,}, NULL, 0)": "{a: 0, b: 16, c: 0}",
        "mixed(RED)": "-1 (BLUE)",
        "mixed(1)": "5 (GREEN)",
    }
    result = run(load([obj], cpu), list(shown), Setup(cpu))
    assert result.fault is None
    assert {returned.call: returned.text for returned in result.returned} == shown


@pytest.mark.parametrize(("expected", "code"), [("{98, 7, -1}", 0), ("{.a = 98, .b = 7}", EXPECTED), ("7", EXPECTED)])
def test_the_command_line_expects_structures(expected: str, code: int, build: Build, tmp_path: Path) -> None:
    obj, _ = compiled(build, "cortex-m4", "gcc")
    call, report = "pack({'b', 7, -1}, 0, 0)", tmp_path / "result.json"
    arguments = ["--target", "cortex-m4", "--call", call, "--expect-return", expected, "--json", str(report)]
    assert main(["run", obj.path, *arguments]) == code
    (found,) = json.loads(report.read_text())["calls"]
    assert (found["call"], found["type"]) == (call, "struct packed")
    assert (found["value"], found["text"]) == ({"a": 98, "b": 7, "c": -1}, "{a: 98, b: 7, c: -1}")


def test_static_variables_of_functions(build: Build) -> None:
    """Their symbols have names that each compiler makes up."""
    for chain, names in {"gcc": ("calls.", "calls2."), "zig": ("counted.calls", "counted.calls2")}.items():
        code = opened(build, "cortex-m4", chain)
        with code.session:
            y = code.session.images[0].obj.symbols
            known = y.names(range(len(y)))
            calls, twice = (each for name in names for each in known if each in (name, f"{name}0", f"{name}1"))
            assert code.call("counted") == 41 == code.variable(calls).value
            code.variable(calls).value = -5
            assert code.call("counted") == -4
            assert code.variable(twice).value == 2.0


def test_static_names_and_typedefs_are_found(build: Build) -> None:
    for target, chain in (("cortex-m4", "gcc"), ("rv64gc", "zig")):
        obj, known = compiled(build, target, chain)
        assert str(known.prototype("act")) == "int act(struct everything *, point_t)"
        assert known.prototype("pack") == known.prototype("pack")
        pack = known.prototype("pack")
        assert isinstance(pack, Prototype)
        assert pack.names == ("p", "points", "n")
        title = known.type("title_t")
        assert isinstance(title, CType)
        assert title.is_text, "what a typedef hides is known"
        short, long = known.type("everything"), known.type("struct everything")
        assert short
        assert long
        assert short.record == long.record
        for nothing in (known.type("struct nobody"), known.variable("act"), known.prototype("one"), known.type("")):
            assert nothing is None
        assert known.variable("one") == known.type("struct everything")
        assert obj.path


def test_a_shipped_extension_has_its_statics_in_the_debug_file(build: Build) -> None:
    """Its own symbol table is stripped. Expected: what the file with all symbols says."""
    for target, chain in (("cortex-m4", "gcc"), ("rv64gc", "zig")):
        obj, _ = compiled(build, target, chain)
        shipped = obj.path.replace(".debug.elf", ".llext")
        assert main(["finish", obj.path, "-o", shipped]) == 0
        cpu = arch.target(target)
        found = []
        for each in (obj, load_object(shipped)):
            known = Known(each, DataModel(cpu.bits, 16 if target.startswith("rv") else 8))
            code = Compiled(Session(load([each], cpu), Setup(cpu)), known)
            with code.session:
                code.call("write")
                action = code.address("act")
                found.append((code.variable("one").name.text, code.variable("list").head.count, action & 1))
                assert code.variable("one").act == action
        assert found[0] == found[1] == ("text", 7, int(target.startswith("cortex")))
        symbols = load_object(shipped).symbols
        stripped = "one" not in symbols.names(range(len(symbols)))
        assert stripped or target.startswith("rv"), "only relocations keep it"


FIRMWARE = """
typedef struct { int x, y; } point_t;
enum mode { OFF, ON = 3 };
static point_t origin = {1, 2};
enum mode mode = ON;
point_t *const table[2] = {&origin};
static int hidden(point_t p, const char *why) { return p.x + why[0] + origin.y; }
int shown(enum mode wanted, void (*done)(point_t)) { done(origin); return hidden(*table[0], "a") + wanted; }
void _start(void) {}
"""


def test_a_linked_firmware_is_known(tmp_path: Path) -> None:
    obj = load_object(str(fw.build(tmp_path, FIRMWARE, "-g")))
    known = Known(obj, DataModel(32, 8))
    y = obj.symbols
    at = {y.name(i): int(y.value[i]) for i in range(len(y))}
    assert str(known.prototype("hidden")) == "int hidden(point_t, const char *)"
    assert str(known.prototype("shown")) == "int shown(enum mode, void (*)(point_t))"
    assert str(known.prototype("exported_as", at["shown"])) == "int exported_as(enum mode, void (*)(point_t))"
    names = {name: ctype.name for name in ("origin", "mode", "table") if (ctype := known.variable(name))}
    assert names == {"origin": "point_t", "mode": "enum mode", "table": "point_t *const [2]"}
    mode = known.type("enum mode")
    assert mode
    assert mode.enum
    assert (mode.size, mode.enum.names) == (1, (("OFF", 0), ("ON", 3))), "Arm's compilers have small enumerations"
    assert known.prototype("nobody") is None


MISSING = """
typedef struct { int x, y, z; } point_t;
point_t cross(point_t a, float by, const char *name);
int go(void) { point_t r = cross((point_t){1, -2, 3}, 0.5f, "name"); return r.x; }
EXPORT_SYMBOL(go);
"""


@pytest.mark.parametrize("target", TARGETS)
def test_a_call_of_what_is_missing_shows_structures(target: str, build: Build) -> None:
    """Its result is in memory, whose address comes in front of the arguments."""
    cpu = arch.target(target)
    exports = ExportTable.of({"cross": 0x0800_0100 + (cpu.arch == "arm")})
    obj = build(MISSING, target, "gcc")
    result = run(load([obj], cpu, exports=exports), "go()", Setup(cpu, exports))
    assert result.fault is not None
    assert result.fault.detail[0].startswith('cross({x: 1, y: -2, z: 3}, 0.5, "name") at 0x0800010')


def test_spoilt_debug_information_gives_types_that_can_be_used(build: Build) -> None:
    """Whatever it says. Expected: no exception, and nothing that is not finite."""
    good, _ = compiled(build, "cortex-m4", "gcc")
    place = [i for i, name in enumerate(good.sections.name) if name in (".debug_info", ".debug_abbrev", ".debug_str")]
    ranges = [(int(good.sections.offset[i]), int(good.sections.size[i])) for i in place]
    conv, pick, usable = arch.load("arm").callconv, Random(4), 0
    for _ in range(150):
        spoilt = bytearray(good.image.tobytes())
        for _ in range(pick.choice((1, 4, 16))):
            start, size = pick.choice(ranges)
            spoilt[start + pick.randrange(size)] = pick.choice((0, 1, 0x7F, 0x80, 0xFF))
        known = Known(read_object(bytes(spoilt), "spoilt.o"), DataModel(32, 8))
        found = [known.variable("one"), known.type("struct everything"), known.type("title_t")]
        found += [
            each for p in (known.prototype("pack"), known.prototype("first")) if p for each in (p.result, *p.params)
        ]
        for ctype in filter(None, found):
            repr(ctype)
            if ctype.size < 4096:
                repr(value_of(ctype, bytes(ctype.size), Held(bytes(64))))
            if ctype.kind not in ("void", "function", "array"):
                conv.placer(4, "double", False).place(ctype)
                usable += ctype.align > 0
    assert usable > 100, "some of it is left"
