"""Call expressions as the command line takes them: ``send(&queue, 0x10, -2, 2.5f, "text", 'c')``.

Arguments are C literals, ``&name`` for the address of a symbol, and initialisers for structures and what pointers
point to: ``{1, 2}``, ``{.x = 1}``. Without a prototype a literal has the type that C gives it: ``1`` is an int, ``1u``
unsigned, ``4294967296`` a long long, ``2.5`` a double, ``"text"`` a const char *.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.c.values import Constant, pack
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
    | (?P<mark>[(),{}=])
    )""",
    re.VERBOSE,
)
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
ESCAPES = {
    name.encode(): bytes([code])
    for name, code in {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}.items()
}
NAMED = {"true": 1, "false": 0, "NULL": 0, "nullptr": 0}


ArgumentKind: TypeAlias = Literal["int", "float", "text", "symbol", "braces", "name"]
DEEPEST = 20  # braces in braces


class Argument(NamedTuple):
    """One argument: what it is, its value, its text and where that starts in the expression."""

    kind: ArgumentKind
    value: int | float | bytes | str | tuple[Initialiser, ...]
    text: str
    at: int
    suffix: str = ""


class Initialiser(NamedTuple):
    """A value in braces, of the member ``name``, or of the next one if it is empty."""

    name: str
    value: Argument


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
    while i >= len(rest) or rest[i].text != ")" or arguments:
        argument, i = _argument(text, rest, i)
        arguments.append(argument)
        if _expect(text, rest, i, ",", ")") == ")":
            break
        i += 1
    if i + 1 < len(rest):
        _refuse(text, rest[i + 1].at, "there is more behind the call")
    return Call(text.strip(), name.text, tuple(arguments))


def parse_value(text: str) -> Argument:
    """A single literal or initialiser, such as an expected return value.

    Raises:
        UsageError: ``call-syntax``.
    """
    tokens = list(_tokens(text))
    if not tokens:
        _refuse(text, 0, "expected one literal")
    value, end = _argument(text, tokens, 0)
    if end < len(tokens):
        _refuse(text, tokens[end].at, "expected one literal")
    if value.kind == "name":
        _refuse(text, value.at, _not_literal(value))
    return value


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


def _argument(text: str, tokens: Sequence[Token], i: int, depth: int = 0) -> tuple[Argument, int]:
    """The argument that begins at a token, and the index of the token behind it."""
    if i >= len(tokens):
        _refuse(text, len(text.rstrip()), "expected an argument")
    if tokens[i].text != "{":
        return _literal(text, tokens[i]), i + 1
    if depth >= DEEPEST:
        _refuse(text, tokens[i].at, "the braces are nested too deeply")
    first, found = i, list[Initialiser]()
    i += 1
    while i >= len(tokens) or tokens[i].text != "}":  # C allows a comma in front of it
        name = ""
        if i < len(tokens) and tokens[i].kind == "name" and tokens[i].text.startswith("."):
            name = tokens[i].text[1:]
            _expect(text, tokens, i + 1, "=")
            i += 2
        if found and bool(name) != bool(found[0].name):
            _refuse(text, tokens[i - 1].at, "either all values have names, or none has")
        value, i = _argument(text, tokens, i, depth + 1)
        found.append(Initialiser(name, value))
        i += _expect(text, tokens, i, ",", "}") == ","
    at, end = tokens[first].at, tokens[i].at + 1
    return Argument("braces", tuple(found), text[at:end], at), i + 1


def _expect(text: str, tokens: Sequence[Token], i: int, *marks: str) -> str:
    if i >= len(tokens) or tokens[i].text not in marks:
        wanted = " or ".join(f"`{mark}`" for mark in marks)
        _refuse(text, tokens[i].at if i < len(tokens) else len(text.rstrip()), f"expected {wanted}")
    return tokens[i].text


def _literal(text: str, token: Token) -> Argument:
    body = token.text[: len(token.text) - len(token.suffix)]
    kind: ArgumentKind = "int"
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
        case "name" if not token.text.startswith("."):
            kind, value = "name", token.text
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
        _refuse_untyped(call, 0)
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
            address = argument.kind == "name" and ctype.enum is None
            cure = f"`&{argument.text}` is the address of a symbol" if address else f"the prototype is `{prototype}`"
            _refuse(call.text, argument.at, why, cure)
    _refuse_untyped(call, wanted)
    rest = (promoted(literal_type(a, model), model) for a in call.arguments[wanted:])
    return (*prototype.params, *rest)


