"""Whether a bundle is what was packed: every byte is compared with what the index asks for, and all causes are told.

The index vouches for the other files, a signature for the index. Nothing here trusts a key: ``signed_by()`` says whose
signature holds, and the caller knows whom it wants to hear.
"""

from __future__ import annotations

from typing import NamedTuple

from llext_tools.artifact import difference
from llext_tools.bundle import INDEX, SIGNATURE, container, cut_off
from llext_tools.bundle.index import Index, parse
from llext_tools.diag import Location, Reporter

AGAIN = "get it again from where it was packed"


class Bundle(NamedTuple):
    """A bundle as it was found.

    ``members``: all its files by name, in their order; ``signature``: b"" if it has none; ``damaged``: the archive
    cannot be read to its end, so that files may have been there that are not among them.
    """

    path: str
    contents: Index
    members: dict[str, bytes]
    damaged: bool = False

    @property
    def signature(self) -> bytes:
        return self.members.get(SIGNATURE, b"")

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        return self.members[INDEX]


def check(path: str, data: bytes, reporter: Reporter) -> Bundle | None:
    """The bundle in the bytes of a file; None where not even its index can be read.

    What is not as the index wants it is reported: the bundle then must not be used.
    """
    at = Location(file=path)
    head = container.first(data)
    if isinstance(head, str):
        cure = AGAIN if cut_off(data) else "`llext pack` makes bundles"
        reporter.error("bundle-malformed", f"this is no bundle: {head}", at=at, help=cure)
        return None
    if head.name != INDEX:
        if head.fault:
            reporter.error("bundle-changed", f"`{INDEX}` was changed: {head.fault}", at=at, help=AGAIN)
        else:
            text = f"this is no bundle: its first file is `{head.name}`, not `{INDEX}`"
            reporter.error("bundle-malformed", text, at=at, help=AGAIN)
        return None
    try:
        index = parse(head.data)
    except ValueError as error:
        why = head.fault or error
        reporter.error("bundle-malformed", f"`{INDEX}` is no index: {why}", at=at, help=AGAIN)
        return None
    expected = [(INDEX, len(head.data)), *((name, file.size) for name, file in index.files.items())]
    contents = container.read(data, expected, index.time)
    bundle = Bundle(path, index, {}, damaged=bool(contents.faults))
    _compare(bundle, contents, [name for name, _ in expected], reporter, at)
    if not reporter.failed and container.write(bundle.members, index.time) != data:
        reporter.error("bundle-malformed", "it is not written as `llext pack` writes it", at=at, help=AGAIN)
    return bundle


def _compare(
    bundle: Bundle, contents: container.Contents, expected: list[str], reporter: Reporter, at: Location
) -> None:
    """Put the files into the bundle's ``members`` and report what the index does not want."""
    wanted, order = bundle.contents.files, [*expected, SIGNATURE]
    for member in contents.members:
        name = member.name
        if name not in order:
            shown = f"`{name}`" if name else "a file without a name"
            reporter.error("bundle-added", f"{shown} is in the bundle, but not in its index", at=at, help=AGAIN)
        elif name in bundle.members:
            reporter.error("bundle-added", f"`{name}` is in the bundle more than once", at=at, help=AGAIN)
        else:
            bundle.members[name] = member.data
            change = difference(member.data, *wanted[name]) if name in wanted else ""
            if reason := member.fault or (change and f"it {change}"):
                reporter.error("bundle-changed", f"`{name}` was changed: {reason}", at=at, help=AGAIN)
    damaged = bool(contents.faults)
    for name in wanted:
        if name not in bundle.members:
            reporter.error("bundle-missing", f"`{name}` is in the index, but not in the bundle", at=at, help=AGAIN)
            damaged = True
    for name in [] if damaged else _misplaced(list(bundle.members), order):
        reporter.error("bundle-changed", f"`{name}` was changed: it is not at its place", at=at, help=AGAIN)
    for byte, fault in contents.faults:
        where = at._replace(offset=byte)
        reporter.error("bundle-malformed", f"the archive is damaged: {fault}", at=where, help=AGAIN)


def _misplaced(present: list[str], order: list[str]) -> list[str]:
    """The files that are not where they should be: one alone if the others would be in order without it."""
    ordered = [name for name in order if name in present]
    moved = [name for name, other in zip(present, ordered, strict=True) if name != other]
    alone = [each for each in moved if _without(each, present) == _without(each, ordered)]
    return alone or moved


def _without(name: str, names: list[str]) -> list[str]:
    return [each for each in names if each != name]
