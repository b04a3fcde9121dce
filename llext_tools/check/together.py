"""Rules about extensions that one firmware loads together: names, dependencies and their order.

An undefined symbol that the firmware does not export is looked up in the extensions that are loaded already, in the
order of loading. Who is found gets a use count for it.

Files of one call may be for different boards. Only those of one machine are compared, and files of one name are taken
for one extension that was built several times, unless they are said to be loaded together.
Source: Zephyr, ``subsys/llext/llext_link.c``, ``llext_lookup_symbol()``, and ``llext.c``, ``llext_by_name()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from llext_tools.check.exported import names, offered
from llext_tools.check.subject import Subject
from llext_tools.diag import Diagnostic, Location, listed
from llext_tools.elf.model import ElfObject
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import Export, ExportTable
from llext_tools.llext.ext import MAX_DEPENDENCIES, MAX_NAME_LEN, extension_name

SOMEWHERE = 0x2000_0000
"""The address of what another extension exports; nothing may depend on it."""


class Beside(NamedTuple):
    """What the extensions of one call offer each other: name -> the files that export it, in their order.

    ``exports`` is the firmware's table with those names at its end; None if nobody knows the firmware.
    """

    offers: Mapping[str, tuple[str, ...]]
    exports: ExportTable | None

    def borrowed(self, found: Iterable[str], firmware: Firmware | None) -> tuple[str, ...]:
        """Those of ``found`` that the firmware does not export, but another file does."""
        return tuple(n for n in found if n in self.offers and not (firmware and firmware.exports.find(n)))


class Member(NamedTuple):
    """One extension as far as the others matter to it."""

    path: str
    name: str
    kind: tuple[int, int]  # machine and bits
    offers: tuple[str, ...]
    needs: tuple[str, ...]  # names that it does not find in the firmware, but in other files
    before: bool = False  # it is loaded before the others, and not checked itself

    @property
    def at(self) -> Location:
        return Location(file=self.path)


SetRule: TypeAlias = Callable[[Sequence[Member], bool], Iterable[Diagnostic]]
"""A rule about several extensions of one machine. True: they are loaded together, in this order."""


def beside(objects: Iterable[ElfObject], firmware: Firmware | None) -> dict[tuple[int, int], Beside]:
    """For each kind of machine: what its extensions offer each other."""
    offers: dict[tuple[int, int], dict[str, tuple[str, ...]]] = {}
    for obj in objects:
        table = offers.setdefault((obj.machine, obj.bits), {})
        for name in names(offered(obj)):
            table[name] = (*table.get(name, ()), obj.path)
    return {kind: Beside(table, _joined(table, firmware)) for kind, table in offers.items()}


def _joined(offers: Iterable[str], firmware: Firmware | None) -> ExportTable | None:
    if firmware is None:
        return None
    table = firmware.exports
    return replace(table, symbols=(*table.symbols, *(Export(name, SOMEWHERE) for name in offers)))


def member(subject: Subject) -> Member:
    """What the rules about several extensions need to know of one."""
    obj = subject.obj
    return Member(obj.path, extension_name(obj.path), (obj.machine, obj.bits), names(subject.offers), subject.borrowed)


def loaded_before(obj: ElfObject) -> Member:
    """One that is loaded before those that are checked: what it offers matters, and its name."""
    kind = (obj.machine, obj.bits)
    return Member(obj.path, extension_name(obj.path), kind, names(offered(obj)), (), before=True)


def check_together(members: Iterable[Member], *, in_order: bool = False) -> Iterator[Diagnostic]:
    """What is wrong between extensions, each of which is fine by itself.

    ``in_order``: one firmware loads all of them, in this order.
    """
    kinds: dict[tuple[int, int], list[Member]] = {}
    for each in members:
        kinds.setdefault(each.kind, []).append(each)
    for alike in kinds.values():
        for rule in RULES:
            yield from rule(alike, in_order)


def name_collision(members: Sequence[Member], in_order: bool) -> Iterator[Diagnostic]:
    """``name-collision``: llext_load() takes a name that it knows for an extension that is loaded already."""
    first: dict[str, Member] = {}
    for each in members:
        other = first.setdefault(each.name[:MAX_NAME_LEN], each)
        if other is each or each.before or (other.name == each.name and not (in_order or other.before)):
            continue
        same = "has the name" if other.name == each.name else f"is the same in its first {MAX_NAME_LEN} characters as"
        yield Diagnostic(
            "name-collision",
            f"`{each.name}` {same} " + ("of another file" if other.name == each.name else f"`{other.name}`"),
            location=each.at,
            notes=(
                f"the other one is {other.path}",
                "on the board, llext_load() returns the one that is loaded already, with its use count",
            ),
            help=f"give the files names that differ in their first {MAX_NAME_LEN} characters",
        )


def ambiguous(members: Sequence[Member], in_order: bool) -> Iterator[Diagnostic]:
    """``export-ambiguous``: a symbol that an extension imports is exported by several others."""
    del in_order
    for name, users in _users(members).items():
        providers = {each.name: each for each in members if name in each.offers}
        for user in users:
            others = [each for each in providers.values() if each.name != user.name]
            if len(others) > 1:
                yield Diagnostic(
                    "export-ambiguous",
                    f"`{name}` is exported by {listed(each.name for each in others)}",
                    severity="warning",
                    location=user.at,
                    notes=("the loader takes that of the extension that was loaded first",),
                    help="export it from one of them only",
                )
                break


def dependencies(members: Sequence[Member], in_order: bool) -> Iterator[Diagnostic]:
    """``dependency-cycle``, ``dependency-order`` and ``dependency-many``."""
    needs = _edges(members)
    cycle = _cycle(needs)
    if cycle:
        why = [f"`{a}` needs `{needs[a][b]}` of `{b}`" for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True)]
        text = "itself" if len(cycle) == 1 else "each other"
        yield Diagnostic(
            "dependency-cycle",
            f"{listed(cycle)} need{'s' if len(cycle) == 1 else ''} {text}: no order of loading works",
            location=next(each.at for each in members if each.name == cycle[0]),
            detail=tuple(why),
            help="put what they share into a third extension or into the firmware, or link them into one",
            returned="ENODATA",
        )
    order = {each.name: i for i, each in reversed(list(enumerate(members)))}
    for user in members:
        wanted = needs.get(user.name, {})
        late = [name for name in wanted if order[name] > order[user.name]]
        if late and in_order and user.name not in cycle:
            yield Diagnostic(
                "dependency-order",
                f"`{user.name}` needs `{wanted[late[0]]}` of `{late[0]}`, which is loaded after it",
                location=user.at,
                notes=tuple(f"and `{wanted[name]}` of `{name}`" for name in late[1:]),
                help=f"load {listed(late)} first",
            )
        if len(wanted) > MAX_DEPENDENCIES:
            beyond = list(wanted)[MAX_DEPENDENCIES:]
            yield Diagnostic(
                "dependency-many",
                f"`{user.name}` needs {len(wanted)} other extensions: the loader keeps track of {MAX_DEPENDENCIES}",
                severity="warning",
                location=user.at,
                notes=(f"{listed(beyond)} can be unloaded while `{user.name}` uses what is in there",),
                help="put what it needs into fewer extensions, or never unload them",
            )


def _users(members: Sequence[Member]) -> dict[str, list[Member]]:
    """Who needs a name from another extension."""
    users: dict[str, list[Member]] = {}
    for each in members:
        for name in each.needs:
            users.setdefault(name, []).append(each)
    return users


def _edges(members: Sequence[Member]) -> dict[str, dict[str, str]]:
    """Extension -> those that it needs, each with the first symbol; of several that offer it the first one counts.

    Who is the only one to offer what it needs itself depends on itself. What is offered by a file that does not load
    is nobody's: that file has an error of its own.
    """
    providers: dict[str, list[str]] = {}
    for each in members:
        for name in each.offers:
            providers.setdefault(name, []).append(each.name)
    edges: dict[str, dict[str, str]] = {}
    for each in members:
        for name in each.needs:
            known = providers.get(name, ())
            for provider in [*(p for p in known if p != each.name), *known][:1]:
                edges.setdefault(each.name, {}).setdefault(provider, name)
    return edges


def _cycle(edges: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Names of a circle, in the order of their needs, if there is one."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        trail = [iter((start,))]
        while trail:
            name = next(trail[-1], None)
            if name is None:
                trail.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                return path[path.index(name) :]
            elif name not in done:
                path.append(name)
                trail.append(iter(edges.get(name, ())))
    return []


RULES: tuple[SetRule, ...] = (name_collision, ambiguous, dependencies)