def _refuse_untyped(call: Call, first: int) -> None:
    """Refuse what needs a type, from an argument on that has none."""
    for argument in call.arguments[first:]:
        if argument.kind == "name":
            _refuse(call.text, argument.at, _not_literal(argument), f"`&{argument.text}` is the address of a symbol")
        if argument.kind == "braces":
            cure = "keep the extension's `.json` or `.debug.elf` beside it, or give `--prototype`"
            cure += "; behind `...` pass literals"
            _refuse(call.text, argument.at, "nobody knows the type of this value", cure)


def _not_literal(argument: Argument) -> str:
    return f"`{argument.text}` is not a literal"


def _misfit(argument: Argument, ctype: CType) -> str:
    """Why an argument cannot be passed as that ctype."""
    if argument.kind == "braces" and (ctype.kind == "pointer" or ctype.record is not None):
        return _unpackable(argument, ctype)
    if ctype.record is not None:
        return f"`{argument.text}` is not a value of type `{ctype.name}`, which has braces around it"
    if not ctype.is_scalar:  # such as void: debug information with an error in it
        return f"a `{ctype.name}` cannot be passed by value"
    if argument.kind in ("text", "symbol"):
        return "" if ctype.kind == "pointer" else f"`{argument.text}` is not a value of type `{ctype.name}`"
    if argument.kind == "name":
        return _unpackable(argument, ctype) if ctype.enum is not None else _not_literal(argument)
    if ctype.kind == "float" and argument.kind != "braces":
        return ""
    if argument.kind in ("float", "braces"):
        return f"`{argument.text}` is not a value of type `{ctype.name}`"
    assert isinstance(argument.value, int)
    return "" if fits(ctype, argument.value) else f"`{argument.text}` does not fit into `{ctype.name}`"


def fits(ctype: CType, value: int) -> bool:
    """Whether a type has the number, or its signed or unsigned twin has."""
    bits = 8 * ctype.size
    return ctype.kind == "bool" or -(1 << (bits - 1)) <= value < 1 << bits


def _unpackable(argument: Argument, ctype: CType) -> str:
    try:
        pack(ctype, value_of(argument, lambda _name: 0), lambda _data: 0)
    except (TypeError, OverflowError, AttributeError) as error:
        return str(error)
    return ""


def value_of(argument: Argument, address: Callable[[str], int]) -> Any:
    """An argument as ``pack()`` takes it. ``address`` knows those of symbols."""
    if argument.kind == "symbol":
        return address(str(argument.value))
    if argument.kind == "name":
        return Constant(str(argument.value))
    if not isinstance(argument.value, tuple):
        return argument.value
    if argument.value and argument.value[0].name:
        return {each.name: value_of(each.value, address) for each in argument.value}
    return [value_of(each.value, address) for each in argument.value]


def symbols_in(arguments: Iterable[Argument]) -> Iterator[str]:
    """The symbols whose addresses are asked for."""
    for argument in arguments:
        if argument.kind == "symbol":
            yield str(argument.value)
        elif isinstance(argument.value, tuple):
            yield from symbols_in(each.value for each in argument.value)


def _refuse(text: str, at: int, why: str, help: str = "") -> NoReturn:
    """Raise ``call-syntax`` with a caret below the place."""
    shown = text.replace("\t", " ").replace("\n", " ")
    fail(
        "call-syntax",
        f"the call expression cannot be used: {why}",
        detail=(shown, " " * at + "^"),
        help=help or "for example `add(1, -2)`, `scale(2.5f)`, `greet(\"you\")`, `fill(&buffer, 'x', 0x10)`",
    )


def show_value(ctype: CType, value: Any, text: bytes | None = None) -> str:
    """A returned value as C would write it; of a structure what its view shows."""
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
    name = ctype.enum.name_of(value) if ctype.enum is not None else ""
    return f"{value} ({name})" if name else str(value)


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
