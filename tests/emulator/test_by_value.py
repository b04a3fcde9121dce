"""Structures and unions by value, as arguments and results, in both directions.

Oracle: the compilers. Functions compare what they get with constants that were compiled into them, and return others;
shapes are the corner cases of the ABI documents and random ones. The types come from debug information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import pytest

from emulator.compiled import CHAINS
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.abi.c import Known
from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.c.view import value_of
from llext_tools.host import builtin
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.passing import Registers, VaList
from llext_tools.link.exports import ExportTable
from llext_tools.run import Setup, load
from llext_tools.run.session import Session

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

TARGETS = ("cortex-m3", "cortex-m7", "rv32imac", "rv32imafc", "rv64gc")

SCALARS: dict[str, tuple[Any, ...]] = {
    "char": (97, 255),
    "signed char": (-128, 5),
    "bool": (True, False),
    "short": (-32768, 77),
    "unsigned short": (65535, 3),
    "int": (-2147483647, 123456789),
    "unsigned int": (4294967295, 0x8000_0001),
    "long": (-7, 0x7FFF_FFFF),
    "long long": (-0x1122_3344_5566_7788, 9),
    "unsigned long long": (0xFEDC_BA98_7654_3210, 1),
    "float": (-1.5, 3.25),
    "double": (0.125, -2.75e100),
    "long double": (1.75, -3.5),
    "void *": (0x1234_5678, 0),
    "enum color": (0, 200),
}
"""With values that all of them hold exactly."""


class Member(NamedTuple):
    """A member: of ``length`` elements if that is not 0, of ``bits`` bits if that is not 0."""

    type: str | Shape
    length: int = 0
    bits: int = 0


class Shape(NamedTuple):
    members: tuple[Member, ...]
    keyword: str = "struct"
    packed: bool = False


def struct(*members: str | Shape | Member, keyword: str = "struct", packed: bool = False) -> Shape:
    return Shape(tuple(m if isinstance(m, Member) else Member(m) for m in members), keyword, packed)


def union(*members: str | Shape | Member) -> Shape:
    return struct(*members, keyword="union")


EMPTY, F, D = struct(), struct("float"), struct("double")
CORNERS = (
    *(EMPTY, F, D, struct("int"), struct("char"), struct("long long"), struct("void *"), struct("long double")),
    # aapcs32: homogeneous aggregates have one to four floats of one kind, in whatever structures and arrays
    *(struct(*["float"] * n) for n in (2, 3, 4, 5)),
    *(struct(*["double"] * n) for n in (2, 3, 4, 5)),
    *(struct("float", "double"), struct(Member("float", 3)), struct(F, Member(F, 2)), struct(D, "double", D)),
    *(
        union("float", Member("float", 3)),
        union("float", "int"),
        union("double", "float"),
        union(F, "float"),
        union("double"),
    ),
    *(union("double"), struct(union("float", F), "float"), struct(union("double", "long long"), "int")),
    # RISC-V: one or two scalars with a float among them, if each has a register
    *(struct("float", "int"), struct("int", "float"), struct("char", "double"), struct("double", "short")),
    *(struct("float", "long long"), struct("long long", "double"), struct("float", "void *"), struct("bool", F)),
    *(struct("float", Member("char", 1)), struct("float", Member("char", 2)), struct(D, struct("signed char"))),
    *(
        struct("float", "int", "float"),
        struct(EMPTY, "float"),
        struct("float", EMPTY, "int"),
        struct("enum color", "float"),
    ),
    *(struct("float", Member("int", bits=5)), struct(Member("unsigned int", bits=20), "float")),
    *(struct("double", Member("int", bits=3), Member("int", bits=4)), struct("float", Member("long long", bits=40))),
    *(struct(Member("int", bits=3), Member("int", bits=9)), struct(Member("unsigned int", bits=1))),
    *(struct("char", Member("short", bits=11)), struct("float", "long double"), struct("enum color", "float")),
    # sizes around the words; alignment to two words; packed ones whose layout tells that they are
    *(struct(Member("char", n)) for n in (2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 33)),
    *(struct("short", "char"), struct("int", "long long"), struct("long long", "char"), struct(Member("int", 3))),
    *(struct("int", "int"), struct(Member("long", 2)), struct(Member("long", 5)), struct("char", "long double")),
    *(
        struct("char", "int", packed=True),
        struct("short", "double", packed=True),
        struct("long long", "char", packed=True),
    ),
    struct(struct("int", D), Member(struct("char", "short"), 2), union("long long", Member("short", 5))),
)


def random_shape(pick: Random, depth: int = 0) -> Shape:
    members = []
    for _ in range(pick.choice((1, 2, 2, 3, 4))):
        kind: str | Shape = pick.choice(("float", "double", "int", *SCALARS))
        if depth < 2 and pick.random() < 0.2:
            kind = random_shape(pick, depth + 1)
        bits = pick.randint(1, 8) if kind in ("int", "unsigned int", "short") and pick.random() < 0.3 else 0
        members.append(Member(kind, pick.randint(1, 3) if pick.random() < 0.15 and not bits else 0, bits))
    return Shape(tuple(members), pick.choice(("struct",) * 5 + ("union",)))


def random_value(pick: Random, member: Member | Shape) -> Any:
    """What a member, or all of a structure, holds: of a union only one member."""
    if isinstance(member, Shape):
        names = range(len(member.members))
        chosen = [pick.choice(names)] if member.keyword == "union" else names
        return {f"m{i}": random_value(pick, member.members[i]) for i in chosen}
    if member.length:
        return [random_value(pick, member._replace(length=0)) for _ in range(member.length)]
    if isinstance(member.type, Shape):
        return random_value(pick, member.type)
    if member.bits:
        signed = not member.type.startswith("unsigned")
        low = -1 << (member.bits - 1) if signed else 0
        return pick.randint(low, low + (1 << member.bits) - 1)
    return pick.choice(SCALARS[member.type])


class Signature(NamedTuple):
    """A function's types and the values that it gets and returns."""

    result: str | Shape
    params: tuple[str | Shape, ...]
    given: Any
    values: tuple[Any, ...]


