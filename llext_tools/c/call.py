"""Call expressions as the command line takes them: ``send(&queue, 0x10, -2, 2.5f, "text", 'c')``.

Arguments are C literals, and ``&name`` for the address of a symbol. Without a prototype a literal has the type that C
gives it: ``1`` is an int, ``1u`` unsigned, ``4294967296`` a long long, ``2.5`` a double, ``"text"`` a const char *.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple, NoReturn

from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.diag import fail

TOKEN = re.compile(
    r"""\s*(?:
      (?P<float>[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?(?P<fsuffix>[fFlL]?)(?!\w))
    | (?P<hexfloat>[-+]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][-+]?[0-9]+(?P<hsuffix>[fFlL]?)(?!\w))
    | (?P<integer>[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)(?P<isuffix>(?:[uU]|[lL]{1,2})*)(?![\w.]))
    | (?P<text>"(?:[^"\\\n]|\\.)*")
    | (?P<char>'(?:[^'\\\n]|\\.[0-9a-fA-F]*)')
    | (?P<symbol>&\s*[A-Za-z_.$][\w.$]*)
    | (?P<name>[A-Za-z_.$][\w.$]*)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
ESCAPES = {
    name.encode(): bytes([code])
    for name, code in {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}.items()
}
NAMED = {"true": 1, "false": 0, "NULL": 0, "nullptr": 0}


class Argument(NamedTuple):
    """One argument: what it is, its value, its text and where that starts in the expression."""

    kind: Literal["int", "float", "text", "symbol"]
    value: int | float | bytes | str
    text: str
    at: int
    suffix: str = ""


class Call(NamedTuple):
    """A parsed call expression."""

    text: str
    function: str
    arguments: tuple[Argument, ...]


class Token(NamedTuple):
    kind: str
    text: str
    at: int
    suffix: str


def parse_call(text: str) -> Call:
    """Parse ``name(argument, ...)``; a name alone is a call without arguments.

    Raises:
        UsageError: ``call-syntax``.
    """
    tokens = list(_tokens(text))
    if not tokens or tokens[0].kind != "name":
        _refuse(text, tokens[0].at if tokens else 0, "expected the name of a function")
    name, rest = tokens[0], tokens[1:]
    if not rest:
        return Call(text.strip(), name.text, ())
    if rest[0].text != "(":
        _refuse(text, rest[0].at, "expected `(`")
    arguments: list[Argument] = []
    i = 1
    while True:
        if i < len(rest) and rest[i].text == ")" and not arguments:
            break
        if i >= len(rest):
            _refuse(text, len(text.rstrip()), "expected an argument")
        arguments.append(_argument(text, rest[i]))
        i += 1
        if i >= len(rest) or rest[i].text not in (",", ")"):
            _refuse(text, rest[i].at if i < len(rest) else len(text.rstrip()), "expected `,` or `)`")
        if rest[i].text == ")":
            break
        i += 1
    if i + 1 < len(rest):
        _refuse(text, rest[i + 1].at, "there is more behind the call")
    return Call(text.strip(), name.text, tuple(arguments))


def parse_value(text: str) -> Argument:
    """A single literal, such as an expected return value.

    Raises:
        UsageError: ``call-syntax``.
    """
    tokens = list(_tokens(text))
    if len(tokens) != 1:
        _refuse(text, tokens[1].at if tokens else 0, "expected one literal")
    return _argument(text, tokens[0])


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            unclosed = text[at] in "\"'"
            _refuse(text, at, f"{text[at]} is not closed" if unclosed else "this is neither a literal nor a name")
        kind = str(match.lastgroup)
        kind = next(k for k in ("float", "hexfloat", "integer", "text", "char", "symbol", "name", "mark") if match[k])
        suffix = match["fsuffix"] or match["hsuffix"] or match["isuffix"] or ""
        yield Token(kind, match[kind], match.start(kind), suffix.lower())
        at = match.end()


def _argument(text: str, token: Token) -> Argument:
    body = token.text[: len(token.text) - len(token.suffix)]
    kind: Literal["int", "float", "text", "symbol"] = "int"
    value: int | float | bytes | str = 0
    match token.kind:
        case "integer":
            value = _integer(text, token, body)
        case "float":
            kind, value = "float", float(body)
        case "hexfloat":
            kind, value = "float", _hexfloat(text, token, body)
        case "text":
            kind, value = "text", unescape(token.text[1:-1])
        case "char":
            character = unescape(token.text[1:-1])
            if len(character) != 1:
                _refuse(text, token.at, "a character constant holds one byte")
            value = character[0]
        case "symbol":
            kind, value = "symbol", token.text[1:].strip()
        case "name" if token.text in NAMED:
            value = NAMED[token.text]
        case "name":
            _refuse(text, token.at, f"`{token.text}` is not a literal", f"`&{token.text}` is the address of a symbol")
        case _:
            _refuse(text, token.at, "expected an argument")
    return Argument(kind, value, token.text, token.at, token.suffix)


def _integer(text: str, token: Token, body: str) -> int:
    sign, digits = (-1, body[1:]) if body[0] == "-" else (1, body.lstrip("+"))
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567"
    try:
        value = sign * int(digits, 8 if octal else 0)
    except ValueError:  # Python reads no number of more than 4,300 decimal digits
        value = 1 << 64
    if not -(1 << 63) <= value < 1 << 64:
        _refuse(text, token.at, "no type of C has room for this number")
    return value


def _hexfloat(text: str, token: Token, body: str) -> float:
    try:
        return float.fromhex(body)
    except OverflowError:
        return -math.inf if body[0] == "-" else math.inf  # as a decimal one
    except ValueError:
        _refuse(text, token.at, "this number has no digits")


