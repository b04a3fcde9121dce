"""Devices: what stands behind the addresses of peripherals, as ``--mmio START+SIZE=KIND`` declares it.

A device sees each access of the running code: ``read(offset, size)`` gives a value, ``write(offset, size, value)``
takes one; ``offset`` is in bytes from its start. Each session has devices of its own.

What a device cannot do raises ``DeviceError``: the machine stops at the instruction, and then it can be explained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from llext_tools.diag import fail, nearest
from llext_tools.host.areas import Area
from llext_tools.host.faults import explain
from llext_tools.host.memory import page_runs
from llext_tools.host.python import UserError, load_python
from llext_tools.machine.protocol import Stop
from llext_tools.mem import Perm
from llext_tools.pages import PAGE

if TYPE_CHECKING:
    from llext_tools.host.guest import Guest

Print = Callable[[bytes], None]


class Device(Protocol):
    """What a peripheral does. ``state()`` is what ``put_back()`` makes it go back to."""

    def read(self, offset: int, size: int, /) -> int: ...

    def write(self, offset: int, size: int, value: int, /) -> None: ...

    def state(self) -> Any: ...

    def put_back(self, state: Any, /) -> None: ...


class DeviceError(Exception):
    """An access that a device refuses; ``explain(guest)`` says so once the machine has stopped."""

    def __init__(self, explain: Callable[[Guest], NoReturn]) -> None:
        super().__init__()
        self.explain = explain


class Mmio(NamedTuple):
    """Addresses of a peripheral. ``make`` gets what prints bytes as the extension's output; None is plain memory."""

    start: int
    size: int
    text: str  # as it was declared
    make: Callable[[Print], Device] | None

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def is_ram(self) -> bool:
        return self.text.endswith("=ram")


class Zero:
    """Reads as zero; what is written is lost."""

    def read(self, offset: int, size: int) -> int:  # noqa: ARG002
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def state(self) -> None:
        pass

    def put_back(self, _: None) -> None:
        pass