def signatures() -> Iterator[Signature]:
    """Each shape alone, behind what leaves little room for it, and in random company."""
    pick = Random(5)
    shapes = [*CORNERS, *(random_shape(pick) for _ in range(25))]
    numbers = ["int", "long long", "float", "double", "char", "long double"]
    lists: list[tuple[str | Shape, tuple[str | Shape, ...]]] = []
    for shape in shapes:
        lists.append((shape, (shape,)))
        front: list[str | Shape] = [
            pick.choice(["int", "int", "float", "long long"]) for _ in range(pick.choice((1, 2, 3, 5, 7)))
        ]
        lists.append((pick.choice(numbers), (*front, shape, pick.choice(numbers))))
    for _ in range(60):
        lists.append(
            (pick.choice([*numbers, *shapes]), tuple(pick.choices([*shapes, *numbers * 5], k=pick.randint(2, 9))))
        )
    reals: list[str | Shape] = [
        F,
        D,
        struct("float", "int"),
        struct("float", "float"),
        struct("double", "char"),
        "float",
        "double",
    ]
    for _ in range(20):  # more than there are registers for
        lists.append(("int", tuple(pick.choices(reals, k=pick.randint(9, 14)))))
    for result, types in lists:
        yield Signature(result, types, of(pick, result), tuple(of(pick, each) for each in types))


def of(pick: Random, type: str | Shape) -> Any:
    return random_value(pick, Member(type))


INT, DOUBLE = CType("int", 4, "int"), CType("float", 8, "double")
ALL = tuple(signatures())
VARIADIC = tuple((each, of(Random(i), each)) for i, each in enumerate(CORNERS) if each != EMPTY)
"""What stands between an int and a double in the arguments of a variadic function."""


# ---- as C


def tag(shape: Shape, tags: dict[Shape, str], lines: list[str]) -> str:
    if shape not in tags:
        members = []
        for i, member in enumerate(shape.members):
            name = member.type if isinstance(member.type, str) else tag(member.type, tags, lines)
            array, bits = f"[{member.length}]" if member.length else "", f" : {member.bits}" if member.bits else ""
            members.append(f"{name} m{i}{array}{bits};")
        tags[shape] = f"{shape.keyword} s{len(tags)}"
        lines.append(f"{tags[shape]} {{ {' '.join(members)} }}{' __attribute__((packed))' * shape.packed};")
    return tags[shape]


