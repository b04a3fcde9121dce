"""A fault with all that can be told of it: its source line, a backtrace, where a bad address comes from."""

from __future__ import annotations

from llext_tools.diag import Diagnostic, Location
from llext_tools.elf.lines import find_line
from llext_tools.elf.model import ElfObject
from llext_tools.host.areas import Firmware, Linked
from llext_tools.host.places import Places
from llext_tools.unwind.frames import Frame, lines
from llext_tools.unwind.origin import origins
from llext_tools.unwind.walk import unwinder


def explained(guest: Places, fault: Diagnostic) -> tuple[Diagnostic, tuple[Frame, ...]]:
    """What ended the last call, told in full; to be asked for before anything else runs on the machine.

    Returns:
        The diagnostic with more details and notes, and the backtrace: nothing if no code was running.
    """
    fault = with_source(guest, fault)
    if guest.stopped is None:
        return fault, ()
    there = unwinder(guest)
    frames = there.backtrace(guest.stopped.registers, guest.stopped.frames)
    own = [frame for frame in frames if frame.kind != "host"]
    notes: tuple[str, ...] = ()
    done = own[1:] if guest.stop and guest.stop.reason == "state" else own  # by whom: not by what was called
    place = next((frame for frame in done if frame.kind == "extension"), None)
    if guest.stop and place is not None:
        exact = place is (done[0] if frames[0].kind != "host" else None) and not place.tail
        notes = origins(guest, there.namer, guest.stop, place.place, exact=exact)
    told = any(line.lstrip().startswith("#0 ") for line in fault.detail)  # with those of all threads
    detail = fault.detail
    if own and not told and (len(own) > 1 or fault.code == "run-heap"):
        detail = (*(line for line in detail if not line.startswith("called from ")), *lines(frames))
    return fault._replace(detail=detail, notes=(*fault.notes, *notes)), frames


def with_source(guest: Places, fault: Diagnostic) -> Diagnostic:
    """The source line of the place, where debug information has it; of a function without a place its first line."""
    at = fault.location
    if at is None:
        return fault
    known = source_of(guest, at)
    if at.offset is None and at.line is None and guest.stopped and guest.stopped.frames.entries:
        start = guest.location(guest.stopped.frames.entries[-1].address)
        if start and (start.file, start.function) == (at.file, at.function):
            known = source_of(guest, start)._replace(offset=None)
    return fault._replace(location=known)


def source_of(guest: Places, at: Location) -> Location:
    """The same place with its source line, where debug information has it."""
    if at.offset is None or at.line is not None:
        return at
    home = _home(guest, at.file, at.section)
    line = find_line(*home, at.offset) if home else None
    return at._replace(source=line.file, line=line.line) if line else at


def _home(guest: Places, path: str, section: str) -> tuple[ElfObject, int] | None:
    """The object and the section that a location names."""
    for area in guest.memory.areas:
        owner = area.owner
        if isinstance(owner, Firmware) and owner.path == path and area.name == section:
            return owner.obj, owner.index
        if isinstance(owner, Linked) and owner.path == path and section in owner.image.obj.sections.name:
            return owner.image.obj, owner.image.obj.sections.name.index(section)
    return None