class Ram:
    """Memory in a page that has something else, too."""

    def __init__(self, size: int) -> None:
        self._data = bytearray(size)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self._data[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self._data[offset : offset + size] = value.to_bytes(size, "little")

    def state(self) -> bytes:
        return bytes(self._data)

    def put_back(self, state: bytes) -> None:
        self._data[:] = state


class UartModel(NamedTuple):
    """A UART as far as printing goes: where a character is written, and what the registers read as that say "go on".

    ``divisor``: a register and the bit in it by which ``data`` is the divisor, for a while.
    """

    data: int
    ready: dict[int, int]
    divisor: tuple[int, int] | None = None


UARTS = {
    "cmsdk-uart": UartModel(0x00, {}),
    "pl011": UartModel(0x00, {0x18: 0x90}),
    "stm32-usart": UartModel(0x28, {0x1C: 0xC0}),
    "uart16550": UartModel(0x00, {0x05: 0x60}, (0x03, 0x80)),
}
"""Sources: Arm, Cortex-M System Design Kit, "UART"; Arm, PL011 manual, "Flag Register"; ST, RM0351, "USART_ISR";
National Semiconductor, PC16550D, "Line Status Register"."""


class Uart:
    """Prints what is written to its data register, and is always ready for more."""

    def __init__(self, model: UartModel, output: Print) -> None:
        self._model, self._output = model, output
        self._is_divisor = False

    def read(self, offset: int, size: int) -> int:  # noqa: ARG002
        return self._model.ready.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:  # noqa: ARG002
        model = self._model
        if model.divisor and offset == model.divisor[0]:
            self._is_divisor = bool(value & model.divisor[1])
        elif offset == model.data and not self._is_divisor:
            self._output(bytes([value & 0xFF]))

    def state(self) -> bool:
        return self._is_divisor

    def put_back(self, state: bool) -> None:
        self._is_divisor = state


class InPython:
    """A device of the user: an object with ``read`` and ``write``, or one function for both.

    The function gets offset and size to read, and the value behind them to write. To go back to a state, a new object
    is made: only a class can do that.

    Args:
        name: in messages.
        make: gives the object.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name, self._make = name, make
        self.put_back(None)

    def state(self) -> None:
        pass

    def put_back(self, _: None) -> None:
        try:
            device = self._make()
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            UserError(self._name, error).fail()
        self._read = getattr(device, "read", device)
        self._write = getattr(device, "write", device)

    def read(self, offset: int, size: int) -> int:
        value = self._call(self._read, offset, size)
        if isinstance(value, int):
            return value
        raise DeviceError(partial(_no_number, f"{self._name} gives `{value!r}` for {size} bytes at {offset:#x}"))

    def write(self, offset: int, size: int, value: int) -> None:
        self._call(self._write, offset, size, value)

    def _call(self, function: Callable[..., object], *arguments: int) -> object:
        try:
            return function(*arguments)
        except DeviceError:
            raise  # it has printed too much
        except Exception as error:
            raise DeviceError(UserError(self._name, error).explain) from error


def _no_number(what: str, guest: Guest) -> NoReturn:
    guest.fail("run-python", f"{what}, which is no integer", guest.location(guest.machine.get(guest.conv.pc)))


# ---- declarations

EXAMPLE = "for example `--mmio 0x40004000+4K=zero`"
KINDS = ("zero", "ram", *UARTS, "python:FILE:NAME")
NUMBER = "(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def parse_mmio(text: str, bits: int = 32) -> Mmio:
    """``START+SIZE=KIND``; Python files are read here.

    Raises:
        UsageError: ``usage``. LlextError: what ``load_python()`` raises.
    """
    found = re.fullmatch(rf"{NUMBER}\+{NUMBER}([KkMm]?)=(.*)", text)
    if not found:
        fail("usage", f"`--mmio {text}` is not of the form START+SIZE=KIND", help=EXAMPLE)
    start, size, kind = integer(found[1]), integer(found[2]) * UNITS[found[3].upper()], found[4]
    if not size or start + size > 1 << bits:
        fail("usage", f"`--mmio {text}` leaves the {bits} bits of addresses" if size else f"`--mmio {text}` is empty")
    if kind == "ram" and not (start | size) % PAGE:
        return Mmio(start, size, text, None)
    if kind.startswith("python:"):
        return Mmio(start, size, text, _in_python(text, kind.removeprefix("python:")))
    known: dict[str, Callable[[Print], Device]] = {"zero": lambda _: Zero(), "ram": lambda _: Ram(size)}
    known |= {name: partial(Uart, model) for name, model in UARTS.items()}
    if kind not in known:
        near = nearest(kind, KINDS)
        advice = f"did you mean `{near}`?" if near else f"the kinds are {', '.join(KINDS)}"
        fail("usage", f"`--mmio {text}`: there is no kind `{kind}`", help=advice)
    return Mmio(start, size, text, known[kind])


def integer(text: str) -> int:
    """A ``NUMBER``."""
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def _in_python(text: str, where: str) -> Callable[[Print], Device]:
    """A class is made into a device for each session, with what prints as its argument; others are there already."""
    name, value = load_python(where, f"--mmio {text}")
    if not callable(value) and not (hasattr(value, "read") and hasattr(value, "write")):
        fail("usage", f"`--mmio {text}`: {name} has no `read` and `write`, and cannot be called")

    def make(output: Print) -> Device:
        return InPython(name, partial(value, output) if isinstance(value, type) else lambda: value)

    return make


# ---- in a machine


def attach(guest: Guest, declared: Sequence[Mmio]) -> None:
    """Put devices where nothing else is.

    Raises:
        UsageError: ``usage``: two overlap, or something is there.
    """
    for first, second in pairwise(sorted(declared, key=lambda each: each.start)):
        if first.end > second.start:
            fail("usage", f"`--mmio {first.text}` and `--mmio {second.text}` overlap")
    for start, end in page_runs((each.start, each.end) for each in declared):
        here = [each for each in declared if start <= each.start < end]
        there = next((area for area in guest.memory.areas if area.start < end and start < area.end), None)
        if there:
            text = f"`--mmio {here[0].text}` is where {guest.region(there)} is, from {there.start:#010x} on"
            fail("usage", text, help=f"peripherals and memory do not share pages of {PAGE:,} bytes")
        for each in here:
            guest.memory.claim(f"`--mmio {each.text}`", each.size if each.is_ram else 0)
        if all(each.make is None for each in here):
            guest.machine.map(start, end - start, Perm.R | Perm.W)
        else:
            bus = Bus(guest, start, here)
            guest.machine.map_io(start, end - start, bus.read, bus.write)
            guest.buses.append(bus)
        guest.memory.insert(_area(each) for each in here)


def _area(declared: Mmio) -> Area:
    """The host reads and writes memory, not devices: to it they are not there."""
    perm = Perm.R | Perm.W if declared.make is None else Perm(0)
    return Area(declared.start, declared.end, f"device `{declared.text}`", perm)


class Bus:
    """The devices in some pages in a row, by the offset from the first page."""

    def __init__(self, guest: Guest, start: int, declared: Sequence[Mmio]) -> None:
        self._start = start
        self._devices: list[tuple[int, int, Device]] = []
        for each in declared:
            device = each.make(partial(_print, guest)) if each.make else Ram(each.size)
            self._devices.append((each.start - start, each.end - start, device))

    def state(self) -> list[Any]:
        return [device.state() for _, _, device in self._devices]

    def put_back(self, states: list[Any]) -> None:
        for (_, _, device), state in zip(self._devices, states, strict=True):
            device.put_back(state)

    def read(self, offset: int, size: int) -> int:
        for start, end, device in self._devices:
            if start <= offset and offset + size <= end:
                return device.read(offset - start, size)
        raise DeviceError(partial(_undeclared, Stop(reason="read", pc=0, address=self._start + offset, size=size)))

    def write(self, offset: int, size: int, value: int) -> None:
        for start, end, device in self._devices:
            if start <= offset and offset + size <= end:
                device.write(offset - start, size, value)
                return
        stop = Stop(reason="write", pc=0, address=self._start + offset, size=size, value=value)
        raise DeviceError(partial(_undeclared, stop))


def _print(guest: Guest, data: bytes) -> None:
    if not guest.output.write(data):
        raise DeviceError(_output_is_full)


def _output_is_full(guest: Guest) -> NoReturn:
    where = guest.location(guest.machine.get(guest.conv.pc))
    who = f"`{where.function}`" if where and where.function else "the extension"
    guest.fail("run-output", f"{who} prints more than the limit of output", where)


def _undeclared(stop: Stop, guest: Guest) -> NoReturn:
    explain(guest, stop._replace(pc=guest.machine.get(guest.conv.pc)))
