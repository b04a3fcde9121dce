"""C prototypes as text: ``double half(double)``, ``int compare(const void *a, const void *b)``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from pycparser import c_ast, c_parser

from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.diag import fail

WORD = re.compile(r"[A-Za-z_]\w*")
ORDER = ("unsigned", "signed", "char", "short", "long", "int", "double", "float", "_Bool", "void")
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


@cache
def parse_prototype(text: str, model: DataModel) -> Prototype:
    """The prototype in ``text``, with or without parameter names and semicolon.

    Raises:
        UsageError: ``prototype-syntax``.
    """
    known = {"va_list", "bool", *model.types}
    names = [n for n in dict.fromkeys(WORD.findall(text)) if n in known and n not in ORDER]
    prelude = "".join(f"typedef int {name};" for name in names)
    try:
        tree = c_parser.CParser().parse(f"{prelude}\n{text.strip().rstrip(';')};", "prototype")
        return _declared(tree, model, text)
    except RecursionError:
        _refuse(text, "it is nested too deeply")
    except (c_parser.ParseError, AssertionError, ValueError, IndexError, AttributeError) as error:
        unknown = [n for n in WORD.findall(text)[:-1] if n.endswith("_t") and n not in known]
        if unknown:
            _refuse(text, f"`{unknown[0]}` is not a known type")
        _refuse(text, "it is not C: " + re.sub(r"^prototype:\d+:\d+: ", "", str(error)).strip())


def _declared(tree: c_ast.FileAST, model: DataModel, text: str) -> Prototype:
    declaration = tree.ext[-1] if tree.ext else None
    if not isinstance(declaration, c_ast.Decl) or not isinstance(declaration.type, c_ast.FuncDecl):
        _refuse(text, "it does not declare a function")
    return _function(declaration.name or "", declaration.type, model, text)


def _refuse(text: str, why: str) -> NoReturn:
    fail(
        "prototype-syntax",
        f"the prototype `{text.strip()}` cannot be used: {why}",
        help="write it as C does, with C's own types: `double half(double)`, `int add(int, int)`",
    )


def _function(name: str, node: c_ast.FuncDecl, model: DataModel, text: str) -> Prototype:
    params: list[CType] = []
    variadic = False
    for param in node.args.params if node.args else ():
        if isinstance(param, c_ast.EllipsisParam):
            variadic = True
            continue
        if isinstance(param, c_ast.ID):
            _refuse(text, f"`{param.name}` has no type")
        ctype = _type(param.type, model, text, parameter=True)
        if ctype.is_void and len(node.args.params) == 1:
            break
        if ctype.is_void:
            _refuse(text, "a parameter cannot be void")
        params.append(ctype)
    return Prototype(name, _type(node.type, model, text), tuple(params), variadic)


def _type(node: c_ast.Node, model: DataModel, text: str, *, parameter: bool = False) -> CType:
    if isinstance(node, c_ast.TypeDecl | c_ast.Typename):
        qualifier = "const " if "const" in node.quals else ""
        inner = _type(node.type, model, text)
        return inner._replace(name=qualifier + inner.name) if qualifier else inner
    if isinstance(node, c_ast.IdentifierType):
        return _named(node.names, model, text)
    if isinstance(node, c_ast.PtrDecl):
        if isinstance(node.type, c_ast.FuncDecl):
            function = _function("", node.type, model, text)
            params = ", ".join(p.name for p in function.params) or "void"
            return CType("pointer", model.word, f"{function.result.name} (*)({params})", model.types["void"])
        return model.pointer(_type(node.type, model, text))
    if isinstance(node, c_ast.ArrayDecl) and parameter:  # adjusted to a pointer
        return model.pointer(_type(node.type, model, text))
    if isinstance(node, c_ast.FuncDecl) and parameter:
        return CType("pointer", model.word, "void *", model.types["void"])
    if isinstance(node, c_ast.Enum):
        return model.types["int"]._replace(name=f"enum {node.name}")
    if isinstance(node, c_ast.Struct | c_ast.Union):
        return CType("record", 0, f"{type(node).__name__.lower()} {node.name}")
    _refuse(text, "it uses a type that is not supported")


def _named(names: Sequence[str], model: DataModel, text: str) -> CType:
    """A type by its words in any order: ``long unsigned`` is ``unsigned long``."""
    words = [n for n in names if n not in ("const", "volatile")]
    if len(words) > 1 and all(word in ORDER for word in words):
        words = sorted((w for w in words if w != "signed" or "char" in words), key=ORDER.index)
    name = " ".join(words) or "int"
    name = SPELLINGS.get(name, name)
    found = model.types.get(name)
    if found is None:
        _refuse(text, f"`{name}` is not a known type")
    return found._replace(name=name)
