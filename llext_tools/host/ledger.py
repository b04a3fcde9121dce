"""The ledger of an API: what a firmware offers to extensions, as people have reviewed it, a line for each symbol.

    version = "1.5.0"      of the API that is recorded here
    released = "1.4.0"     when it was released last, "" if it never was

    [api]
    # comments stay where they are
    sensor_open = { status = "ok", prototype = "int sensor_open(void)", type = "fn() -> i32", hash = "..." }
    sensor_read = { status = "?", change = "changed", was = "...", prototype = ... }

    [types."struct sensor"]   the layouts that the symbols reach, as ``abi.text`` has them

``status`` belongs to people: an update writes "?" where something is to be reviewed, "removed" where something is no
longer exported, and leaves alone what somebody wrote instead. ``change`` tells what happened to a symbol since the
release, and ``was`` is the hash that it had then: from these follows the number that the version needs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from llext_tools import quote
from llext_tools.abi.notation import notation, prototype
from llext_tools.abi.text import (
    Entry,
    closure,
    read_layout,
    read_signature,
    signature_entry,
    type_hash,
    types_entry,
)
from llext_tools.abi.types import Interface, Layout, Member, Signature
from llext_tools.diag import Diagnostic, Location, Reporter, fail, listed
from llext_tools.host.firmware import Firmware

Change = Literal["", "added", "changed", "removed"]
NEW, GONE, REVIEWED = "?", "removed", "ok"
UNREVIEWED = (NEW, GONE)
FIRST = "1.0.0"
VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}")
KEYS = ("status", "change", "was", "prototype", "type", "spelled", "hash")
LEVELS: Mapping[Change, int] = {"": 3, "added": 1, "changed": 0, "removed": 0}
"""Which number of the version a change raises: 0 is the major one."""

HEADER = """\
# The API for extensions. `llext api update` writes it, `llext api check` compares the firmware with it.
# Review the lines of status "?" or "removed", and write "ok", or whatever you want to say, in its place.
"""
TYPES = "# The layouts that these reach: written anew by each update."


class Line(NamedTuple):
    """One symbol. ``entry`` has its prototype and type."""

    status: str
    entry: Entry
    hash: str = ""
    change: Change = ""
    was: str = ""
    comments: tuple[str, ...] = ()  # the lines above it
    remark: str = ""  # behind it
    number: int | None = None  # of the line in its file

    @property
    def unreviewed(self) -> bool:
        return self.status in UNREVIEWED

    @property
    def is_bare(self) -> bool:
        """Whether nothing is recorded but the name."""
        return not self.hash and "type" not in self.entry

    @property
    def there(self) -> bool:
        """Whether the ledger expects the firmware to export it."""
        return self.change != "removed"


class Ledger(NamedTuple):
    path: str
    version: str
    released: str
    lines: Mapping[str, Line]
    types: Mapping[str, Layout]
    head: tuple[str, ...] = tuple(HEADER.splitlines())  # comments at the top
    tail: tuple[str, ...] = ()  # and at the end of the list

    @property
    def interface(self) -> Interface:
        symbols = {name: s for name, line in self.lines.items() if (s := _signature(name, line.entry))}
        return Interface(symbols, self.types)


class Difference(NamedTuple):
    """Between a ledger and a firmware, or between a ledger and its release. ``lines`` say more of it."""

    name: str
    change: Change
    lines: tuple[str, ...] = ()


class Api(NamedTuple):
    """What a firmware offers: an entry and a hash for each symbol, ``""`` where nothing is known but the name."""

    entries: Mapping[str, tuple[Entry, str]]
    interface: Interface


def api_of(firmware: Firmware) -> Api:
    whole = firmware.interface(firmware.exports.by_name)
    entries = {}
    for name, export in firmware.exports.by_name.items():
        signature = whole.symbols.get(name)
        entry = signature_entry(name, signature) if signature else {"prototype": export.prototype}
        known = type_hash(name, whole) if signature else firmware.hash_of(name)
        entries[name] = {key: value for key, value in entry.items() if value}, known
    return Api(entries, whole)


# ---- comparing


def differences(ledger: Ledger, api: Api) -> list[Difference]:
    """What the firmware has other than the ledger says, by name."""
    recorded = ledger.interface
    found = []
    for name in sorted({*ledger.lines, *api.entries}):
        line, now = ledger.lines.get(name), api.entries.get(name)
        if line is None or (not line.there and now is not None):
            found.append(Difference(name, "added"))
        elif now is None:
            found += [Difference(name, "removed")] if line.there else []
        elif lines := _changed(name, line, now, recorded, api.interface):
            found.append(Difference(name, "changed", lines))
    return found


def untyped(ledger: Ledger, api: Api) -> list[str]:
    """The symbols that have a type in the ledger, but none in the firmware: whether they changed, nobody can tell."""
    there = {name: line for name, line in ledger.lines.items() if line.there and name in api.entries}
    return [name for name, line in there.items() if line.hash and not api.entries[name][1]]


def new_types(ledger: Ledger, api: Api) -> list[str]:
    """The symbols that have a type in the firmware, but only a name in the ledger."""
    there = {name: line for name, line in ledger.lines.items() if line.there and name in api.entries}
    return [name for name, line in there.items() if line.is_bare and api.entries[name][1]]


def check_types(ledger: Ledger, api: Api) -> Iterator[Diagnostic]:
    """``api-untyped``: one diagnostic for all."""
    names = untyped(ledger, api)
    if names:
        have = "has a recorded type" if len(names) == 1 else "have recorded types"
        yield Diagnostic(
            "api-untyped",
            f"{listed(names)} {have}, but the firmware tells none",
            location=Location(file=ledger.path, line=ledger.lines[names[0]].number),
            help="build the firmware with `-g`; or delete a line from the ledger for `llext api update` to list its "
            "name alone",
        )


def _changed(name: str, line: Line, now: tuple[Entry, str], recorded: Interface, current: Interface) -> tuple[str, ...]:
    """In what a symbol differs, nothing if it does not: a type that only became complete is no difference."""
    entry, meant = now
    if not line.hash or not meant or line.hash == meant:
        return ()
    if name in recorded.symbols and name in current.symbols:
        return describe(name, recorded, current)
    before, after = (f"{e.get('prototype', name)} ({h})" for e, h in ((line.entry, line.hash), (entry, meant)))
    return (f"ledger:   {before}", f"firmware: {after}")


def describe(name: str, before: Interface, after: Interface) -> tuple[str, ...]:
    """The differences of one symbol in words."""
    old, new = closure(before, [name]), closure(after, [name])
    lines = []
    if notation(old.symbols[name]) != notation(new.symbols[name]):
        lines += [f"was: {prototype(name, old.symbols[name])}", f"is:  {prototype(name, new.symbols[name])}"]
    for tag, was in old.types.items():
        if (now := new.types.get(tag)) and now != was:
            lines += _described(tag, was, now)
    return tuple(lines)


def _described(tag: str, was: Layout, now: Layout) -> list[str]:
    """The size, and the first of the members that differ."""
    lines = [f"`{tag}` has {now.size:,} bytes, not {was.size:,}"] if was.size != now.size else []
    old, new = ({m.name: m._replace(spelling="") for m in layout.members} for layout in (was, now))
    changed = [member for member in old if member in new and old[member] != new[member]]
    for words, names in (("no longer has", [*old.keys() - new.keys()]), ("has the new", [*new.keys() - old.keys()])):
        lines += [f"`{tag}` {words} {listed(sorted(names))}"] if names else []
    if changed:
        shown = {m.name: _member(m, was) for m in was.members}, {m.name: _member(m, now) for m in now.members}
        others = len(changed) - 1
        more = f"; so do{'es' * (others == 1)} {others} more" if others else ""
        lines.append(f"`{tag}` differs in `{changed[0]}`: {shown[1][changed[0]]}, not {shown[0][changed[0]]}{more}")
    return lines


def _member(member: Member, layout: Layout) -> str:
    if layout.kind == "enum":
        return str(member.offset)
    place = f"bit {member.offset}" if member.bits else f"offset {member.offset}"
    width = f" of {member.bits} bits" if member.bits else ""
    return f"`{member.spelling or member.type}`{width} at {place}"


def since_release(ledger: Ledger, found: Iterable[Difference]) -> dict[str, Change]:
    """What happened to each symbol since the release: by the ledger, and by what the firmware has in addition."""
    changes: dict[str, Change] = {name: line.change for name, line in ledger.lines.items() if line.change}
    for difference in found:
        line = ledger.lines.get(difference.name)
        if difference.change == "removed" and line and line.change == "added":
            del changes[difference.name]
        elif line is not None and line.change == "removed":
            changes[difference.name] = "changed"  # it is back; an update finds out whether it is as it was
        elif not (line and line.change == "added"):
            changes[difference.name] = difference.change
    return changes


def needed_version(ledger: Ledger, changes: Mapping[str, Change]) -> str:
    """The lowest version that the changes since the release allow; "" if none was released."""
    if not ledger.released:
        return ""
    level = min((LEVELS[change] for change in changes.values()), default=3)
    numbers = [*_numbers(ledger.released)]
    if level < 3:
        numbers[level] += 1
        numbers[level + 1 :] = [0] * (2 - level)
    return ".".join(map(str, numbers))


def is_below(version: str, needed: str) -> bool:
    return bool(needed) and _numbers(version) < _numbers(needed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def check_ledger(ledger: Ledger, found: Sequence[Difference], typed: Sequence[str] = ()) -> Iterator[Diagnostic]:
    """``api-unreviewed``, ``api-removed``, ``api-changed`` and ``api-version``; ``typed``: from ``new_types()``."""
    file = Location(file=ledger.path)
    update = "`llext api update` records it: review the line that it writes"
    waiting = [name for name, line in ledger.lines.items() if line.unreviewed]
    if waiting:
        yield Diagnostic(
            "api-unreviewed",
            f"{listed(waiting)} {'is' if len(waiting) == 1 else 'are'} not reviewed",
            location=file._replace(line=ledger.lines[waiting[0]].number),
            help=f'write "{REVIEWED}" where the status is "{NEW}" or "{GONE}"',
        )
    new = [each.name for each in found if each.change == "added"]
    if new:
        are = "is exported, but" if len(new) == 1 else "are exported, but"
        yield Diagnostic("api-unreviewed", f"{listed(new)} {are} not in the ledger", location=file, help=update)
    if typed:
        have = "has a type that is" if len(typed) == 1 else "have types that are"
        at = file._replace(line=ledger.lines[typed[0]].number)
        yield Diagnostic("api-unreviewed", f"{listed(typed)} {have} not in the ledger", location=at, help=update)
    for name, change, lines in found:
        if change == "added":
            continue
        at = file._replace(line=ledger.lines[name].number)
        if change == "removed":
            text = f"`{name}` is no longer exported"
            yield Diagnostic("api-removed", text, location=at, help=f"export it again; or {update}")
        else:
            text = f"`{name}` is not what the ledger says"
            yield Diagnostic("api-changed", text, location=at, detail=lines, help=f"undo the change; or {update}")
    changes = since_release(ledger, found)
    needed = needed_version(ledger, changes)
    if is_below(ledger.version, needed):
        groups = {change: [n for n, c in changes.items() if c == change] for change in ("removed", "changed", "added")}
        yield Diagnostic(
            "api-version",
            f"the changes since {ledger.released} need version {needed}, the ledger says {ledger.version}",
            location=file,
            detail=tuple(f"{change}: {listed(names)}" for change, names in groups.items() if names),
            help=f'write `version = "{needed}"`',
        )


# ---- updating


def update(ledger: Ledger | None, api: Api, path: str) -> Ledger:
    """The ledger of what the firmware offers now. What people wrote stays, unless it is of something that changed."""
    ledger = ledger or Ledger(path, FIRST, "", {}, {})
    found = {difference.name: difference for difference in differences(ledger, api)}
    lines: dict[str, Line] = {}
    for name in sorted({*ledger.lines, *api.entries}):
        line = _updated(ledger, name, api.entries.get(name), found.get(name))
        if line:
            lines[name] = line
    kept = Interface({name: s for name, line in lines.items() if (s := _signature(name, line.entry))}, {})
    types = {**ledger.types, **api.interface.types}
    return ledger._replace(lines=lines, types=closure(kept._replace(types=types), kept.symbols).types)


def _updated(ledger: Ledger, name: str, now: tuple[Entry, str] | None, found: Difference | None) -> Line | None:
    line = ledger.lines.get(name)
    if line is None:
        assert now is not None
        return Line(NEW, *now, "added" if ledger.released else "")
    if now is None:
        if not line.there:
            return line
        if line.change == "added" or not ledger.released:
            return None
        return line._replace(status=GONE, change="removed", was=line.was or line.hash)
    entry, meant = now
    if found is None:
        if not meant:
            return line if line.hash else line._replace(entry=entry or line.entry)
        return line._replace(status=NEW if line.is_bare else line.status, entry=entry, hash=meant)
    change: Change = "changed" if ledger.released else ""
    was = line.was or line.hash
    if line.change == "added":
        change, was = "added", ""
    elif meant == was or not ledger.released:
        change, was = "", ""
    return line._replace(status=NEW, entry=entry, hash=meant, change=change, was=was)


def accepted(ledger: Ledger) -> Ledger:
    """With all that is new taken for reviewed."""
    lines = {n: line._replace(status=REVIEWED) if line.unreviewed else line for n, line in ledger.lines.items()}
    return ledger._replace(lines=lines)


def released(ledger: Ledger) -> Ledger:
    """With what is recorded as the release."""
    lines = {n: line._replace(change="", was="") for n, line in ledger.lines.items() if line.there}
    return ledger._replace(lines=lines, released=ledger.version)


# ---- text


def write_ledger(ledger: Ledger) -> str:
    out = [*ledger.head, f"version = {quote.toml(ledger.version)}", f"released = {quote.toml(ledger.released)}"]
    out += ["", "[api]"]
    for name, line in sorted(ledger.lines.items()):
        values = {"status": line.status, "change": line.change, "was": line.was, **line.entry, "hash": line.hash}
        pairs = [f"{key} = {quote.toml(values[key])}" for key in KEYS if values.get(key) or key == "status"]
        out += [*line.comments, f"{quote.toml_key(name)} = {{ {', '.join(pairs)} }}{line.remark}"]
    out += ledger.tail
    types = types_entry(ledger.types)
    out += ["", TYPES] if types else []
    for tag, entry in sorted(types.items()):
        members = [f"    {quote.toml(member)}," for member in entry["members"]]
        out += ["", f"[types.{quote.toml(tag)}]", f"size = {entry['size']}", "members = [", *members, "]"]
    return "\n".join(out) + "\n"


_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""")
_SECTION = re.compile(r"\s*\[")


