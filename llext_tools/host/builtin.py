"""The built-in host: what an extension finds when there is no firmware, as a table of functions.

Each row is a C prototype and a Python function; ``exports()`` gives them addresses. Strings and blocks are those of the
emulated memory, with its permissions. What prints is in ``host.output``, what needs a scheduler or a clock in
``host.kernel``. No helpers of compilers: ``COMPILER_RUNTIME`` brings them along.
Source: C17, 7.22 to 7.24.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from heapq import merge
from typing import NoReturn

from llext_tools.arch.base import Arch
from llext_tools.c.types import CType
from llext_tools.diag import Location
from llext_tools.host import kernel
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.output import (
    LOGGING,
    printf,
    printk,
    putchar,
    puts,
    snprintf,
    sprintf,
    vprintf,
    vprintk,
    vsnprintf,
    vsprintf,
)
from llext_tools.link.exports import Export, ExportTable

HOST_AT = 0x2000_0000
"""Where the functions are: near RAM that a Cortex-M can execute, so that a BL reaches them."""

SPACING = 16


# ---- blocks of memory


def memcpy(guest: Guest, to: int, source: int, size: int) -> int:
    if size:
        guest.memory.write(to, guest.memory.read(source, size))
    return to


def memset(guest: Guest, block: int, byte: int, size: int) -> int:
    if size:
        guest.memory.check_write(block, size)
        guest.memory.poke(block, bytes([byte & 0xFF]) * size)
    return block


def memcmp(guest: Guest, left: int, right: int, size: int) -> int:
    return compared(guest.memory.read(left, size), guest.memory.read(right, size))


def memchr(guest: Guest, block: int, byte: int, size: int) -> int:
    at = guest.memory.read(block, size).find(byte & 0xFF)
    return block + at if at >= 0 else 0


def compared(left: bytes, right: bytes) -> int:
    return (left > right) - (left < right)


# ---- strings


def strlen(guest: Guest, text: int) -> int:
    return len(guest.memory.text(text))


def strnlen(guest: Guest, text: int, most: int) -> int:
    return len(guest.memory.text(text, most))


def strcmp(guest: Guest, left: int, right: int) -> int:
    return compared(guest.memory.text(left), guest.memory.text(right))


def strncmp(guest: Guest, left: int, right: int, most: int) -> int:
    return compared(guest.memory.text(left, most), guest.memory.text(right, most))


def strcpy(guest: Guest, to: int, source: int) -> int:
    guest.memory.write(to, guest.memory.text(source) + b"\0")
    return to


def strncpy(guest: Guest, to: int, source: int, size: int) -> int:
    text = guest.memory.text(source, size)
    guest.memory.check_write(to, size)
    guest.memory.poke(to, text.ljust(size, b"\0"))
    return to


def strcat(guest: Guest, to: int, source: int) -> int:
    guest.memory.write(to + strlen(guest, to), guest.memory.text(source) + b"\0")
    return to


def strncat(guest: Guest, to: int, source: int, most: int) -> int:
    guest.memory.write(to + strlen(guest, to), guest.memory.text(source, most) + b"\0")
    return to


def strchr(guest: Guest, text: int, character: int) -> int:
    at = (guest.memory.text(text) + b"\0").find(character & 0xFF)
    return text + at if at >= 0 else 0


def strrchr(guest: Guest, text: int, character: int) -> int:
    at = (guest.memory.text(text) + b"\0").rfind(character & 0xFF)
    return text + at if at >= 0 else 0


def strstr(guest: Guest, text: int, part: int) -> int:
    at = guest.memory.text(text).find(guest.memory.text(part))
    return text + at if at >= 0 else 0


# ---- numbers

MOST_DIGITS = 65  # in any base, a number of so many has more than 64 bits
SPACE = rb"[ \t\n\v\f\r]*([-+]?)"


def digits_of(base: int) -> re.Pattern[bytes]:
    """Space, sign and digits of a number in a base; base 16 may have a prefix."""
    digits = b"0-%d" % (base - 1) if base <= 10 else b"0-9a-%c" % (86 + base)
    return re.compile(SPACE + (b"(?:0x(?=[0-9a-f]))?" if base == 16 else b"") + b"([" + digits + b"]+)", re.IGNORECASE)


def number(guest: Guest, text: int, end: int, base: int, ctype: CType) -> int:
    """strtol() and strtoul(): the value, at the limits of its type where it is beyond them."""
    data = guest.memory.text(text)
    if base == 0:
        start = re.match(SPACE + b"(0x[0-9a-f]|0)?", data, re.IGNORECASE)
        prefix = (start[2] or b"") if start else b""
        base = 16 if len(prefix) > 1 else 8 if prefix else 10
    match = digits_of(base).match(data) if 2 <= base <= 36 else None
    if end:
        word = guest.model.word
        guest.memory.write(end, (text + (match.end() if match else 0)).to_bytes(word, "little"))
    if match is None:
        return 0
    digits = match[2].lstrip(b"0")[:MOST_DIGITS]  # of more the value is beyond the limits as well
    value = int(digits or b"0", base)
    bits = 8 * ctype.size
    if ctype.kind == "uint":
        return (1 << bits) - 1 if value >> bits else -value if match[1] == b"-" else value
    value = -value if match[1] == b"-" else value
    return min(max(value, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)


def strtol(guest: Guest, text: int, end: int, base: int) -> int:
    return number(guest, text, end, base, guest.model.types["long"])


def strtoul(guest: Guest, text: int, end: int, base: int) -> int:
    return number(guest, text, end, base, guest.model.types["unsigned long"])


def strtoll(guest: Guest, text: int, end: int, base: int) -> int:
    return number(guest, text, end, base, guest.model.types["long long"])


def strtoull(guest: Guest, text: int, end: int, base: int) -> int:
    return number(guest, text, end, base, guest.model.types["unsigned long long"])


def atoi(guest: Guest, text: int) -> int:
    return strtol(guest, text, 0, 10)


def absolute(_: Guest, value: int) -> int:
    return abs(value)


# ---- the heap


def malloc(guest: Guest, size: int) -> int:
    return guest.heap.allocate(size, guest.site())


def calloc(guest: Guest, count: int, size: int) -> int:
    block = guest.heap.allocate(count * size, guest.site())
    if block:
        guest.memory.poke(block, bytes(count * size))
    return block


def realloc(guest: Guest, block: int, size: int) -> int:
    if not block:
        return malloc(guest, size)
    old = guest.heap.size_of(block)
    if not size:
        guest.heap.release(block, guest.site())
        return 0
    new = guest.heap.allocate(size, guest.site())
    if new:
        guest.memory.poke(new, guest.memory.peek(block, min(old, size)))
        guest.heap.release(block, guest.site())
    return new


def free(guest: Guest, block: int) -> None:
    if block:
        guest.heap.release(block, guest.site())


def aligned_alloc(guest: Guest, align: int, size: int) -> int:
    if align > 16 or align & (align - 1):
        return 0
    return malloc(guest, size)


# ---- sorting and searching: the host calls back

AT_ONCE = 4096


def qsort(guest: Guest, base: int, count: int, size: int, compare: int) -> None:
    if count < 2 or not size:
        return
    block = guest.memory.read(base, count * size)
    places = range(base, base + count * size, size)

    def compared(left: int, right: int) -> int:
        return guest.call_plain(compare, left, right)

    order = in_order(places, compared)
    guest.memory.write(base, b"".join(block[at - base : at - base + size] for at in order))


def in_order(places: Sequence[int], compared: Callable[[int, int], int]) -> list[int]:
    """Sorted, and stable. Of many places, only those take memory that have been compared before time is up."""
    if len(places) <= AT_ONCE:
        return sorted(places, key=cmp_to_key(compared))
    half = len(places) // 2
    parts = in_order(places[:half], compared), in_order(places[half:], compared)
    return list(merge(*parts, key=cmp_to_key(compared)))


def bsearch(guest: Guest, key: int, base: int, count: int, size: int, compare: int) -> int:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        found = guest.call_plain(compare, key, base + middle * size)
        if not found:
            return base + middle * size
        low, high = (middle + 1, high) if found > 0 else (low, middle)
    return 0


# ---- the end


def abort(guest: Guest) -> None:
    guest.fail("run-abort", f"{guest.caller()} calls abort()", guest.where_now())


LONGEST_ASSERTION = 4096
ASSERTED = re.compile(r"ASSERTION FAIL \[([^\n]*)\] @ [^\n]*:(\d+)\n")
"""What __ASSERT() prints before it calls assert_post_action()."""


def assertion(guest: Guest, file: int, line: int, function: int, condition: int) -> None:
    """What assert() calls with the C library of GCC's toolchains, and that of <llext/assert.h>."""
    text = guest.memory.text(condition, 200).decode("utf-8", "backslashreplace")
    name = guest.memory.text(function, 200).decode("utf-8", "backslashreplace") if function else ""
    unasserted(guest, text, file, line, name)