def literal(type: str | Shape | Member, value: Any) -> str:
    """An initialiser."""
    if isinstance(value, dict):
        shape = type.type if isinstance(type, Member) else type
        assert isinstance(shape, Shape)
        return "{" + ", ".join(f".{n} = {literal(shape.members[int(n[1:])], v)}" for n, v in value.items()) + "}"
    if isinstance(value, list):
        assert isinstance(type, Member)
        return "{" + ", ".join(literal(type._replace(length=0), v) for v in value) + "}"
    name = type.type if isinstance(type, Member) else type
    suffix = {"float": "f", "long double": "L", "long long": "ll", "unsigned long long": "ull", "unsigned int": "u"}
    text = str(value).lower() + suffix.get(str(name), "")
    return f"(void *){value:#x}" if name == "void *" else f"({name})({text})"


def differences(place: str, type: str | Shape | Member, value: Any) -> Iterator[str]:
    """Conditions that a place does not hold a value."""
    if isinstance(value, dict):
        shape = type.type if isinstance(type, Member) else type
        assert isinstance(shape, Shape)
        for name, each in value.items():
            yield from differences(f"{place}.{name}", shape.members[int(name[1:])], each)
    elif isinstance(value, list):
        assert isinstance(type, Member)
        for i, each in enumerate(value):
            yield from differences(f"{place}[{i}]", type._replace(length=0), each)
    else:
        yield f"{place} != {literal(type, value)}"


THROUGH = """\
void many(int n, ...);
void listed(int n, va_list list);
static void through(int n, ...) { va_list list; va_start(list, n); listed(n, list); va_end(list); }
"""


def source() -> str:
    tags: dict[Shape, str] = {}
    lines: list[str] = []
    body = ["int wrong;", "int mistake(void) { return wrong; } EXPORT_SYMBOL(mistake);"]

    def named(type: str | Shape) -> str:
        return type if isinstance(type, str) else tag(type, tags, lines)

    def constant(type: str | Shape, value: Any) -> str:
        return f"({named(type)}){literal(type, value)}" if isinstance(value, dict) else literal(type, value)

    for i, (result, params, given, values) in enumerate(ALL):
        declared = ", ".join(f"{named(each)} p{n}" for n, each in enumerate(params))
        tests = "".join(
            f"if ({condition}) wrong = {n + 1};"
            for n, (each, value) in enumerate(zip(params, values, strict=True))
            for condition in differences(f"p{n}", each, value)
        )
        passed = ", ".join(constant(each, value) for each, value in zip(params, values, strict=True))
        checks = " || ".join(differences("r", result, given)) or "0"
        body += [
            f"{named(result)} take{i}({declared}) {{ wrong = 0; {tests} return {constant(result, given)}; }}",
            f"EXPORT_SYMBOL(take{i});",
            f"{named(result)} host{i}({declared});",
            f"int send{i}(void) {{ {named(result)} r = host{i}({passed}); return {checks}; }}",
            f"EXPORT_SYMBOL(send{i});",
        ]
    for i, (shape, value) in enumerate(VARIADIC):
        tests = " || ".join(differences("p", shape, value))
        rest = f"7, {constant(shape, value)}, 1.5"
        body += [
            (
                f"int rest{i}(int n, ...) {{ va_list list; va_start(list, n); int a = va_arg(list, int);"
                f" {named(shape)} p = va_arg(list, {named(shape)}); double b = va_arg(list, double); va_end(list);"
                f" return a != 7 || b != 1.5 || {tests}; }} EXPORT_SYMBOL(rest{i});"
            ),
            f"void pass{i}(void) {{ many({i}, {rest}); through({i}, {rest}); }} EXPORT_SYMBOL(pass{i});",
        ]
    return "\n".join(["#include <stdarg.h>", "enum color { RED, GREEN = 200 };", *lines, THROUGH, *body])


