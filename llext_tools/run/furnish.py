"""A machine's memory before anything runs: the firmware, what extensions can call, extensions, devices.

Which function serves a call: that of the user; else, in a Zephyr image that nobody has booted, the built-in host's for
what needs a kernel at work; else the image's own code; else the built-in host's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from llext_tools.c.types import Prototype
from llext_tools.c.values import near
from llext_tools.diag import fail, listed, nearest
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.host.devices import KINDS, attach
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.memory import page_runs
from llext_tools.host.segments import firmware_memory, heap_pages
from llext_tools.host.zephyr import built_in_its_tree, stand_in, with_layouts
from llext_tools.link.exports import Export, ExportTable, Heap
from llext_tools.link.image import Image
from llext_tools.run.described import Described
from llext_tools.run.symbols import find_symbols

if TYPE_CHECKING:
    from llext_tools.run.session import Setup


def furnish(guest: Guest, images: Sequence[Image], setup: Setup, described: Described) -> None:
    """Put everything into memory.

    Raises:
        LlextError: there is no room for all of it, or nothing of a name that is to be replaced.
    """
    loaded = pages_in_heap(images, setup.exports.heap) if setup.exports else []
    for obj in setup.firmware:
        guest.memory.add_filled(os.path.basename(obj.path), firmware_memory(obj, loaded))
    exports = setup.table
    if exports.slid_bits:
        exports = exports.named([*setup.overrides, *setup.functions])
    guest.add_exports(exports.symbols, setup.functions, setup.overrides)
    for image in images:
        guest.add_image(image)
    replace(guest, exports, setup.firmware, images, setup.overrides)
    attach(guest, setup.mmio)
    guest.device_kinds = KINDS
    guest.by_table = exports.source != builtin.exports(guest.arch).source
    guest.stub_missing = setup.stub_missing
    guest.described = described.prototype
    guest.start()
    for obj in setup.firmware:
        guest.anchor(obj)
    if not stand_in(guest, setup.firmware, setup.overrides):
        for image in [image for image in images if built_in_its_tree(image.obj)][:1]:
            with_layouts(guest, image.obj)


def pages_in_heap(images: Iterable[Image], heap: Heap | None) -> list[tuple[int, int]]:
    """Those pages of the firmware's heap for extensions that extensions have."""
    low, high = heap_pages(heap) or (0, 0)
    spans = ((a, a + i.mem[m].size) for i in images for m, a in i.layout.base.items() if m in i.mem)
    return [(max(start, low), min(end, high)) for start, end in page_runs(spans) if start < high and end > low]


def replace(
    guest: Guest,
    exports: ExportTable,
    firmware: Sequence[ElfObject],
    images: Sequence[Image],
    overrides: Mapping[str, HostFunction],
) -> None:
    """Let the user's functions run where those of the firmware are that are not exported, and those of extensions.

    Raises:
        UsageError: ``override-unknown``.
    """
    left = [name for name in overrides if exports.find(name) is None]
    if not left:
        return
    own = {each.name: each.address for each in find_symbols(images).values() if each.function}
    defined = own | functions_in(firmware)
    for name in left:
        if name not in defined:
            where = "the firmware" if firmware else exports.source
            text = f"neither {where} nor the extension has a function `{name}` to be replaced"
            everybody = [*exports.by_name, *defined]
            if nearest(name, everybody):
                fail("override-unknown", text + near(name, everybody))
            imports = listed((name for image in images for name in imported(image)), 8)
            fail("override-unknown", text, help=f"the extension calls {imports}" if imports else "")
        guest.replace(Export(name, defined[name], "func"), overrides[name])


def imported(image: Image) -> list[str]:
    """What an extension has from others."""
    y = image.obj.symbols
    return y.names(((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0)).nonzero()[0].tolist())


def functions_of(obj: ElfObject) -> dict[str, int]:
    """The functions that a linked image defines, with their addresses (and the Thumb bit); a global one comes first."""
    y = obj.symbols
    defined = ((y.type == elf.STT_FUNC) & (y.shndx > 0)).nonzero()[0].tolist()
    ordered = sorted(defined, key=lambda i: y.bind[i] != elf.STB_LOCAL)
    return {y.name(i): int(y.value[i]) for i in ordered}


def functions_in(firmware: Iterable[ElfObject]) -> dict[str, int]:
    """The addresses of all functions; those of the first image that has the name."""
    found: dict[str, int] = {}
    for obj in firmware:
        found = functions_of(obj) | found
    return found


def initialise(guest: Guest, setup: Setup) -> None:
    """Call the functions of the firmware that are to run before everything else.

    Raises:
        UsageError: ``call-unknown``. LlextError: what they did.
    """
    defined = functions_in(setup.firmware) if setup.init else {}
    for name in setup.init:
        if name not in defined:
            fail("call-unknown", f"the firmware has no function `{name}` to begin with{near(name, defined)}")
        guest.call(defined[name], Prototype(name, guest.model.types["void"], ()), (), ())
