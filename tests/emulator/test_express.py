"""Calls in short do what calls do. Oracle: C's own arithmetic, by the compiler."""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.c.prototype import parse_prototype
from llext_tools.errors import FaultError
from llext_tools.host.express import express
from llext_tools.run import Session, Setup, load

pytestmark = pytest.mark.emulator

SOURCE = """
#define SAME(name, type) long long name(type x) { return x; } EXPORT_SYMBOL(name)
SAME(i8, signed char); SAME(u8, unsigned char); SAME(i16, short); SAME(u16, unsigned short); SAME(i32, int);
SAME(u32, unsigned int); SAME(truth, _Bool); SAME(size, size_t);
#define BACK(name, type) type name(long x) { return (type)x; } EXPORT_SYMBOL(name)
BACK(to_i8, signed char); BACK(to_u8, unsigned char); BACK(to_i16, short); BACK(to_u32, unsigned int);
BACK(to_truth, _Bool);
static int calls;
void nothing(int a, int b, int c, int d) { calls += a * 1000 + b * 100 + c * 10 + d; } EXPORT_SYMBOL(nothing);
int called(void) { return calls; } EXPORT_SYMBOL(called);
int five(int a, int b, int c, int d, int e) { return a + b + c + d + e; } EXPORT_SYMBOL(five);
double real(int x) { return x; } EXPORT_SYMBOL(real);
long long wide(long long x) { return x; } EXPORT_SYMBOL(wide);
int crash(int *p) { return *p; } EXPORT_SYMBOL(crash);
"""
TARGETS = ("cortex-m0plus", "rv64gc")
CASES = [
    ("i8", "signed char", -128),
    ("u8", "unsigned char", 255),
    ("i16", "short", -2),
    ("u16", "unsigned short", 0xFFFE),
    ("i32", "int", -(1 << 31)),
    ("u32", "unsigned int", 0xFFFF_FFFE),
    ("truth", "_Bool", 1),
    ("size", "size_t", 0x8000_0001),
]
BACK = [
    ("to_i8", "signed char", -1),
    ("to_u8", "unsigned char", 255),
    ("to_i16", "short", -1),
    ("to_truth", "_Bool", 1),
]


@pytest.fixture(params=TARGETS)
def session(request: pytest.FixtureRequest, build: Build) -> Session:
    cpu = arch.target(request.param)
    return Session(load([build(SOURCE, cpu.name)], cpu), Setup(cpu))


def call(session: Session, text: str, *values: int) -> int | None:
    prototype = parse_prototype(text, session.guest.model)
    short = express(session.guest, session.images[0].exp_tab.by_name[prototype.name].address, prototype)
    assert short is not None
    return short(values)


def test_integers_of_all_widths(session: Session) -> None:
    with session:
        for name, ctype, value in CASES:
            assert call(session, f"long long {name}({ctype})", value) == value, name
        for name, ctype, value in BACK:
            assert call(session, f"{ctype} {name}(long)", -1) == value, name
        assert call(session, "unsigned int to_u32(long)", -2) == 0xFFFF_FFFE


def test_four_arguments_and_no_result(session: Session) -> None:
    with session:
        assert call(session, "void nothing(int, int, int, int)", 1, 2, 3, 4) is None
        assert call(session, "int called(void)") == 1234


def test_what_goes_another_way(session: Session) -> None:
    model, guest = session.guest.model, session.guest
    with session:
        for text in ("double real(int)", "int printf(const char *, ...)", "int f(double)"):
            assert express(guest, 0, parse_prototype(text, model)) is None, text
        narrow = session.setup.target.bits == 32
        assert (express(guest, 0, parse_prototype("long long wide(long long)", model)) is None) == narrow
        on_stack = session.setup.target.arch == "arm"
        assert (express(guest, 0, parse_prototype("int five(int, int, int, int, int)", model)) is None) == on_stack


def test_after_a_fault(session: Session) -> None:
    with session:
        for _ in range(2):
            with pytest.raises(FaultError, match="where there is no memory"):
                call(session, "int crash(int *)", 0)
            assert session.guest.stopped is not None
            assert session.guest.frames.entries == []


def test_several_registers_at_once(session: Session) -> None:
    machine, saved = session.machine, session.arch.callconv.saved
    with session:
        values = tuple(range(100, 100 + len(saved)))
        machine.set_all(saved, values)
        assert machine.get_all(saved) == values == tuple(map(machine.get, saved))