SOURCE = source()


# ---- as Python


def agrees(found: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return all(agrees(found[name], each) for name, each in value.items())
    if isinstance(value, list):
        return len(found) == len(value) and all(map(agrees, found, value))
    return bool(found == value)


class Host:
    """The functions that the extension calls: each compares its arguments and returns what it should."""

    def __init__(self, prototypes: list[Prototype], shapes: list[CType]) -> None:
        self.wrong: list[tuple[int, Any]] = []
        self.rest: list[tuple[int, Any]] = []
        self.shapes = shapes
        self.functions = {
            f"host{i}": HostFunction(f"host{i}", prototype, self.body(i)) for i, prototype in enumerate(prototypes)
        }
        self.functions["many"] = HostFunction("many", "void many(int, ...)", self.many)
        self.functions["listed"] = HostFunction("listed", "void listed(int, va_list)", self.listed)

    def body(self, i: int) -> Callable[..., Any]:
        def compare(_guest: Guest, *values: Any) -> Any:
            pairs = zip(values, ALL[i].values, strict=True)
            self.wrong += [(i, found) for found, value in pairs if not agrees(found, value)]
            return ALL[i].given

        return compare

    def many(self, guest: Guest, i: int, rest: Registers | VaList) -> None:
        found = [value_of(t, rest.next(t), guest.memory) for t in (INT, self.shapes[i], DOUBLE)]
        if not (found[0] == 7 and agrees(found[1], VARIADIC[i][1]) and found[2] == 1.5):
            self.rest.append((i, found))

    def listed(self, guest: Guest, i: int, address: int) -> None:
        self.many(guest, i, VaList(guest, address))


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_structures_arrive_as_they_were(target: str, chain: str, build: Build) -> None:
    cpu = arch.target(target)
    architecture = arch.load(cpu.arch)
    obj = build(SOURCE, target, chain, "-O0", "-w")
    known = Known(obj, DataModel(cpu.bits, architecture.callconv.long_double))
    prototypes = [known.prototype(f"take{i}") for i in range(len(ALL))]
    assert None not in prototypes
    rest = [known.prototype(f"take{ALL.index(next(s for s in ALL if s.result == shape))}") for shape, _ in VARIADIC]
    host = Host([each for each in prototypes if each is not None], [each.result for each in rest if each is not None])
    own = {name: 0x0800_8000 + 8 * i + architecture.thumb for i, name in enumerate(host.functions)}
    exports = ExportTable.joined([ExportTable.of(own), builtin.exports(architecture)])
    images = load([obj], cpu, exports=exports)
    addresses = {each.name: each.address for each in images[0].exp_tab.symbols}
    number = Prototype("", INT, ())
    wrong = []
    with Session(images, Setup(cpu, exports, overrides=host.functions)) as session:
        for i in range(len(ALL)):
            types = prototypes[i]
            assert isinstance(types, Prototype)
            result = session.guest.call(addresses[f"take{i}"], types, types.params, ALL[i].values)
            mistake = session.guest.call(addresses["mistake"], number, (), ())
            if mistake:
                wrong.append(f"parameter {mistake} of {types}")
            if not agrees(result, ALL[i].given):
                wrong.append(f"result of {types}: {result}, expected {ALL[i].given}")
            if session.guest.call(addresses[f"send{i}"], number, (), ()):
                wrong.append(f"result given to the extension by {types}")
        variadic = Prototype("", INT, (INT,), variadic=True)
        for i, (shape, (_, value)) in enumerate(zip(host.shapes, VARIADIC, strict=True)):
            if session.guest.call(addresses[f"rest{i}"], variadic, (INT, INT, shape, DOUBLE), (0, 7, value, 1.5)):
                wrong.append(f"{shape.name} behind `...`")
            session.guest.call(addresses[f"pass{i}"], number, (), ())
    wrong += [f"{host.shapes[i].name} behind `...` that the host got: {found}" for i, found in host.rest]
    wrong += [f"argument that the host got from {prototypes[i]}: {found!r}" for i, found in host.wrong]
    assert not wrong, "\n".join(wrong[:40])
