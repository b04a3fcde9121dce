"""printf: C's formatted output, exactly as C defines it.

Floating-point numbers are converted from their exact value and rounded once, half to even, as the better C libraries
do. What C leaves open is as in Zephyr and glibc: ``%p`` prints ``0x1f`` and ``(nil)``, an unknown conversion prints
itself. ``%n`` is refused.
Source: C17 7.21.6.1, "The fprintf function".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Protocol

from llext_tools.c.types import CType, DataModel, split_float

SPEC = re.compile(
    rb"%(?P<flags>[-+ #0]*)(?P<width>\*|[0-9]*)(?:\.(?P<precision>\*|-?[0-9]*))?"
    rb"(?P<length>hh|h|ll|l|j|z|t|L)?(?P<conv>.)",
    re.DOTALL,
)
WIDEST = 1 << 16
"""Longest field: more is a mistake of the extension, and would be many megabytes on the host."""

LONGEST_NUMBER = 4000
"""Digits of a width or precision: beyond ``WIDEST`` anyway, and Python reads no number of more than 4,300."""

EXACT = Context(prec=12_000)  # digits: the smallest binary128 number has 11,563


class FormatError(Exception):
    """The format asks for what cannot be given; the text says what."""


class Arguments(Protocol):
    """Where a variadic function's further arguments come from: registers and stack, or a ``va_list``."""

    def next(self, ctype: CType) -> bytes:
        """The bytes of the next argument, which is of that type after the default promotions."""


def format_c(
    template: bytes,
    args: Arguments,
    model: DataModel,
    text: Callable[[int, int | None], bytes],
    most: int = 1 << 30,
    tick: Callable[[], None] = lambda: None,
) -> bytes:
    """What ``printf(template, ...)`` writes.

    Args:
        text: reads the string at an address, up to its NUL or up to so many bytes.
        most: bytes; where there are more, the rest is not made.
        tick: called for each conversion.
    Raises:
        FormatError: ``%n``, or a field beyond ``WIDEST``.
    """
    out = bytearray()
    at = 0
    while (percent := template.find(b"%", at)) >= 0 and len(out) <= most:
        tick()
        out += template[at:percent]
        match = SPEC.match(template, percent)
        if match is None:  # it ends within a conversion
            out += template[percent:]
            at = len(template)
            break
        out += _convert(match, args, model, text, most)
        at = match.end()
    return bytes(out + template[at:]) if len(out) <= most else bytes(out)


def _convert(
    match: re.Match[bytes], args: Arguments, model: DataModel, text: Callable[[int, int | None], bytes], most: int
) -> bytes:
    conv = match["conv"].decode("latin-1")
    length = (match["length"] or b"").decode()
    flags = set(match["flags"].decode())
    if conv == "%":
        return b"%"
    if conv not in "diuoxXcsSCpnfFeEgGaA":
        return match[0]

    types = model.types
    width = _number(match["width"], args, types["int"])
    precision = None if match["precision"] is None else _number(match["precision"] or b"0", args, types["int"])
    if width < 0:
        flags.add("-")
        width = -width
    if precision is not None and precision < 0:
        precision = None
    widest = max(width, precision or 0)
    if widest > WIDEST:
        raise FormatError(f"`{match[0].decode('latin-1')}` asks for a field of {widest:,} characters")

    if conv == "n":
        raise FormatError("`%n` writes to memory, which no host allows any more")
    if conv in "diuoxX":
        value = _integer(args, model, length, signed=conv in "di")
        return _fill(*_format_integer(value, conv, flags, precision), width, flags, zeros=precision is None)
    if conv == "p":
        address = int.from_bytes(args.next(types["uintptr_t"]), "little")
        return _fill("", f"{address:#x}" if address else "(nil)", width, flags, zeros=False)
    if conv in "cC":
        wide = conv == "C" or length == "l"
        code = int.from_bytes(args.next(types["int"]), "little")
        character = _utf8(code) if wide else bytes([code & 0xFF])
        return _pad(character, width, flags)
    if conv in "sS":
        address = int.from_bytes(args.next(types["uintptr_t"]), "little")
        wide = conv == "S" or length == "l"
        data = _wide_text(address, precision, text, most) if wide else text(address, precision)
        return _pad(data, width, flags)
    data = args.next(types["long double" if length == "L" else "double"])
    sign, digits, finite = _format_float(data, conv, flags, precision)
    return _fill(sign, digits, width, flags, zeros=finite)


def _number(field: bytes, args: Arguments, ctype: CType) -> int:
    if field == b"*":
        return int.from_bytes(args.next(ctype), "little", signed=True)
    return int(field[:LONGEST_NUMBER] or b"0")


def _integer(args: Arguments, model: DataModel, length: str, *, signed: bool) -> int:
    name = {"l": "long", "ll": "long long", "j": "intmax_t", "z": "ssize_t", "t": "ptrdiff_t", "L": "long long"}
    data = args.next(model.types[name.get(length, "int")])
    size = {"hh": 1, "h": 2}.get(length, len(data))  # promoted to int, converted back before it is printed
    return int.from_bytes(data[:size], "little", signed=signed)


