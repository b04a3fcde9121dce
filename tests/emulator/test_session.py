"""Sessions: calls again and again, and back to a snapshot. Oracle: what the C code computes."""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.host.function import HostFunction
from llext_tools.run import Session, Setup, load

pytestmark = pytest.mark.emulator

SOURCE = """
static int count = 5;
static char *kept;
int up(void) { printk("up\\n"); return ++count; } EXPORT_SYMBOL(up);
int keep(void) { kept = malloc(10); kept[3] = (char)count; return kept[3]; } EXPORT_SYMBOL(keep);
int kept_is(void) { return kept != NULL ? kept[3] : -1; } EXPORT_SYMBOL(kept_is);
unsigned device(void) { volatile unsigned short *d = (void *)0x40001000; d[1] = 0xBEEF; return d[2]; }
EXPORT_SYMBOL(device);
int loop(int n) { volatile int x = 0; for (int i = 0; i < n; i++) x += i; return x; } EXPORT_SYMBOL(loop);
int size(const char *text) { return (int)strlen(text); } EXPORT_SYMBOL(size);
"""
TARGETS = ("cortex-m4f", "rv32imac", "rv64gc")


def call(session: Session, text: str) -> object:
    return session.call(text).value


@pytest.fixture(params=TARGETS)
def session(request: pytest.FixtureRequest, build: Build) -> Session:
    cpu = arch.target(request.param)
    return Session(load([build(SOURCE, cpu.name)], cpu), Setup(cpu))


def test_rollback_takes_everything_back(session: Session) -> None:
    with session:
        assert [call(session, "up()"), call(session, "keep()")] == [6, 6]
        before = session.snapshot()
        for _ in range(3):
            assert [call(session, text) for text in ("up()", "up()", "keep()")] == [7, 8, 8]
            assert session.output.text == "up\nup\nup\n"
            assert session.guest.heap_used == 20
            session.rollback(before)
            assert session.output.text == "up\n"
            assert session.guest.heap_used == 10
            assert call(session, "kept_is()") == 6
        assert [c.name for c in session.guest.calls] == ["printk", "malloc"]


def test_rollback_unmaps_a_heap_that_was_not_there(session: Session) -> None:
    with session:
        before, regions = session.snapshot(), session.machine.regions
        assert call(session, "keep()") == 5
        assert session.machine.regions != regions
        session.rollback(before)
        assert session.machine.regions == regions
        assert [call(session, text) for text in ("kept_is()", "keep()")] == [-1, 5]


def test_a_device(session: Session) -> None:
    seen: list[tuple[int, ...]] = []

    def write(*access: int) -> None:
        seen.append(access)

    with session:
        session.machine.map_io(0x4000_1000, 0x1000, lambda offset, size: 0x1_0000 * size + offset, write)
        assert call(session, "device()") == 4
        assert seen == [(2, 2, 0xBEEF)]


def test_a_device_may_raise(session: Session) -> None:
    def read(offset: int, size: int) -> int:
        raise KeyError(offset)

    with session:
        session.machine.map_io(0x4000_1000, 0x1000, read, lambda *_: None)
        with pytest.raises(KeyError, match="4"):
            call(session, "device()")


def test_blocks(session: Session) -> None:
    blocks: list[tuple[int, int]] = []

    def seen(address: int, size: int) -> bool:
        blocks.append((address, size))
        return False

    with session:
        call(session, "loop(3)")
        remove = session.machine.on_block(seen)
        call(session, "loop(100)")
        assert 100 <= len(blocks) < 250
        counts = sorted(blocks.count(block) for block in set(blocks))
        assert counts[-1] in (99, 100, 101)
        remove()
        assert call(session, "loop(5)") == 10
        assert sum(counts) == len(blocks)


def test_a_function_takes_the_place_of_an_export(session: Session) -> None:
    with session:
        assert call(session, 'size("four")') == 4
        export = next(e for e, _ in session.guest.functions.values() if e.name == "strlen")
        own = session.guest.replace(export, HostFunction("strlen", "size_t strlen(const char *)", lambda *_: 99))
        assert call(session, 'size("four")') == 99
        session.guest.replace(export, own)
        assert call(session, 'size("four")') == 4


def test_a_function_takes_the_place_of_code(session: Session) -> None:
    image = session.images[0]
    own = image.exp_tab.by_name["up"]
    with session:
        assert call(session, "up()") == 6
        assert session.guest.replace(own, HostFunction("up", "int up(void)", lambda _: -3)) is None
        assert call(session, "up()") == -3
        session.guest.replace(own, None)
        assert call(session, "up()") == 7