def read_ledger(text: str, path: str) -> Ledger:
    """The ledger in a text.

    Raises:
        ApiError: ``api-syntax``.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+).*\)$", str(error))
        message = str(error)[: place.start() if place else None]
        where = Location(file=path, line=int(place[1]) if place else None)
        fail("api-syntax", f"not TOML: {message[:1].lower()}{message[1:]}", at=where)
    except (RecursionError, ValueError):
        fail("api-syntax", "not TOML: nested too deeply, or a number too long", at=Location(file=path))
    reporter, at = Reporter(), Location(file=path)
    version, release = (document.get(key, "") for key in ("version", "released"))
    for key, value in (("version", version), ("released", release)):
        none = key == "released" and value == ""
        if not none and (not isinstance(value, str) or not VERSION.fullmatch(value)):
            reporter.error("api-syntax", f'expected {key} = "1.0.0", found `{_shown(value)}`', at=at)
    table, types = document.get("api"), document.get("types", {})
    if not isinstance(table, dict) or not isinstance(types, dict):
        fail("api-syntax", "expected a table `[api]`", at=at)
    head, comments, remarks, numbers, tail = _written(text, table)
    lines = {}
    for name, value in table.items():
        where = at._replace(line=numbers.get(name))
        if line := _line(name, value, reporter, where):
            lines[name] = line._replace(
                comments=comments.get(name, ()), remark=remarks.get(name, ""), number=numbers.get(name)
            )
    layouts = {}
    for tag, entry in types.items():
        try:
            layouts[tag] = read_layout(tag, entry)
        except ValueError as error:
            where = at._replace(line=_line_of(text, f"[types.{quote.toml(tag)}]"))
            reporter.error("api-syntax", f"`{_shown(tag)}`: {error}", at=where)
    reporter.checkpoint()
    return Ledger(path, version, release, lines, layouts, head, tail)


def _written(
    text: str, table: Mapping[str, Any]
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], dict[str, str], dict[str, int], tuple[str, ...]]:
    """What the parser does not tell: comments at the top, above and behind each symbol, its line, comments below."""
    head: list[str] = []
    comments: dict[str, tuple[str, ...]] = {}
    remarks: dict[str, str] = {}
    numbers: dict[str, int] = {}
    waiting: list[str] = []
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if _SECTION.match(line) and section != "end":
            section = {"": "api"}.get(section, "end") if line.strip().startswith("[api]") else "end"
        elif section == "" and line.lstrip().startswith("#"):
            head.append(line)
        elif section == "api" and (found := _KEY.match(line)):
            name = str(next(iter(tomllib.loads(f"{found[1]} = 0"))))
            numbers[name], comments[name], waiting = number, tuple(waiting), []
            remarks[name] = _remark(line[found.end() :], table.get(name))
        elif section == "api":
            waiting.append(line)
    tail = [line for line in waiting if line.strip() not in ("", TYPES)]
    return tuple(head), comments, remarks, numbers, tuple(tail)


def _remark(rest: str, value: object) -> str:
    """What stands behind a value on its line: the value ends at the first brace where it is what was read."""
    for end in (i + 1 for i, c in enumerate(rest) if c == "}"):
        if not rest[end:].strip() or "#" in rest[end:]:
            try:
                if tomllib.loads(f"v = {rest[:end]}")["v"] == value:
                    return rest[end:].rstrip()
            except tomllib.TOMLDecodeError:
                pass
    return ""


def _line(name: str, value: object, reporter: Reporter, at: Location) -> Line | None:
    if not isinstance(value, dict):
        reporter.error("api-syntax", f'expected `{name} = {{ status = "ok" }}`, found `{_shown(value)}`', at=at)
        return None
    wrong = next((key for key in value if key not in KEYS), None)
    mistyped = next((key for key in KEYS if key != "spelled" and not isinstance(value.get(key, ""), str)), None)
    if wrong or mistyped or value.get("change", "") not in LEVELS:
        what = f"an unknown key `{wrong}`" if wrong else f"a wrong `{mistyped or 'change'}`"
        reporter.error("api-syntax", f"`{name}` has {what}", at=at, help=f"the keys are {', '.join(KEYS)}")
        return None
    entry = {key: value[key] for key in ("prototype", "type", "spelled") if key in value}
    if "type" in entry:
        try:
            read_signature(name, entry)
        except ValueError as error:
            reporter.error("api-syntax", f"the type of `{name}`: {error}", at=at)
            return None
    given = {key: value.get(key, "") for key in ("status", "hash", "change", "was")}
    return Line(given["status"] or NEW, entry, given["hash"], given["change"], given["was"])


def _signature(name: str, entry: Entry) -> Signature | None:
    return read_signature(name, entry) if "type" in entry else None


def _line_of(text: str, line: str) -> int | None:
    return next((n for n, found in enumerate(text.split("\n"), 1) if found.strip() == line), None)


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