def assert_post_action(guest: Guest, file: int, line: int) -> None:
    """What __ASSERT() calls at last. Only what was printed before tells the condition."""
    said = [found for found in ASSERTED.finditer(guest.output.text[-LONGEST_ASSERTION:]) if int(found[2]) == line]
    unasserted(guest, said[-1][1] if said else "", file, line)


def unasserted(guest: Guest, condition: str, file: int, line: int, function: str = "") -> NoReturn:
    """Raises:
    FaultError: ``run-abort``, at the line of the assertion."""
    here = guest.where_now() or Location("")
    function = function or here.function
    source = guest.memory.text(file, 200).decode("utf-8", "backslashreplace")
    what = f"the assertion `{condition}`" if condition else "an assertion"
    at = here._replace(source=source, line=line, function=function)
    guest.fail("run-abort", f"{what} does not hold{f' in `{function}`' if function else ''}", at)


BSEARCH = """void *bsearch(const void *key, const void *base, size_t count, size_t size,
              int (*compare)(const void *, const void *))"""

C_LIBRARY = tuple(
    HostFunction(prototype.split("(")[0].split()[-1].lstrip("*"), prototype, body)
    for prototype, body in (
        ("void printk(const char *format, ...)", printk),
        ("void vprintk(const char *format, va_list args)", vprintk),
        ("int printf(const char *format, ...)", printf),
        ("int vprintf(const char *format, va_list args)", vprintf),
        ("int snprintf(char *buffer, size_t size, const char *format, ...)", snprintf),
        ("int vsnprintf(char *buffer, size_t size, const char *format, va_list args)", vsnprintf),
        ("int snprintk(char *buffer, size_t size, const char *format, ...)", snprintf),
        ("int vsnprintk(char *buffer, size_t size, const char *format, va_list args)", vsnprintf),
        ("int sprintf(char *buffer, const char *format, ...)", sprintf),
        ("int vsprintf(char *buffer, const char *format, va_list args)", vsprintf),
        ("int puts(const char *text)", puts),
        ("int putchar(int character)", putchar),
        ("void *memcpy(void *to, const void *from, size_t size)", memcpy),
        ("void *memmove(void *to, const void *from, size_t size)", memcpy),
        ("void *memset(void *block, int byte, size_t size)", memset),
        ("int memcmp(const void *left, const void *right, size_t size)", memcmp),
        ("void *memchr(const void *block, int byte, size_t size)", memchr),
        ("size_t strlen(const char *text)", strlen),
        ("size_t strnlen(const char *text, size_t most)", strnlen),
        ("int strcmp(const char *left, const char *right)", strcmp),
        ("int strncmp(const char *left, const char *right, size_t size)", strncmp),
        ("char *strcpy(char *to, const char *from)", strcpy),
        ("char *strncpy(char *to, const char *from, size_t size)", strncpy),
        ("char *strcat(char *to, const char *from)", strcat),
        ("char *strncat(char *to, const char *from, size_t most)", strncat),
        ("char *strchr(const char *text, int character)", strchr),
        ("char *strrchr(const char *text, int character)", strrchr),
        ("char *strstr(const char *text, const char *part)", strstr),
        ("long strtol(const char *text, char **end, int base)", strtol),
        ("unsigned long strtoul(const char *text, char **end, int base)", strtoul),
        ("long long strtoll(const char *text, char **end, int base)", strtoll),
        ("unsigned long long strtoull(const char *text, char **end, int base)", strtoull),
        ("int atoi(const char *text)", atoi),
        ("int abs(int value)", absolute),
        ("long labs(long value)", absolute),
        ("void *malloc(size_t size)", malloc),
        ("void *calloc(size_t count, size_t size)", calloc),
        ("void *realloc(void *block, size_t size)", realloc),
        ("void *aligned_alloc(size_t align, size_t size)", aligned_alloc),
        ("void free(void *block)", free),
        ("void *k_malloc(size_t size)", malloc),
        ("void *k_calloc(size_t count, size_t size)", calloc),
        ("void *k_realloc(void *block, size_t size)", realloc),
        ("void *k_aligned_alloc(size_t align, size_t size)", aligned_alloc),
        ("void k_free(void *block)", free),
        ("void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))", qsort),
        (BSEARCH, bsearch),
        ("void abort(void)", abort),
        ("void __assert_func(const char *file, int line, const char *function, const char *condition)", assertion),
        ("void assert_print(const char *format, ...)", printk),
        ("void assert_post_action(const char *file, unsigned int line)", assert_post_action),
    )
)
"""The table: prototype and function. The name is the prototype's."""

FUNCTIONS: tuple[HostFunction, ...] = (*C_LIBRARY, *LOGGING, *kernel.FUNCTIONS)

BY_NAME = {function.name: function for function in FUNCTIONS}


def exports(arch: Arch, at: int = HOST_AT) -> ExportTable:
    """The functions with their addresses, as an extension for that architecture sees them."""
    return ExportTable(
        source="the built-in host",
        symbols=tuple(
            Export(f.name, at + SPACING * i | arch.thumb, "func", str(f.prototype)) for i, f in enumerate(FUNCTIONS)
        ),
        machine=arch.machine,
    )
