"""Names of C++ as its source has them, by LLVM's demangler: ``_ZN6sensor4readEi`` is ``sensor::read(int)``.

Source: Itanium C++ ABI, section 5.1 "External Names (a.k.a. Mangling)".
"""

from __future__ import annotations

import re

from pycxxfilt import itanium_demangle

OPEN, CLOSE = "(<[{", ")>]}"


def demangle(name: str) -> str:
    """What a mangled name stands for, ``""`` if it is not one."""
    if not name.startswith("_Z"):
        return ""
    try:
        return itanium_demangle(name) or ""
    except ValueError:
        return ""


def without_parameters(demangled: str) -> str:
    """``sensor::read(int) const`` -> ``sensor::read``; the result that templates show in front stays.

    The last group of brackets is the list of parameters, if only qualifiers follow it.
    """
    start, depth, group, end = 0, 0, 0, 0
    operator = OPERATOR.search(demangled)
    while start < len(demangled):
        if operator and start == operator.start():
            start = operator.end()
            continue
        letter = demangled[start]
        if letter in OPEN:
            if letter == "(" and depth == 0:
                group = start
            depth += 1
        elif letter in CLOSE:
            depth -= 1
            end = start + 1
        start += 1
    return demangled[:group] if group and QUALIFIERS.fullmatch(demangled[end:]) else demangled


OPERATOR = re.compile(r"\boperator(\(\)|\[\]|<=>|<<=|>>=|->\*|->|<<|>>|<=|>=|<|>|(?=\W))(?!.*\boperator\W)")
"""The last one, with those brackets that are part of its name."""
QUALIFIERS = re.compile(r"( const| volatile| &+| \[[^]]*\]| \(\..*\))*")
