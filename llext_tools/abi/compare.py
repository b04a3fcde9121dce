"""Two interfaces of one symbol, compared: what the extension took it for, and what the firmware has.

Both sides come from compilers that spell types in their own ways, so only what reaches memory or registers counts.
``void *`` agrees with each pointer, a type that one side does not know with each type, an enumeration with an integer
of its size, an array of unknown length with each length. A tag is a name and no more: types under other tags agree if
their layouts do.

Types are compared in pairs, each pair once, and a pair has at most one difference: the first one. What follows from a
difference inside a member is not a difference of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from llext_tools.abi.notation import Array, Function, Pointer, Type, declared, is_tag, member_text, parse, plain
from llext_tools.abi.types import Interface, Layout, Member, Signature

What = Literal["kind", "variable", "count", "variadic", "result", "parameter",
               "offset", "type", "bits", "missing", "added", "size", "value", "sort"]  # fmt: skip
DEEPEST = 40  # anonymous members in each other


class Side(NamedTuple):
    """How one side has what differs; ``offset`` is in bits for a bit-field, a value for an enumerator."""

    type: str = ""
    spelling: str = ""
    offset: int | None = None
    size: int | None = None  # of the whole type
    only: tuple[str, ...] = ()  # members that the other side lacks: "`int unit` at offset 8"


class Difference(NamedTuple):
    """One difference, as seen from one import.

    ``tag`` is the type that differs, "" if it is the symbol itself. ``member`` is in it, or is a parameter.
    """

    what: What
    name: str
    extension: Side
    firmware: Side
    tag: str = ""
    member: str = ""
    number: int = 0  # of the parameter, from 1
    more: int = 0  # members that differ as well
    root: str = ""  # by what the import reaches it: "parameter 1", "its result"
    path: str = ""  # and from there: "s->range"
    by_value: bool = True

    @property
    def cause(self) -> tuple[object, ...]:
        """Equal for all imports for which it is the same difference."""
        return (self.what, self.tag or self.name, self.member, self.number, self.extension, self.firmware)


class _Own(NamedTuple):
    """What differs in a pair of types itself, not in those that it reaches."""

    what: What
    member: str
    extension: Side
    firmware: Side
    more: int = 0


class _Edge(NamedTuple):
    """A pair that another one, or a signature, reaches."""

    ours: str
    theirs: str
    by_value: bool
    step: str  # "range", "table[]"; "" right from a signature
    pointer: bool  # whether the step ends at a pointer


class _Pair(NamedTuple):
    own: _Own | None
    edges: tuple[_Edge, ...]


UNKNOWN = _Pair(None, ())


def compare(name: str, extension: Interface, firmware: Interface) -> tuple[Difference, ...]:
    """All differences that a symbol has, its own before those of the types that it reaches."""
    return Comparison(extension, firmware).differences(name)


class Comparison:
    """Two interfaces; what is found out about a pair of types is kept for the next symbol."""

    def __init__(self, extension: Interface, firmware: Interface) -> None:
        self._ours, self._theirs = extension, firmware
        self._pairs: dict[tuple[str, str], _Pair] = {}

    def differences(self, name: str) -> tuple[Difference, ...]:
        """Those of one symbol; none if a side does not know it."""
        ours, theirs = self._ours.symbols.get(name), self._theirs.symbols.get(name)
        if ours is None or theirs is None:
            return ()
        found = list[Difference]()
        roots = list[tuple[str, str, _Edge]]()
        if (ours.params is None) != (theirs.params is None):
            return (Difference("kind", name, _side(ours), _side(theirs)),)
        if ours.params is None or theirs.params is None:
            edges = self._agree(ours.result, theirs.result)
            if edges is None:
                found.append(Difference("variable", name, _side(ours), _side(theirs)))
            roots += [("", name, edge) for edge in edges or ()]
        else:
            for difference, root, path, edges in self._functions(name, ours, theirs):
                found += [difference] if difference else []
                roots += [(root, path, edge) for edge in edges]
        return (*found, *self._reached(name, roots))

    def _functions(
        self, name: str, ours: Signature, theirs: Signature
    ) -> Iterator[tuple[Difference | None, str, str, tuple[_Edge, ...]]]:
        """The first difference of two prototypes, and pairs of types under what they have in common."""
        assert ours.params is not None
        assert theirs.params is not None
        first: Difference | None = None
        edges = self._agree(ours.result, theirs.result)
        if edges is None:
            first = Difference("result", name, _side(ours), _side(theirs))
        yield first, "its result", "", edges or ()
        if _any(ours) or _any(theirs):
            return  # ``int f()``: nobody knows the parameters
        if len(ours.params) != len(theirs.params) or ours.variadic != theirs.variadic:
            what: What = "count" if len(ours.params) != len(theirs.params) else "variadic"
            counts = Side(offset=len(ours.params)), Side(offset=len(theirs.params))
            if not first:
                yield Difference(what, name, *counts), "", "", ()
            return
        for number, (our, their) in enumerate(zip(ours.params, theirs.params, strict=True), 1):
            edges, label = self._agree(our.type, their.type), our.name or their.name
            if edges is None and not first:
                sides = Side(our.type, our.spelling), Side(their.type, their.spelling)
                first = Difference("parameter", name, *sides, member=label, number=number)
                yield first, "", "", ()
            yield None, f"parameter {number}", label, edges or ()

    def _reached(self, name: str, roots: list[tuple[str, str, _Edge]]) -> Iterator[Difference]:
        """Pairs that differ, nearest first; what is reached by value comes before what only pointers lead to."""
        waiting = [deque(r for r in roots if r[2].by_value), deque(r for r in roots if not r[2].by_value)]
        seen = set[tuple[str, str]]()
        while any(waiting):
            root, path, edge = (waiting[0] or waiting[1]).popleft()
            if (edge.ours, edge.theirs) in seen:
                continue
            seen.add((edge.ours, edge.theirs))
            pair = self._pair(edge.ours, edge.theirs)
            if own := pair.own:
                sides = own.extension, own.firmware
                yield Difference(
                    own.what, name, *sides, plain(edge.ours), own.member, 0, own.more, root, path, edge.by_value
                )
            for each in pair.edges:
                by_value = edge.by_value and each.by_value
                further = f"{path}{'->' if edge.pointer else '.'}{each.step}" if path else each.step
                waiting[not by_value].append((root, further, each._replace(by_value=by_value)))

    # ---- types

    def _agree(self, ours: str, theirs: str, step: str = "") -> tuple[_Edge, ...] | None:
        """Pairs of tags that must agree for two types to agree; None if they do not agree anyway."""
        try:
            edges: list[_Edge] = []
            return (
                tuple(edges)
                if self._same(parse(ours), parse(theirs), _Edge("", "", True, step, False), edges)
                else None
            )
        except (ValueError, RecursionError):
            return ()  # not in the notation: whoever wrote that knows more than we do

    def _same(self, ours: Type, theirs: Type, at: _Edge, edges: list[_Edge]) -> bool:
        match ours, theirs:
            case Pointer(our), Pointer(their):
                return "void" in (our, their) or self._same(
                    our, their, at._replace(by_value=False, pointer=True), edges
                )
            case Array(our, n), Array(their, m):
                within = at._replace(step=f"{at.step}[]" if at.step else "")
                return (not n or not m or n == m) and self._same(our, their, within, edges)
            case Function(), Function():
                return self._same_functions(ours, theirs, at, edges)
            case str(), str():
                return self._same_leaves(ours, theirs, at, edges)
        return False

    def _same_functions(self, ours: Function, theirs: Function, at: _Edge, edges: list[_Edge]) -> bool:
        within = at._replace(step=f"{at.step}()" if at.step else "", by_value=True, pointer=False)
        if not self._same(ours.result, theirs.result, within, edges):
            return False
        if any(f.variadic and not f.params for f in (ours, theirs)):
            return True
        if len(ours.params) != len(theirs.params) or ours.variadic != theirs.variadic:
            return False
        return all(self._same(a, b, within, edges) for a, b in zip(ours.params, theirs.params, strict=True))

    def _same_leaves(self, ours: str, theirs: str, at: _Edge, edges: list[_Edge]) -> bool:
        a, b = self._layouts(ours, theirs)
        if is_tag(ours) and is_tag(theirs):
            named = _bare(ours) != _bare(theirs) and "." not in f"{ours}{theirs}"
            if named and a and b and self._pair(ours, theirs).own:
                return False  # another type, not another version of one
            edges.append(at._replace(ours=ours, theirs=theirs))
            return True
        if ours.startswith("enum ") or theirs.startswith("enum "):
            number, layout = (theirs, a) if is_tag(ours) else (ours, b)
            return number[:1] in ("i", "u") and (layout is None or number[1:] == str(8 * layout.size))
        return ours == theirs

    def _layouts(self, ours: str, theirs: str) -> tuple[Layout | None, Layout | None]:
        mine, others = self._ours.types, self._theirs.types
        return mine.get(ours, mine.get(plain(ours))), others.get(theirs, others.get(plain(theirs)))

    def _pair(self, ours: str, theirs: str) -> _Pair:
        key = (ours, theirs)
        if key not in self._pairs:
            self._pairs[key] = UNKNOWN  # a type that contains itself agrees as far as we are
            a, b = self._layouts(ours, theirs)
            if a and b:
                self._pairs[key] = self._layout(a, b)
        return self._pairs[key]

    def _layout(self, a: Layout, b: Layout) -> _Pair:
        if a.kind != b.kind:
            return _Pair(_Own("sort", "", Side(a.kind, size=a.size), Side(b.kind, size=b.size)), ())
        if a.kind == "enum":
            return _Pair(_enumerations(a, b), ())
        ours, theirs = list(_flat(a, self._ours.types)), list(_flat(b, self._theirs.types))
        pairs, only_ours, only_theirs = self._paired(ours, theirs)
        edges, found, moved = list[_Edge](), list[tuple[What, Member, Member]](), False
        for m, n in pairs:
            reached = self._agree(m.type, n.type, m.name) if not m.bits or not n.bits else _same_field(m, n)
            moved |= a.kind == "struct" and _size(m.type, self._ours.types) != _size(n.type, self._theirs.types)
            if reached is None:
                found.append(("type", m, n))
            elif m.bits != n.bits:
                found.append(("bits", m, n))
            elif _bit(m) != _bit(n) and not moved:
                found.append(("offset", m, n))
            edges += reached or ()
        mine = Side(size=a.size, only=tuple(map(_placed, only_ours)))
        others = Side(size=b.size, only=tuple(map(_placed, only_theirs)))
        return _Pair(_first(found, mine, others, only_ours, only_theirs, moved), tuple(edges))

    def _paired(
        self, ours: list[Member], theirs: list[Member]
    ) -> tuple[list[tuple[Member, Member]], list[Member], list[Member]]:
        """Members that belong together, by name, else by place and type; and those that only one side has."""
        by_name = {member.name: member for member in theirs if member.name}
        pairs = [(m, by_name[m.name]) for m in ours if m.name in by_name]
        taken, known = {m.name for m, _ in pairs}, {id(n) for _, n in pairs}
        rest, others = [m for m in ours if m.name not in taken], [n for n in theirs if id(n) not in known]
        alone = list[Member]()
        for m in rest:
            here = (
                n for n in others if (_bit(n), n.bits) == (_bit(m), m.bits) and self._agree(m.type, n.type) is not None
            )
            if (twin := next(here, None)) is not None:
                others.remove(twin)
                pairs.append((m, twin))
            else:
                alone.append(m)
        pairs.sort(key=lambda pair: _bit(pair[0]))
        ours_alone = [m for m in alone if not _one_of_several(m, ours, self._ours.types)]
        return pairs, ours_alone, [n for n in others if not _one_of_several(n, theirs, self._theirs.types)]


def _first(
    found: list[tuple[What, Member, Member]],
    mine: Side,
    others: Side,
    only_ours: list[Member],
    only_theirs: list[Member],
    moved: bool,
) -> _Own | None:
    """The difference that stands for all of a pair of records."""
    if found:
        what, m, n = found[0]
        return _Own(what, m.name or n.name, _with(mine, m), _with(others, n), len(found) - 1)
    if mine.size != others.size and not moved:
        return _Own("size", "", mine, others)
    for what, alone in (("missing", only_ours), ("added", only_theirs)):
        if alone and not moved:
            side = Side(alone[0].type, member_text(alone[0]), alone[0].offset, mine.size)
            return _Own("missing" if what == "missing" else "added", alone[0].name, side, side, len(alone) - 1)
    return None


def _with(side: Side, member: Member) -> Side:
    return side._replace(type=member.type, spelling=member_text(member), offset=member.offset)


def _same_field(a: Member, b: Member) -> tuple[_Edge, ...] | None:
    """Of a bit-field's type only the sign counts; where its bits are is compared by itself."""
    same = a.type[:1] == b.type[:1] or "enum " in (a.type[:5], b.type[:5])
    return () if same else None