def unescape(text: str) -> bytes:
    """The bytes of a C string literal's inside, as UTF-8."""

    def one(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return bytes([int(match[2], 8) & 0xFF])
        return ESCAPES.get(match[3], match[3])

    return ESCAPE.sub(one, text.encode("utf-8", "surrogateescape"))


def literal_type(argument: Argument, model: DataModel) -> CType:
    """The type that C gives to a literal. Source: C17 6.4.4."""
    types = model.types
    if argument.kind == "text":
        return model.pointer(types["char"]._replace(name="const char"))
    if argument.kind == "symbol":
        return model.pointer(types["void"])
    if argument.kind == "float":
        return types[{"f": "float", "l": "long double"}.get(argument.suffix, "double")]
    assert isinstance(argument.value, int)
    unsigned = "u" in argument.suffix
    decimal = not re.match(r"[-+]?0[xXbB0-7]", argument.text)
    longest = argument.suffix.count("l")
    for name in ("int", "long", "long long")[longest:]:
        bits = 8 * types[name].size
        if not unsigned and -(1 << (bits - 1)) <= argument.value < 1 << (bits - 1):
            return types[name]
        if (unsigned or not decimal) and 0 <= argument.value < 1 << bits:
            return types[f"unsigned {name}"]
    return types["unsigned long long" if argument.value > 0 else "long long"]


def promoted(ctype: CType, model: DataModel) -> CType:
    """What a variadic argument of that type becomes. Source: C17 6.5.2.2, "default argument promotions"."""
    if ctype.kind == "float":
        return ctype if ctype.size > 4 else model.types["double"]
    return model.types["int"] if ctype.kind in ("int", "uint", "bool") and ctype.size < 4 else ctype


def check_arguments(call: Call, prototype: Prototype | None, model: DataModel) -> tuple[CType, ...]:
    """The type in which each argument is passed.

    Raises:
        UsageError: ``call-syntax``: too many or too few arguments, or one that does not fit its parameter.
    """
    given = len(call.arguments)
    if prototype is None:
        return tuple(literal_type(a, model) for a in call.arguments)
    wanted = len(prototype.params)
    if given < wanted or (given > wanted and not prototype.variadic):
        plural = "s" * (wanted != 1) + " or more" * prototype.variadic
        text = f"`{call.function}` takes {wanted} argument{plural}, not {given}"
        at = call.arguments[wanted].at if given > wanted else len(call.text) - 1
        _refuse(call.text, at, text, f"its prototype is `{prototype}`")
    for argument, ctype in zip(call.arguments, prototype.params, strict=False):
        why = _misfit(argument, ctype)
        if why:
            _refuse(call.text, argument.at, why, f"the prototype is `{prototype}`")
    rest = (promoted(literal_type(a, model), model) for a in call.arguments[wanted:])
    return (*prototype.params, *rest)


def _misfit(argument: Argument, ctype: CType) -> str:
    """Why an argument cannot be passed as that ctype."""
    if ctype.kind in ("record", "void"):  # void: debug information with an error in it
        return f"a `{ctype.name}` cannot be passed by value"
    if argument.kind in ("text", "symbol"):
        return "" if ctype.kind == "pointer" else f"`{argument.text}` is not a value of type `{ctype.name}`"
    if ctype.kind == "float":
        return ""
    if argument.kind == "float":
        return f"`{argument.text}` is not a value of type `{ctype.name}`"
    bits = 8 * ctype.size
    assert isinstance(argument.value, int)
    if ctype.kind == "bool" or -(1 << (bits - 1)) <= argument.value < 1 << bits:
        return ""
    return f"`{argument.text}` does not fit into `{ctype.name}`"


def _refuse(text: str, at: int, why: str, help: str = "") -> NoReturn:
    """Raise ``call-syntax`` with a caret below the place."""
    shown = text.replace("\t", " ").replace("\n", " ")
    fail(
        "call-syntax",
        f"the call expression cannot be used: {why}",
        detail=(shown, " " * at + "^"),
        help=help or "for example `add(1, -2)`, `scale(2.5f)`, `greet(\"you\")`, `fill(&buffer, 'x', 0x10)`",
    )


def show_value(ctype: CType, value: float | None, text: bytes | None = None) -> str:
    """A returned value as C would write it."""
    if value is None:
        return ""
    if text is not None:
        return '"' + escape(text) + '"'
    if ctype.kind == "float":
        return show_float(float(value), ctype.size)
    if ctype.kind == "bool":
        return "true" if value else "false"
    if ctype.kind == "pointer":
        return f"{int(value):#0{2 * ctype.size + 2}x}" if value else "NULL"
    return str(value)


def show_float(value: float, size: int) -> str:
    """The shortest decimal that gives the value back, for a float as for a double."""
    if size != 4 or not math.isfinite(value):
        return repr(value)
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.unpack("<f", struct.pack("<f", float(text)))[0] == value:
            break
    return text if any(c in text for c in ".e") else f"{text}.0"


def escape(data: bytes) -> str:
    """Bytes as the inside of a C string literal: what is not printable UTF-8 as ``\\xNN``."""
    named = {code[0]: f"\\{name.decode()}" for name, code in ESCAPES.items()} | {92: "\\\\", 34: '\\"'}
    shown = []
    for character in data.decode("utf-8", "surrogateescape"):
        if ord(character) in named:
            shown.append(named[ord(character)])
        elif character.isprintable():
            shown.append(character)
        else:
            shown += (f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return "".join(shown)
