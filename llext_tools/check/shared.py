"""Whether a board's heap has room for several extensions that are loaded one after the other.

What they import need not be known: it changes nothing in the memory that they take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llext_tools.arch.base import Arch
from llext_tools.check.loaded import anyone, configured, free_place
from llext_tools.check.subject import Board
from llext_tools.diag import Diagnostic, Location, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError, UsageError
from llext_tools.link.exports import ExportTable
from llext_tools.link.validate import find_arch
from llext_tools.llext import BufLoader, Config, Runtime
from llext_tools.llext.bill import ENOUGH, LARGEST, measure, option, sized
from llext_tools.llext.config import KIB
from llext_tools.llext.heap import Heaps
from llext_tools.llext.loaders import BEHIND
from llext_tools.pages import PAGE
from llext_tools.profile import Profile


def share_heap(extensions: Sequence[ElfObject], board: Board, profile: Profile) -> Iterator[Diagnostic]:
    """``heap-shared``: extensions that fit into the heap, but not beside those that are loaded before them.

    Args:
        extensions: in the order of loading, each of which loads by itself. Those that are not for the machine of the
            first one are left out.
    """
    if len(extensions) < 2 or board.config is None or not board.sized:
        return
    first, config = extensions[0], configured(board.config, profile)
    objects = [each for each in extensions if (each.machine, each.bits) == (first.machine, first.bits)]
    arch = find_arch(first, Reporter())
    failed = _load_all(objects, arch, board, config, profile)
    smallest = _smallest(objects, arch, board, config, profile) if failed else 0
    for i, taken, why in failed:
        before = f"`{objects[0].path}`" if i == 1 else f"the {i} before it"
        yield Diagnostic(
            "heap-shared",
            f"there is no room for it beside {before}: {why.message.removeprefix('no room for ')}",
            location=Location(file=objects[i].path),
            detail=(f"{taken:,} bytes of heap are taken before", *why.detail),
            help=f"{option(config, 'data')}={smallest} is enough for all of them" if smallest else "",
        )


def _load_all(
    objects: Sequence[ElfObject], arch: Arch, board: Board, config: Config, profile: Profile
) -> list[tuple[int, int, Diagnostic]]:
    """Index of each one that does not fit, bytes of heap that were taken then, and what there is no room for."""
    names = dict.fromkeys(name for obj in objects for name in anyone(obj, config).by_name)
    near = config.instr_heap_start if config.harvard else config.heap_start
    exports = ExportTable.of(dict.fromkeys(names, near & -4 or 4))
    rt = Runtime(arch, objects[0].bits, exports=exports, config=config, profile=profile)
    meters = {id(meter): meter for meter in measure(rt).values()}
    at = free_place(config, sum(obj.image.size + 2 * PAGE + BEHIND for obj in objects))
    found = []
    for i, obj in enumerate(objects):
        taken = sum(meter.used for meter in meters.values())
        try:
            rt.load(BufLoader(obj.image.tobytes(), board.storage, address=at), str(i))
        except LlextError as error:
            if error.diagnostics[0].code == "load-memory":
                found.append((i, taken, error.diagnostics[0]))
        at += -(-obj.image.size // PAGE) * PAGE + BEHIND
    return found


def _smallest(objects: Sequence[ElfObject], arch: Arch, board: Board, config: Config, profile: Profile) -> int:
    """KiB of each heap that are enough, 0 if none is."""

    def enough(kib: int) -> bool:
        larger = sized(config, dict.fromkeys(Heaps._fields, kib))
        try:
            return not _load_all(objects, arch, board, larger, profile)
        except UsageError:  # no whole number of blocks
            return False

    low, high = config.heap_size // KIB, ENOUGH // KIB
    while not enough(high):
        if high * KIB >= LARGEST:
            return 0
        low, high = high, high * 8
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
