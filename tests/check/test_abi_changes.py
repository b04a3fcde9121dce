"""One change of each kind between the headers of extension and firmware, and a harmless one like it.

Oracle: the table; real compilers make both sides. ``@`` is the number of the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

import built
from llext_tools.diag import Diagnostic
from typed import disagreements, link

# ruff: noqa: E501

pytestmark = pytest.mark.toolchain


class Change(NamedTuple):
    """What both sides have; ``«extension|firmware»`` is what only one of them has.

    ``define`` defines the symbol ``f@``; the extension has its declaration and uses it by ``use``.
    """

    what: str
    types: str
    define: str
    use: str
    expected: str = ""  # a part of the message after "error[", "" for a harmless change
    only: str = ""  # where the compiler describes what it calls: the row needs a prototype


PROTOTYPE, LAYOUT = "abi-prototype]: ", "abi-layout]: "
POINTER = "int f@(struct s@ *s) { return s->a; }"

CHANGES = [
    # ---- prototypes
    Change("a parameter more", "", "int f@(int a«|, int b») { return a; }", "f@(1)", PROTOTYPE + "`f@` has 1 parameter in the extension, 2 in", "calls"),
    Change("a parameter less", "", "int f@(int a«, int b|») { return a; }", "f@(1«, 2|»)", PROTOTYPE + "`f@` has 2 parameters in the extension, 1 in", "calls"),
    Change("another name for a parameter", "", "int f@(int «a|b») { return «a|b»; }", "f@(1)"),
    Change("a wider parameter", "", "int f@(int a, «int|long long» b) { return a; }", "f@(1, 2)", PROTOTYPE + "parameter 2 `b` of `f@` is `int` in the extension, `long long", "calls"),
    Change("a typedef for a parameter", "typedef int number@;", "int f@(int a, «int|number@» b) { return a; }", "f@(1, 2)"),
    Change("a parameter without a sign", "", "int f@(int a, «int|unsigned» b) { return a; }", "f@(1, 2)", PROTOTYPE + "parameter 2 `b` of `f@` is `int` in the extension, `unsigned int` in", "calls"),
    Change("a constant parameter", "", "int f@(int a, «int *|const volatile int *restrict» b) { return a; }", "f@(1, 0)"),
    Change("a pointer where a number was", "", "int f@(«int|int *» a) { return 0; }", "f@(0)", PROTOTYPE + "parameter 1 `a` of `f@` is `int` in the extension, `int *` in", "calls"),
    Change("a pointer to anything", "struct s@ { int a; };", "int f@(«void *|struct s@ *» a) { return 0; }", "f@(0)"),
    Change("another number behind a pointer", "", "int f@(«short *|int *» a) { return 0; }", "f@(0)", PROTOTYPE + "parameter 1 `a` of `f@` is `short", "calls"),
    Change("an incomplete type behind a pointer", "struct s@ «|{ int a; }»;", "int f@(struct s@ *a) { return 0; }", "f@(0)"),
    Change("no result", "", "«int|void» f@(int a) { «return 0;|» }", "f@(0)", PROTOTYPE + "`f@` returns `int` in the extension, `void` in", "calls"),
    Change("a typedef for the result", "typedef int number@;", "«int|number@» f@(int a) { return 0; }", "f@(0)"),
    Change("a shorter result", "", "«int|short» f@(int a) { return 0; }", "f@(0)", PROTOTYPE + "`f@` returns `int` in the extension, `short", "calls"),
    Change("an enumeration for the result", "enum e@ { A@, WIDE@ = 0x10000 };", "«int|enum e@» f@(int a) { return 0; }", "f@(0)"),
    Change("any number of arguments", "", "int f@(int a«|, ...») { return 0; }", "f@(0)", PROTOTYPE + "`f@` takes a fixed number of arguments in the extension, any number in", "calls"),
    Change("any parameters at all", "", "int f@(«|int a, int b») { return 0; }", "f@(«|0, 0»)", "", "old"),
    Change("another callback", "", "int f@(int (*cb)(int«|, void *»)) { return 0; }", "f@(0)", PROTOTYPE + "parameter 1 `cb` of `f@` is `int (*)(int)` in the extension, `int (*)(int, void *)` in", "calls"),
    Change("a callback without a prototype", "", "int f@(int (*cb)(«|int, void *»)) { return 0; }", "f@(0)", "", "old"),
    Change("floating point of another width", "", "int f@(«float|double» a) { return 0; }", "f@(0)", PROTOTYPE + "parameter 1 `a` of `f@` is `float` in the extension, `double` in", "calls"),
    Change("a function that became a variable", "", "«int f@(int a) { return 0; }|int f@;»", "f@(0)", PROTOTYPE + "`f@` is a function in the extension, a variable in", "calls"),
    # ---- layouts
    Change("a member in between", "struct s@ { int a; «|int z;» int b; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 4 in the extension, at offset 8 in"),
    Change("a member of another name", "struct s@ { int a; int «y|z»; int b; };", POINTER, "f@(0)"),
    Change("a member less", "struct s@ { int a; «int z;|» int b; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 8 in the extension, at offset 4 in"),
    Change("two members swapped", "struct s@ { int a; «int b; int c;|int c; int b;» };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 4 in the extension, at offset 8 in"),
    Change("two declarations swapped", "«struct t@; struct s@ { int a; };|struct s@ { int a; }; struct t@;»", POINTER, "f@(0)"),
    Change("a member at the end", "struct s@ { int a; «|int b;» };", POINTER, "f@(0)", LAYOUT + "`struct s@` has 4 bytes in the extension, 8 bytes in"),
    Change("an alignment that changes nothing", "struct «|__attribute__((aligned(4)))» s@ { int a; };", POINTER, "f@(0)"),
    Change("a member in the padding", "struct s@ { char a; «|char b;» int c; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 1 in"),
    Change("a member out of the padding", "struct s@ { char a; «char b;|» int c; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 1 in the extension, not at all in"),
    Change("packed", "struct «|__attribute__((packed))» s@ { char a; int b; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at offset 4 in the extension, at offset 1 in"),
    Change("packed without effect", "struct «|__attribute__((packed))» s@ { int a; char b[4]; };", POINTER, "f@(0)"),
    Change("a member of another type", "struct s@ { int a; «int|unsigned» b; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `int b` in the extension, `unsigned int b` in"),
    Change("a longer array", "struct s@ { int a; char b[«4|8»]; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `char b[4]` in the extension, `char b[8]` in"),
    Change("a structure inside that grew", "struct t@ { int x; «|int y;» }; struct s@ { int a; struct t@ b; int c; };", POINTER, "f@(0)", LAYOUT + "`struct t@` has 4 bytes in the extension, 8 bytes in"),
    Change("a structure that moved into another", "struct t@ { int x; int y; }; struct s@ { int a; «struct t@ b;|struct { int x; int y; } b;» };", POINTER, "f@(0)"),
    Change("a structure behind pointers", "struct t@ { «int x; int y;|int y; int x;» }; struct s@ { int a; struct t@ *b; };", POINTER, "f@(0)", LAYOUT + "`struct t@` has `x` at offset 0 in the extension, at offset 4 in"),
    Change("a list", "struct s@ { int a; struct s@ *«next|following»; };", POINTER, "f@(0)"),
    Change("a wider bit-field", "struct s@ { int a; unsigned b : «3|4», c : 2; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `unsigned int b : 3` in the extension, `unsigned int b : 4` in"),
    Change("a bit-field that moved", "struct s@ { int a; unsigned «|z : 1,» b : 3; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `b` at bit 32 in the extension, at bit 33 in"),
    Change("a bit-field in place of reserved bits", "struct s@ { int a; unsigned b : 3, «reserved|used» : 5; };", POINTER, "f@(0)"),
    Change("a bit-field of another width of type", "struct s@ { int a; «unsigned char|unsigned short» b : 3; int c; };", POINTER, "f@(0)"),
    Change("a bit-field with a sign", "struct s@ { int a; «unsigned|int» b : 3; int c; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `unsigned int b : 3` in the extension, `int b : 3` in"),
    Change("another value of an enumerator", "enum e@ { A@, «|NEW@,» B@ };", "int f@(enum e@ *e) { return *e; }", "f@(0)", LAYOUT + "`enum e@` has `B@` as 1 in the extension, as 2 in"),
    Change("an enumerator at the end", "enum e@ { A@, B@«|, C@» };", "int f@(enum e@ *e) { return *e; }", "f@(0)"),
    Change("an enumeration of another size", "enum e@ { A@«|, B@ = 0x7fffffffff» };", "int f@(enum e@ *e) { return *e; }", "f@(0)", LAYOUT + "`enum e@` has"),
    Change("a number in place of an enumeration", "enum e@ { A@, B@ = 0x10000 }; struct s@ { int a; «enum e@|int» b; };", POINTER, "f@(0)"),
    Change("a union in place of a structure", "«struct|union» s@ { int a; int b; };", "int f@(«struct|union» s@ *s) { return s->a; }", "f@(0)", PROTOTYPE + "parameter 1 `s` of `f@` is `struct s@ *` in the extension, `union s@ *` in", "calls"),
    Change("a larger union", "union u@ { int a; «|char b[8];» };", "int f@(union u@ *u) { return u->a; }", "f@(0)", LAYOUT + "`union u@` has 4 bytes in the extension, 8 bytes in"),
    Change("one more view in a union", "union u@ { int a; «|char b[4];» };", "int f@(union u@ *u) { return u->a; }", "f@(0)"),
    Change("an anonymous union around a member", "struct s@ { int a; «int b;|union { int b; float z; };» int c; };", POINTER, "f@(0)"),
    Change("a member of an anonymous union", "struct s@ { int a; union { «int|unsigned» b; float z; }; };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `int b` in the extension, `unsigned int b` in"),
    Change("a typedef of a nameless structure", "typedef struct { int a; «|int z;» int b; } s@_t;", "int f@(s@_t *s) { return s->a; }", "f@(0)", LAYOUT + "`struct s@_t` has `b` at offset 4 in the extension, at offset 8 in"),
    Change("a tag for a nameless structure", "typedef struct «|s@» { int a; int b; } s@_t;", "int f@(s@_t *s) { return s->a; }", "f@(0)"),
    Change("a structure by value", "struct s@ { int a; «|int b;» };", "int f@(struct s@ s) { return s.a; }", "({ struct s@ s = {0}; f@(s); })", LAYOUT + "`struct s@` has 4 bytes in the extension, 8 bytes in"),
    Change("a flexible array", "struct s@ { int a; char b[«0|»]; };", POINTER, "f@(0)"),
    Change("another callback in a structure", "struct s@ { int a; void (*cb)(«int|long long»); };", POINTER, "f@(0)", LAYOUT + "`struct s@` has `void (*cb)(int)` in the extension, `void (*cb)(long long"),
    Change("a callback with a typedef", "typedef int number@; struct s@ { int a; void (*cb)(«int|number@»); };", POINTER, "f@(0)"),
    # ---- variables
    Change("a variable of another type", "", "«int|long long» f@;", "f@", LAYOUT + "`f@` is `int` in the extension, `long long", "objects"),
    Change("a constant variable", "", "«const int|int» f@;", "f@"),
    Change("a longer array", "", "int f@[«4|5»];", "f@[1]", LAYOUT + "`f@` is `int [4]` in the extension, `int [5]` in", "objects"),
    Change("an array of any length", "", "int f@[«|5»];", "f@[1]"),
    Change("a structure in a variable", "struct s@ { int a; «|int z;» int b; };", "struct s@ f@;", "f@.b", LAYOUT + "`struct s@` has `b` at offset 4 in the extension, at offset 8 in"),
]  # fmt: skip
"""Rows of one line: what both sides have is then to be seen at once."""


def side(text: str, number: int, firmware: bool) -> str:
    """The text of one side."""
    return re.sub("«(.*?)\\|(.*?)»", lambda m: m[2 if firmware else 1], text).replace("@", str(number))


def declaration(define: str) -> str:
    """Of a definition: ``int f(int a);``, ``extern int v;``."""
    head = define.partition(" { ")[0] if ") {" in define else f"extern {define.rstrip(';')}"
    return f"{head};"


def extension(rows: Iterable[tuple[int, Change]]) -> str:
    text, uses = "", ""
    for number, row in rows:
        text += f"{side(row.types, number, False)}\n{declaration(side(row.define, number, False))}\n"
        # Clang describes the types of variables, not those of what is only called
        for type_ in re.findall(r"((?:struct|union|enum)\s+\w+) \{|\} (\w+_t);", side(row.types, number, False)):
            text += f"{''.join(type_)} *kept_{number}_{''.join(type_).split()[-1]};\n"
        use = side(row.use, number, False)
        uses += f"    {use};\n" if "(" in use else f"    total += {use};\n"
    return f"{text}volatile int total;\nvoid start(void)\n{{\n{uses}}}\n"


def firmware(rows: Iterable[tuple[int, Change]]) -> str:
    return "".join(
        f"{side(row.types, number, True)}\n{side(row.define, number, True)}\nEXPORT(f{number});\n"
        for number, row in rows
    )


def about(found: Iterable[Diagnostic], number: int) -> list[str]:
    """What is said of a row, as one line each."""
    texts = [f"{d.code}]: {d.message} / {' / '.join((*d.detail, *d.notes))}" for d in found]
    return [text for text in texts if re.search(rf"\bf{number}\b", text)]


BOTH = [
    # the extension's, the firmware's
    (("cortex-m4", "gcc"), ("cortex-m4", "gcc"), ()),
    (("cortex-m4", "zig"), ("cortex-m4", "gcc"), ("calls", "objects")),
    (("rv32imac", "gcc"), ("rv32imac", "zig"), ()),
    (("rv64gc", "zig"), ("rv64gc", "gcc"), ("objects",)),
]
FLAGS = [("-Os", "-gdwarf-5"), ("-O2", "-gdwarf-4")]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("both", BOTH, ids=lambda both: f"{both[0][0]}-{both[0][1]}-{both[1][1]}")
def test_changes(
    both: tuple[tuple[str, str], tuple[str, str], tuple[str, ...]], flags: tuple[str, ...], tmp_path: Path
) -> None:
    mine, theirs, missing = both
    rows = [(i, row) for i, row in enumerate(CHANGES) if not row.only or row.only not in missing]
    ours = built.find(*mine)
    fw = link(built.find(*theirs), tmp_path, firmware(rows), flags=(*flags, "-std=gnu11", "-w"))
    ext = ours.merge(tmp_path, ours.compile(tmp_path, extension(rows), *flags, "-std=gnu11", "-w"))
    found = disagreements(ext, fw)
    wrong = []
    for number, row in rows:
        said = about(found, number)
        expected = row.expected.replace("@", str(number))
        if len(said) != bool(expected) or (expected and not said[0].startswith(expected)):
            wrong.append((row.what, expected, said))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(found) == sum(bool(row.expected) for _, row in rows)


def test_every_kind_has_a_twin() -> None:
    kinds = {row.expected.partition("]")[0] for row in CHANGES}
    assert kinds == {"", "abi-prototype", "abi-layout"}
    assert sum(not row.expected for row in CHANGES) >= 24
    assert sum(bool(row.expected) for row in CHANGES) >= 30