def _enumerations(a: Layout, b: Layout) -> _Own | None:
    """Enumerators that both have must be equal; that one side has more of them is fine."""
    if a.size != b.size:
        return _Own("size", "", Side(size=a.size), Side(size=b.size))
    values = {member.name: member.offset for member in b.members}
    found = [m for m in a.members if values.get(m.name, m.offset) != m.offset]
    if not found:
        return None
    first = found[0]
    return _Own("value", first.name, Side(offset=first.offset), Side(offset=values[first.name]), len(found) - 1)


def _flat(layout: Layout, types: Mapping[str, Layout], base: int = 0, depth: int = 0) -> Iterator[Member]:
    """The members with those of anonymous members in their place, as C sees them."""
    for member in layout.members:
        inner = types.get(member.type) if not member.name and not member.bits else None
        if inner is not None and inner.kind != "enum" and depth < DEEPEST:
            yield from _flat(inner, types, base + member.offset, depth + 1)
        else:
            yield member._replace(offset=member.offset + (8 * base if member.bits else base))


def _one_of_several(member: Member, members: list[Member], types: Mapping[str, Layout]) -> bool:
    """Whether others share a member's bytes: it is one view of a union, of which there may be more or fewer."""
    start, end = _bits(member, types)
    return any(
        other is not member and _bits(other, types)[0] < end and start < _bits(other, types)[1] for other in members
    )


def _bits(member: Member, types: Mapping[str, Layout]) -> tuple[int, int]:
    start = _bit(member)
    return start, start + (member.bits or 8 * (_size(member.type, types) or 1))


def _bit(member: Member) -> int:
    return member.offset if member.bits else 8 * member.offset


def _size(text: str, types: Mapping[str, Layout]) -> int | None:
    """Bytes of a type, None if nobody knows, as of pointers."""
    count = 1
    while text.startswith("["):
        length, _, text = text[1:].partition("]")
        count *= int(length or 0)
    if text in types:
        return count * types[text].size
    return count * int(text[1:]) // 8 if text[:1] in "iufb" and text[1:].isdecimal() else None


def _placed(member: Member) -> str:
    return f"`{member_text(member)}` at {'bit' if member.bits else 'offset'} {member.offset}"


def _bare(tag: str) -> str:
    """Without a template's arguments, which compilers spell differently and linkage names contain anyway."""
    return plain(tag).partition("<")[0]


def _side(signature: Signature) -> Side:
    return Side(signature.result, declared(signature.spelling, ""))


def _any(signature: Signature) -> bool:
    return signature.variadic and not signature.params
