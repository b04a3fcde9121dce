"""C prototypes as text: ``double half(double)``, ``int compare(const void *a, const void *b)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple, NoReturn

from pycparser import c_ast, c_parser

from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.diag import fail

WORD = re.compile(r"[A-Za-z_]\w*")
ORDER = ("unsigned", "signed", "char", "short", "long", "int", "double", "float", "_Bool", "void")
TAGS, QUALIFIERS = ("struct", "union", "enum"), ("const", "volatile", "restrict", "extern", "static", "inline")
TOKEN = re.compile(r"[A-Za-z_]\w*|\S")
SPELLINGS = {
    "signed": "int",
    "unsigned": "unsigned int",
    "short int": "short",
    "unsigned short int": "unsigned short",
    "long int": "long",
    "unsigned long int": "unsigned long",
    "long long int": "long long",
    "unsigned long long int": "unsigned long long",
    "long double": "long double",
}


Named = Callable[[str], CType | None]
"""Finds a type by ``point_t`` or ``struct point``."""


class Types(NamedTuple):
    """The types that have names: C's own ones, and those that ``named`` finds."""

    model: DataModel
    named: Named | None

    def find(self, name: str) -> CType | None:
        known = self.model.types.get(name)
        return self.named(name) if known is None and self.named is not None else known


def parse_prototype(text: str, model: DataModel, named: Named | None = None) -> Prototype:
    """The prototype in ``text``, with or without parameter names and semicolon.

    Args:
        named: for types that are not C's own, such as ``abi.c.Known.type``.
    Raises:
        UsageError: ``prototype-syntax``.
    """
    return _parse(text, Types(model, named)) if named is not None else _parse_plain(text, model)


@cache
def _parse_plain(text: str, model: DataModel) -> Prototype:
    return _parse(text, Types(model, None))


def _parse(text: str, types: Types) -> Prototype:
    known = {name for name in dict.fromkeys(_type_words(text)) if types.find(name) is not None}
    prelude = "".join(f"typedef int {name};" for name in sorted(known))
    try:
        tree = c_parser.CParser().parse(f"{prelude}\n{text.strip().rstrip(';')};", "prototype")
        return _declared(tree, types, text)
    except RecursionError:
        _refuse(text, "it is nested too deeply")
    except (c_parser.ParseError, AssertionError, ValueError, IndexError, AttributeError) as error:
        unknown = [n for n in WORD.findall(text)[:-1] if n.endswith("_t") and n not in known]
        if unknown:
            _refuse(text, f"`{unknown[0]}` is not a known type")
        _refuse(text, "it is not C: " + re.sub(r"^prototype:\d+:\d+: ", "", str(error)).strip())


def _type_words(text: str) -> Iterator[str]:
    """The words that can be a typedef: they neither follow a tag's keyword, nor are they what is declared."""
    before = ""
    for word in TOKEN.findall(text):
        named = before == "*" or (WORD.fullmatch(before) and before not in QUALIFIERS)
        if WORD.fullmatch(word) and not named and word not in (*ORDER, *QUALIFIERS, *TAGS):
            yield word
        before = word


def _declared(tree: c_ast.FileAST, types: Types, text: str) -> Prototype:
    declaration = tree.ext[-1] if tree.ext else None
    if not isinstance(declaration, c_ast.Decl) or not isinstance(declaration.type, c_ast.FuncDecl):
        _refuse(text, "it does not declare a function")
    return _function(declaration.name or "", declaration.type, types, text)


def _refuse(text: str, why: str) -> NoReturn:
    fail(
        "prototype-syntax",
        f"the prototype `{text.strip()}` cannot be used: {why}",
        help="write it as C does, with C's own types: `double half(double)`, `int add(int, int)`",
    )


def _function(name: str, node: c_ast.FuncDecl, types: Types, text: str) -> Prototype:
    params: list[CType] = []
    names: list[str] = []
    variadic = False
    for param in node.args.params if node.args else ():
        if isinstance(param, c_ast.EllipsisParam):
            variadic = True
            continue
        if isinstance(param, c_ast.ID):
            _refuse(text, f"`{param.name}` has no type")
        ctype = _type(param.type, types, text, parameter=True)
        if ctype.is_void and len(node.args.params) == 1:
            break
        if ctype.is_void:
            _refuse(text, "a parameter cannot be void")
        params.append(ctype)
        names.append(param.name or "")
    return Prototype(name, _type(node.type, types, text), tuple(params), variadic, tuple(names))


def _type(node: c_ast.Node, types: Types, text: str, *, parameter: bool = False) -> CType:
    if isinstance(node, c_ast.TypeDecl | c_ast.Typename):
        qualifier = "const " if "const" in node.quals else ""
        inner = _type(node.type, types, text)
        return inner._replace(name=qualifier + inner.name) if qualifier else inner
    if isinstance(node, c_ast.IdentifierType):
        return _named(node.names, types, text)
    if isinstance(node, c_ast.PtrDecl):
        if isinstance(node.type, c_ast.FuncDecl):
            function = _function("", node.type, types, text)
            return types.model.pointer(CType("function", 0, str(function), made_of=function))
        return types.model.pointer(_type(node.type, types, text))
    if isinstance(node, c_ast.ArrayDecl) and parameter:  # adjusted to a pointer
        return types.model.pointer(_type(node.type, types, text))
    if isinstance(node, c_ast.FuncDecl) and parameter:
        function = _function("", node, types, text)
        return types.model.pointer(CType("function", 0, str(function), made_of=function))
    if isinstance(node, c_ast.Enum | c_ast.Struct | c_ast.Union):
        name = f"{type(node).__name__.lower()} {node.name}"
        incomplete = types.model.types["int"] if isinstance(node, c_ast.Enum) else CType("record", 0, name)
        return types.find(name) or incomplete._replace(name=name)
    _refuse(text, "it uses a type that is not supported")


def _named(names: Sequence[str], types: Types, text: str) -> CType:
    """A type by its words in any order: ``long unsigned`` is ``unsigned long``."""
    words = [n for n in names if n not in ("const", "volatile")]
    if len(words) > 1 and all(word in ORDER for word in words):
        words = sorted((w for w in words if w != "signed" or "char" in words), key=ORDER.index)
    name = " ".join(words) or "int"
    name = SPELLINGS.get(name, name)
    found = types.find(name)
    if found is None:
        _refuse(text, f"`{name}` is not a known type")
    return found._replace(name=name)
