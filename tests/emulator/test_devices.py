"""Peripherals that are declared, and what is said of others and of declarations that cannot be.

Oracle: C's rules for the sources; what each device is documented to do.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.compiled import compile_c
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.cli import main
from llext_tools.cli.kconfig import parse_size
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.host.devices import parse_mmio
from llext_tools.host.limits import Limits
from llext_tools.run import RunResult, Session, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
int read8(uintptr_t at) { return *(volatile uint8_t *)at; } EXPORT_SYMBOL(read8);
int read32(uintptr_t at) { return *(volatile int32_t *)at; } EXPORT_SYMBOL(read32);
int write32(uintptr_t at, int value) { *(volatile int32_t *)at = value; return 0; } EXPORT_SYMBOL(write32);
void print(uintptr_t data, uintptr_t state, unsigned mask, unsigned ready, const char *text)
{
    for (; *text; text++) {
        while ((*(volatile uint8_t *)state & mask) != ready) {}
        *(volatile uint8_t *)data = *text;
    }
}
EXPORT_SYMBOL(print);
"""
DEVICES = """
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Register:
    value: int = 0x1000


class Counter:
    def __init__(self, output):
        self.output, self.count = output, 0

    def read(self, offset, size):
        self.count += 1
        return self.count * 100 + offset * 10 + size

    def write(self, offset, size, value):
        self.output(b"%d/%d/%d;" % (offset, size, value & 0xFF))


def mirror(offset, size, value=None):
    return offset + Register().value if value is None else "ignored"


def nothing(offset, size, value=None):
    return None


def broken(offset, size, value=None):
    raise KeyError("no such board")


number = 5
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"board.py": DEVICES, "spoilt.py": "def f(:\n", "failing.py": "f = 1 / 0\n", "board.txt": "f = 5\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")


def result(build: Build, target: str, calls: list[str], *mmio: str, limits: Limits | None = None) -> RunResult:
    cpu = arch.target(target)
    devices = tuple(parse_mmio(text, cpu.bits) for text in mmio)
    return run(load([build(SOURCE, target)], cpu), calls, Setup(cpu, mmio=devices, limits=limits or Limits()))


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m33", "rv32imac", "rv64gc"])
def test_each_kind_does_what_it_says(target: str, build: Build) -> None:
    """Two devices share a page; a part of a page and a whole page of memory."""
    calls = {
        "write32(0x40000000, 7)": 0,
        "read32(0x40000000)": 0,
        "write32(0x40000104, 0x11223344)": 0,
        "read8(0x40000105)": 0x33,
        "write32(0x40010ff8, -2)": 0,
        "read32(0x40010ff8)": -2,
        "read8(0x40020003)": 131,
        "read32(0x40020004)": 244,
        "write32(0x40020008, 65)": 0,
        "read8(0x40030010)": 0x10,
        "write32(0x40030010, 1)": 0,
    }
    devices = ["0x40000000+0x100=zero", "0x40000100+256=ram", "0x40010000+4K=ram"]
    python = ["0x40020000+1K=python:board.py:Counter", "0x40030000+1M=python:board.py:mirror"]
    found = result(build, target, list(calls), *devices, *python)
    assert found.fault is None, found.fault
    assert [r.value for r in found.returned] == list(calls.values())
    assert found.output == "8/4/65;"


@pytest.mark.parametrize(
    ("kind", "data", "state", "mask", "ready"),
    [
        ("uart16550", 0, 5, 0x20, 0x20),
        ("cmsdk-uart", 0, 4, 1, 0),
        ("pl011", 0, 0x18, 0x20, 0),
        ("stm32-usart", 0x28, 0x1C, 0x80, 0x80),
    ],
)
def test_each_uart_prints(kind: str, data: int, state: int, mask: int, ready: int, build: Build) -> None:
    """Oracle: the state that the manuals tell drivers to wait for before they write the next character."""
    call = f'print({0x40001000 + data:#x}, {0x40001000 + state:#x}, {mask}, {ready}, "text")'
    found = result(build, "cortex-m3", [call], f"0x40001000+4K={kind}")
    assert found.fault is None, found.fault
    assert found.output == "text"


def test_the_divisor_of_a_16550_is_no_text(build: Build) -> None:
    calls = [
        "write32(0x10000003, 0x83)",
        "write32(0x10000000, 65)",
        "write32(0x10000003, 3)",
        "write32(0x10000000, 66)",
    ]
    assert result(build, "rv32imac", calls, "0x10000000+256=uart16550").output == "B"


@pytest.mark.usefixtures("board")
def test_a_class_is_a_new_device_for_each_session(build: Build) -> None:
    for _ in range(2):
        found = result(build, "cortex-m3", ["read8(0x40020000)"], "0x40020000+1K=python:board.py:Counter")
        assert [r.value for r in found.returned] == [101]


def test_too_much_output_of_a_device_ends_the_run(build: Build) -> None:
    call = 'print(0x40001000, 0x40001004, 0, 0, "1234567890")'
    found = result(build, "cortex-m3", [call], "0x40001000+4K=cmsdk-uart", limits=Limits(output=5))
    assert found.output == "12345"
    assert found.fault is not None
    assert (found.fault.code, found.fault.location and found.fault.location.function) == ("run-output", "print")


KINDS_IN_WORDS = "zero, ram, cmsdk-uart, pl011, stm32-usart, uart16550 or python:FILE:NAME"


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (
            "read32(0x40021000)",
            "run-fault",
            f"if a peripheral is there, declare it: `--mmio 0x40021000+4K=KIND`; KIND is {KINDS_IN_WORDS}",
        ),
        ("write32(0x40020800, 1)", "run-fault", "`write32` writes 4 bytes at 0x40020800, where there is no memory"),
        ("read8(0x40020400)", "run-fault", "`read8` reads 1 byte at 0x40020400, where there is no memory"),
        ("read32(0x70000000)", "run-fault", "where there is no memory"),
        (
            "read32(0x40040000)",
            "run-python",
            "`nothing` of board.py gives `None` for 4 bytes at 0x0, which is no integer",
        ),
        ("read32(0x40050000)", "run-python", "`broken` of board.py raises KeyError: 'no such board'"),
    ],
)
def test_what_is_refused(call: str, code: str, words: str, build: Build) -> None:
    devices = [f"{a:#x}+1K=python:board.py:{n}" for a, n in ((0x40020000, "Counter"), (0x40040000, "nothing"))]
    fault = result(build, "cortex-m3", [call], *devices, "0x40050000+1K=python:board.py:broken").fault
    assert fault is not None
    assert fault.code == code
    assert words == fault.help or fault.message.endswith(words)
    assert bool(fault.help) == ("0x4002" in call)
    if "broken" in words:
        line = DEVICES.splitlines().index('    raise KeyError("no such board")') + 1
        assert fault.detail == (f'board.py:{line}: raise KeyError("no such board")',)
        assert fault.location is not None
        assert fault.location.function == "read32"


@pytest.mark.parametrize(("size", "expected"), [("12", 12), ("0x10", 16), ("4K", 4096), ("4k", 4096), ("1m", 1 << 20)])
def test_sizes_are_those_of_other_options(size: str, expected: int) -> None:
    device = parse_mmio(f"0x40000000+{size}=zero")
    assert (device.start, device.size, parse_size(size, "--heap-size")) == (0x4000_0000, expected, expected)


def fill(obj: ElfObject, mmio: list[str]) -> None:
    cpu = arch.target("cortex-m3")
    with Session(load([obj], cpu), Setup(cpu, mmio=tuple(map(parse_mmio, mmio)))):
        pass


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("mmio", "words"),
    [
        (["0x40000000"], "`--mmio 0x40000000` is not of the form START+SIZE=KIND"),
        (["0x4000_0000+4K=zero"], "is not of the form START+SIZE=KIND"),
        (["0x40000000+0=zero"], "is empty"),
        (["0xfffff000+8K=zero"], "leaves the 32 bits of addresses"),
        (["0x40000000+4K=uart16650"], "did you mean `uart16550`?"),
        (["0x40000000+4K=gpio"], "the kinds are zero, ram, "),
        (["0x40000000+4K=python:board.py"], "does not name a Python file"),
        (["0x40000000+4K=python:none.py:x"], "there is no file `none.py`"),
        (["0x40000000+4K=python:board.py:Countre"], "did you mean `Counter`?"),
        (["0x40000000+4K=python:spoilt.py:f"], "spoilt.py raises SyntaxError: "),
        (["0x40000000+4K=python:failing.py:f"], "failing.py raises ZeroDivisionError: division by zero"),
        (["0x40000000+4K=python:board.txt:f"], "is not a Python file"),
        (["0x40000000+4K=python:board.py:number"], "`number` of board.py has no `read` and `write`"),
        (
            ["0x40000000+4K=zero", "0x40000000+4K=zero"],
            "`--mmio 0x40000000+4K=zero` and `--mmio 0x40000000+4K=zero` overlap",
        ),
        (
            ["0x40000000+4K=zero", "0x40000800+4K=ram"],
            "`--mmio 0x40000000+4K=zero` and `--mmio 0x40000800+4K=ram` overlap",
        ),
        (["0x20010000+16=zero"], "`--mmio 0x20010000+16=zero` is where region TEXT is, from 0x20010000 on"),
    ],
)
def test_declarations_that_cannot_be(mmio: list[str], words: str, build: Build) -> None:
    with pytest.raises(LlextError) as caught:
        fill(build(SOURCE, "cortex-m3"), mmio)
    (found,) = caught.value.diagnostics
    assert words in found.message or words in found.help, found


@pytest.mark.usefixtures("board")
def test_a_snapshot_brings_devices_back(build: Build) -> None:
    """Memory of whole pages, of a part of a page, and a class of the user."""
    cpu = arch.target("cortex-m3")
    images = load([build(SOURCE, "cortex-m3")], cpu)
    calls = ["read32(0x40010ff8)", "write32(0x40010ff8, 5)", "read32(0x40010ff8)"]
    calls += [call.replace("0x40010ff8", "0x40000104") for call in calls]
    calls += ["read8(0x40020000)", "read8(0x40020000)"]
    devices = ("0x40010000+4K=ram", "0x40000100+256=ram", "0x40020000+1K=python:board.py:Counter")
    with Session(images, Setup(cpu, mmio=tuple(map(parse_mmio, devices)))) as session:
        before = session.snapshot()
        for _ in range(2):
            assert [session.call(text).value for text in calls] == [0, 0, 5, 0, 0, 5, 101, 201]
            session.rollback(before)


def test_memory_of_a_device_counts(build: Build) -> None:
    for device in ("0x60000000+256M=ram", "0x60000010+1024M=ram"):
        fault = result(build, "cortex-m3", ["read8(0x60000000)"], device).fault
        assert fault is not None
        assert fault.code == "run-memory"


@pytest.mark.usefixtures("board")
def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compile_c(SOURCE, arch.target("cortex-m4"), "gcc", tmp_path).path
    device = "0x40001000+4K=cmsdk-uart"
    call = 'print(0x40001000, 0x40001004, 1, 0, "text\\n")'
    assert main(["run", path, "--mmio", device, "--call", call, "--expect-output", "^text$"]) == 0
    assert capsys.readouterr().out.startswith("text\n")
    assert main(["run", path, "--mmio", "everything", "--call", call]) == 2