def _format_integer(value: int, conv: str, flags: set[str], precision: int | None) -> tuple[str, str]:
    """Prefix (sign or 0x) and digits."""
    base = {"o": "o", "x": "x", "X": "X"}.get(conv, "d")
    digits = format(abs(value), base)
    if precision == 0 and value == 0:
        digits = ""
    digits = digits.rjust(precision or 0, "0")
    prefix = ""
    if conv in "di":
        prefix = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    elif "#" in flags and conv == "o" and not digits.startswith("0"):
        digits = f"0{digits}"
    elif "#" in flags and conv in "xX" and value:
        prefix = f"0{conv}"
    return prefix, digits


def _format_float(data: bytes, conv: str, flags: set[str], precision: int | None) -> tuple[str, str, bool]:
    """Sign (and 0x), digits, and whether the number is finite."""
    negative, exponent, fraction = split_float(data)
    bits = {8: (1023, 52), 16: (16383, 112)}[len(data)]
    sign = "-" if negative else "+" if "+" in flags else " " if " " in flags else ""
    if exponent == 2 * bits[0] + 1:
        special = "nan" if fraction else "inf"
        return sign, special.upper() if conv.isupper() else special, False
    mantissa = fraction | (1 << bits[1] if exponent else 0)
    power = max(exponent, 1) - bits[0] - bits[1]
    if conv in "aA":
        digits = _hexadecimal(mantissa, power, bits[1], len(data), flags, precision)
        prefix = f"{sign}0x"
        return (prefix.upper(), digits.upper(), True) if conv == "A" else (prefix, digits, True)
    value = Decimal(mantissa << power) if power >= 0 else _halved(mantissa, -power)
    precision = 6 if precision is None else precision
    kind = conv.lower()
    if kind == "f":
        digits = _fixed(value, precision, "#" in flags)
    elif kind == "e":
        digits = _scientific(value, precision, "#" in flags)
    else:
        digits = _general(value, precision or 1, "#" in flags)
    return sign, digits.upper() if conv.isupper() else digits, True


def _halved(mantissa: int, times: int) -> Decimal:
    """``mantissa / 2**times``, exactly: as ``mantissa * 5**times / 10**times``."""
    return Decimal(mantissa * 5**times).scaleb(-times, context=EXACT)


def _fixed(value: Decimal, precision: int, point: bool) -> str:
    return format(value, f".{precision}f") + "." * (point and not precision)


def _scientific(value: Decimal, precision: int, point: bool) -> str:
    digits, exponent = _rounded(value, precision + 1)
    text = digits[0] + ("." if precision or point else "") + digits[1:]
    return f"{text}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _general(value: Decimal, precision: int, keep_zeros: bool) -> str:
    exponent = _rounded(value, precision)[1]
    if -4 <= exponent < precision:
        text, tail = _fixed(value, precision - 1 - exponent, keep_zeros), ""
    else:
        text, _, tail = _scientific(value, precision - 1, keep_zeros).partition("e")
        tail = f"e{tail}"
    if not keep_zeros and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text + tail


def _rounded(value: Decimal, count: int) -> tuple[str, int]:
    """The first ``count`` digits, rounded, and the exponent of the first one."""
    if not value:
        return "0" * count, 0
    mantissa, _, exponent = format(value, f".{count - 1}e").partition("e")
    return mantissa.replace(".", ""), int(exponent)


def _hexadecimal(
    mantissa: int, power: int, fraction_bits: int, size: int, flags: set[str], precision: int | None
) -> str:
    """``%a``: one digit, a point, the fraction, the exponent of two."""
    exponent = 0 if not mantissa else power + fraction_bits
    if size == 16 and mantissa:  # as glibc does: a number is 1.xxx, also a subnormal one
        shift = fraction_bits + 1 - mantissa.bit_length()
        mantissa, exponent = mantissa << shift, exponent - shift
    digits = fraction_bits // 4
    if precision is not None and precision < digits:
        drop = 4 * (digits - precision)
        half, rest = 1 << (drop - 1), mantissa & ((1 << drop) - 1)
        mantissa >>= drop
        mantissa += rest > half or (rest == half and mantissa & 1)
        fraction = f"{mantissa & ((1 << 4 * precision) - 1):0{precision}x}" if precision else ""
        whole = mantissa >> 4 * precision
    else:
        fraction = f"{mantissa & ((1 << fraction_bits) - 1):0{digits}x}"
        fraction = fraction.rstrip("0") if precision is None else fraction.ljust(precision, "0")
        whole = mantissa >> fraction_bits
    point = "." if fraction or "#" in flags else ""
    return f"{whole:x}{point}{fraction}p{exponent:+d}"


def _fill(prefix: str, digits: str, width: int, flags: set[str], *, zeros: bool) -> bytes:
    """Pad a number; the flag 0 puts zeros behind the prefix, if it applies to the conversion."""
    if zeros and "0" in flags and "-" not in flags:
        digits = digits.rjust(width - len(prefix), "0")
    return _pad((prefix + digits).encode("ascii"), width, flags)


def _pad(field: bytes, width: int, flags: set[str]) -> bytes:
    return field.ljust(width) if "-" in flags else field.rjust(width)


def _utf8(code: int) -> bytes:
    return chr(code).encode("utf-8", "replace") if code < 0x110000 else b"?"


def _wide_text(address: int, precision: int | None, text: Callable[[int, int | None], bytes], most: int) -> bytes:
    """A ``wchar_t`` string as UTF-8; a precision counts bytes and cuts no character."""
    out = bytearray()
    while len(out) <= most:
        code = int.from_bytes(text(address, -4), "little")
        character = _utf8(code)
        if not code or (precision is not None and len(out) + len(character) > precision):
            break
        out += character
        address += 4
    return bytes(out)
