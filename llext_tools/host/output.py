"""What extensions print: printk() and printf(), and Zephyr's logging, whose messages are printed at once.

A message is a line as in Zephyr's minimal mode: the level's letter and the text. In its other modes an extension hands
over a package: a header, the format, and the arguments in the order and with the alignment of a ``va_list`` in memory.
Source: C17 7.21; Zephyr 4.2, ``log_msg.h`` and "Formatted Output", "Cbprintf Packaging".
"""

from __future__ import annotations

from llext_tools.c.types import CType
from llext_tools.host.format import Arguments, FormatError, format_c
from llext_tools.host.guest import Guest
from llext_tools.host.kernel.table import SYSCALL, Row, functions
from llext_tools.host.passing import VaList

LEVELS = "?EWID"
"""Their letters."""

DUMPED = 16
"""Bytes in a line of data."""


def formatted(guest: Guest, template: int, args: Arguments) -> bytes:
    """What printf() makes of a format string in the extension's memory; more than the limit of output is not made."""

    def text(address: int, most: int | None) -> bytes:
        guest.tick()
        return guest.memory.read(address, -most) if most is not None and most < 0 else guest.memory.text(address, most)

    try:
        return format_c(guest.memory.text(template), args, guest.model, text, guest.limits.output, guest.tick)
    except FormatError as error:
        guest.fail("run-fault", f"{guest.caller()} gives a format that cannot be printed: {error}", guest.where_now())


def printk(guest: Guest, template: int, args: Arguments) -> None:
    guest.write_output(formatted(guest, template, args))


def vprintk(guest: Guest, template: int, args: int) -> None:
    printk(guest, template, VaList(guest, args))


def printf(guest: Guest, template: int, args: Arguments) -> int:
    data = formatted(guest, template, args)
    guest.write_output(data)
    return len(data)


def vprintf(guest: Guest, template: int, args: int) -> int:
    return printf(guest, template, VaList(guest, args))


def stored(guest: Guest, template: int, args: Arguments) -> bytes:
    """The same for a string in memory."""
    data = formatted(guest, template, args)
    if len(data) > guest.limits.output:
        guest.too_much("makes a string of")
    return data


def snprintf(guest: Guest, buffer: int, size: int, template: int, args: Arguments) -> int:
    data = stored(guest, template, args)
    if size:
        guest.memory.write(buffer, data[: size - 1] + b"\0")
    return len(data)


def vsnprintf(guest: Guest, buffer: int, size: int, template: int, args: int) -> int:
    return snprintf(guest, buffer, size, template, VaList(guest, args))


def sprintf(guest: Guest, buffer: int, template: int, args: Arguments) -> int:
    data = stored(guest, template, args)
    guest.memory.write(buffer, data + b"\0")
    return len(data)


def vsprintf(guest: Guest, buffer: int, template: int, args: int) -> int:
    return sprintf(guest, buffer, template, VaList(guest, args))


def puts(guest: Guest, text: int) -> int:
    guest.write_output(guest.memory.text(text) + b"\n")
    return 0


def putchar(guest: Guest, character: int) -> int:
    guest.write_output(bytes([character & 0xFF]))
    return character & 0xFF


# ---- logging


def message(guest: Guest, level: int, text: bytes, data: int, size: int) -> None:
    """Print a line, and the data that go with it in hexadecimal."""
    dump = guest.memory.read(data, size) if data and size else b""
    letter = LEVELS[level] if level < len(LEVELS) else LEVELS[0]
    lines = [f"{letter}: ".encode() + text]
    lines += [f"   {dump[i : i + DUMPED].hex(' ')}".encode() for i in range(0, len(dump), DUMPED)]
    guest.write_output(b"\n".join(lines) + b"\n")


def static_create(guest: Guest, source: int, descriptor: int, package: int, data: int) -> None:  # noqa: ARG001
    """The descriptor is a bit-field: three flags, 3 bits of a domain, 3 of the level, 11 and 12 of the sizes."""
    word = guest.model.word
    text = b""
    if descriptor >> 9 & 0x7FF:
        template = int.from_bytes(guest.memory.read(package + word, word), "little")
        text = formatted(guest, template, VaList(guest, package + 2 * word))
    message(guest, descriptor >> 6 & 7, text, data, descriptor >> 20)


def runtime_create(
    guest: Guest,
    domain: int,  # noqa: ARG001
    source: int,  # noqa: ARG001
    level: int,
    data: int,
    size: int,
    flags: int,  # noqa: ARG001
    template: int,
    args: int,
) -> None:
    text = formatted(guest, template, VaList(guest, args)) if template else b""
    message(guest, level, text, data, size)


class Given:
    """Arguments that are known already."""

    def __init__(self, values: tuple[int, ...]) -> None:
        self._values = list(values)

    def next(self, ctype: CType) -> bytes:
        value = self._values.pop(0) if self._values else 0
        return (value & ((1 << 8 * ctype.size) - 1)).to_bytes(ctype.size, "little")


def simple_create(guest: Guest, source: int, level: int, template: int, *args: int) -> None:  # noqa: ARG001
    message(guest, level, formatted(guest, template, Given(args)), 0, 0)


CREATE = """void z_log_msg_static_create(const void *source, uint32_t descriptor, void *package,
              const void *data)"""
VCREATE = """void z_log_msg_runtime_vcreate(uint8_t domain, const void *source, uint8_t level, const void *data,
              size_t size, uint32_t flags, const char *format, va_list args)"""
SIMPLE = "void z_log_msg_simple_create_{}(const void *source, uint32_t level, const char *format{})"

LOGGING = tuple(
    functions(
        (
            Row("void z_log_minimal_printk(const char *format, ...)", printk),
            Row(CREATE, static_create, SYSCALL),
            Row(VCREATE, runtime_create, SYSCALL),
            Row(SIMPLE.format(0, ""), simple_create, SYSCALL),
            Row(SIMPLE.format(1, ", uint32_t first"), simple_create, SYSCALL),
            Row(SIMPLE.format(2, ", uint32_t first, uint32_t second"), simple_create, SYSCALL),
        )
    )
)
"""What the macros of Zephyr's logging call."""
