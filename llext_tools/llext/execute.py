"""The processor of a runtime: the loader's memory on an emulated CPU, and calls of what is in it.

The CPU uses the loader's memory where it is: loading costs it nothing but forgetting the code that it has translated.
What memory allows is what the firmware's protection makes of it:

* none, and a PMP, which does not bind machine mode: everything, to supervisor code;
* an Arm MPU: RAM is never executed, but for the partitions of the thread's domain, which hold for supervisor code, too;
* an MMU: what the loader sets, TEXT and VENEER to be read and executed, RODATA to be read, all else not executed;
* user mode: the partitions of the domain, to the byte, and the stack; of the firmware what cannot be written.

Source: Zephyr, ``subsys/llext/llext_mem.c``, ``llext_adjust_mmu_permissions()``;
``include/zephyr/arch/arm/mpu/arm_mpu_v7m.h``, REGION_RAM_ATTR.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from llext_tools import arch as archs
from llext_tools.arch.base import Arch
from llext_tools.arch.model import Target
from llext_tools.c.types import Prototype
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.host.areas import Area, firmware_areas, symbol_index
from llext_tools.host.function import HostFunction, Output
from llext_tools.host.guest import Guest
from llext_tools.host.limits import Limits
from llext_tools.host.memory import Range, View, free, page_runs
from llext_tools.link.exports import ExportTable
from llext_tools.llext.config import Config
from llext_tools.llext.domain import MemDomain
from llext_tools.llext.ext import Llext
from llext_tools.llext.space import Block, Space, segment
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.mem import PERM, Mem, Partition, Perm
from llext_tools.pages import PAGE

RW, RX, RWX = Perm.R | Perm.W, Perm.R | Perm.X, Perm.R | Perm.W | Perm.X
NEAR = 1 << 16  # bytes between the host's functions and the heap: a BL reaches across
MPU = ("mpu-pow2", "mpu-32")
MMU_PERM = {Mem.TEXT: RX, Mem.VENEER: RX, Mem.RODATA: Perm.R}
UNCOVERED = "no partition of the domain covers it"
XN = "the MPU lets no RAM be executed that is in no partition of the thread's domain"
JOIN_DOMAIN = "give the extension to a memory domain with add_domain(), and call with that `domain`"
ALLOWS = {
    Perm.R: "only reading",
    Perm.X: "only executing",
    RX: "only reading and executing",
    RW: "only reading and writing",
}


def host_exports(arch: Arch, bits: int, config: Config) -> ExportTable:
    """The built-in host's functions, at addresses near the heap that code is loaded to."""
    heaps = [
        (config.heap_start, config.heap_size),
        (config.instr_heap_start, config.instr_heap_size),
        (config.metadata_heap_start, config.metadata_heap_size),
    ]
    near = max((config.instr_heap_start if config.harvard else config.heap_start) - NEAR, NEAR) & -PAGE
    return builtin.exports(arch, free(((start, start + size) for start, size in heaps), PAGE, near, 1 << bits))


class Cpu:
    """An emulated CPU with the memory of ``space``.

    Args:
        exports: of the firmware.
        firmware: images whose code and data are there; their memory becomes part of ``space``.
        functions: by name, what runs where an extension calls an export.
        timeout: seconds for each call from outside.
        output_limit: bytes that may be printed; ``sink`` gets them as they come.
    """

    def __init__(
        self,
        target: Target,
        space: Space,
        config: Config,
        exports: ExportTable,
        *,
        firmware: Iterable[ElfObject],
        functions: Mapping[str, HostFunction] | None,
        timeout: float,
        output_limit: int,
        sink: Callable[[bytes], None] | None,
    ) -> None:
        arch = archs.load(target.arch)
        self.target, self.space, self.config, self.timeout = target, space, config, timeout
        self.machine = UnicornMachine(target.emulator, arch.callconv.pc)
        self.output = Output(output_limit, sink)
        limits = Limits(seconds=timeout, output=output_limit)
        self.guest = Guest(target, arch, self.machine, deadline=0.0, limits=limits, output=self.output)
        self.registers: Mapping[str, int] = {}
        self._owners: dict[int, Loaded] = {}
        self._blocks: dict[int, Block] = {}
        self._perm: dict[int, Perm] = {}  # of segments that are the firmware's, by their identity
        self._version = -1
        self._remapped = False  # since the last call
        self.closed = False
        areas = [self._add_firmware(obj) for obj in firmware]
        self.sync()
        self.guest.memory.insert(area for each in areas for area in each)
        known = builtin.BY_NAME if functions is None else functions
        self.guest.add_exports(exports.symbols, known, known)
        self.guest.start()
        heap = self.guest.heap_area
        self.malloc_partition = Partition(heap.start, heap.end - heap.start, heap.perm, "z_malloc_partition")
        self._clean = self.machine.save()

    # Memory.

    def _add_firmware(self, obj: ElfObject) -> list[Area]:
        areas = []
        for area, index in firmware_areas(obj):
            new = segment(area.start, area.end - area.start, name=area.name)
            contents = obj.contents(index)  # none of a section without any: its memory is zeros
            new.data[: contents.size] = contents
            self._perm[id(new)] = area.perm
            self.space.add(new)
            areas.append(area)
        return areas

    def sync(self) -> None:
        """Map what the loader has added to its memory, unmap what it has taken away."""
        if self.space.version == self._version or self.closed:
            return
        self._version = self.space.version
        now = {id(block.pages): block for block in self.space.blocks}
        different = now.keys() != self._blocks.keys()
        for key in self._blocks.keys() - now.keys():
            gone = self._blocks.pop(key)
            self.machine.unmap(gone.start, gone.pages.size)
        usual = RW if self.config.protection == "page" else RWX
        for key in now.keys() - self._blocks.keys():
            self.machine.map_shared(now[key].start, now[key].pages, usual)
            self._blocks[key] = now[key]
        for each in self.space.segments if different else ():
            perm, start, end = self._perm.get(id(each), RW), -(-each.start // PAGE) * PAGE, each.end // PAGE * PAGE
            if Perm.W not in perm and start < end:
                self.machine.protect(start, end - start, perm)
        memory = self.guest.memory
        memory.grounds = tuple(
            Area(each.start, each.end, each.name, self._perm.get(id(each), self._usual)) for each in self.space.segments
        )
        for owner in self._owners.values() if different else ():
            self._protect(owner)  # a new block may hold an extension that an old one held
        self._remapped |= different
        if different and self.guest.running:  # a function of the host's has loaded something
            self.guest.confine(self.guest.memory.view, again=True)

    @property
    def _usual(self) -> Perm:
        """What supervisor code may do with RAM."""
        return RWX if self.config.protection in ("none", "pmp") else RW

    def loaded(self, ext: Llext, *, protect: bool = True) -> None:
        """The loader has written an extension; ``protect``: and set the permissions of its pages, with an MMU."""
        if self.closed:
            return
        self.sync()
        areas = []
        owner = self._owners[id(ext)] = Loaded(ext, protect=protect and self.config.protection == "page")
        perms = self._protect(owner)
        for mem, start in ext.mem.items():
            if mem in PERM and start and ext.mem_size[mem]:
                areas.append(Area(start, start + ext.mem_size[mem], mem.name, perms[mem], owner))
        self.guest.memory.insert(areas)
        for start, end in page_runs(area[:2] for area in areas):
            self.machine.changed(start, end - start)

    def unloaded(self, ext: Llext) -> None:
        """The loader is about to free an extension."""
        if self.closed:
            return
        owner = self._owners.pop(id(ext))
        self.guest.memory.drop(owner)
        for start, end, _ in self._pages(ext) if owner.protect else ():
            self.machine.protect(start, end - start, RW)

    def _protect(self, owner: Loaded) -> dict[Mem, Perm]:
        """Set the permissions of an extension's pages; returns those of its regions."""
        perms = dict.fromkeys(owner.ext.mem, self._usual)
        for start, end, perm in self._pages(owner.ext) if owner.protect else ():
            self.machine.protect(start, end - start, perm)
            perms |= {mem: perm for mem, at in owner.ext.mem.items() if start <= at < end}
        return perms

    def _pages(self, ext: Llext) -> list[Range]:
        """The pages whose permissions the loader changes."""
        step = max(self.config.grain, PAGE)
        spans = {mem: (at, at + ext.mem_size[mem]) for mem, at in ext.mem.items() if at and ext.mem_size[mem]}
        found = []
        if not ext.image:
            for mem, (start, end) in spans.items():
                if mem in MMU_PERM:
                    beside = RW if start % PAGE else Perm(0)  # put there by ``LoadParam.place``: others share its pages
                    found.append(Range(start & -PAGE, -(-end // step) * step, MMU_PERM[mem] | beside))
            return found
        code = spans.get(Mem.TEXT, (0, 0))
        for page in range(code[0] // step * step, code[1], step):
            writable = [spans[mem] for mem in (Mem.DATA, Mem.BSS) if mem in spans]
            if not any(start < page + step and page < end for start, end in writable):
                found.append(Range(page, page + step, RX))
        return found

    # Calls.

    def call(
        self,
        ext: Llext,
        address: int,
        prototype: Prototype,
        values: Sequence[Any] = (),
        *,
        domain: MemDomain | None = None,
        user: bool = True,
    ) -> Any:
        """Call a function.

        Args:
            ext: whose it is.
            values: of the prototype's parameters; a text is put into memory and passed by its address.
            domain: of the thread that calls; none for one of the kernel's.
            user: the thread is in user mode, if it has a domain.
        Raises:
            FaultError, LimitError: it did not return.
        """
        guest = self.guest
        self.sync()
        passed = [self._passed(value) for value in values]
        nested, before = guest.running, guest.memory.view
        saved = self.machine.save() if nested else self._clean
        if not nested:
            guest.deadline = time.monotonic() + self.timeout
            guest.calls.clear()
            guest.files = [ext.name]
        guest.confine(self._view(domain, user=user), again=self._remapped)
        self._remapped = False
        try:
            return guest.call(address, prototype, prototype.params, passed)
        except BaseException:
            self.registers = guest.registers()
            guest.restore(saved)
            raise
        finally:
            if nested:
                guest.confine(before)

    def _passed(self, value: Any) -> Any:
        if isinstance(value, str | bytes):
            return self.guest.place_text(value.encode() if isinstance(value, str) else value)
        return value

    def _view(self, domain: MemDomain | None, *, user: bool) -> View | None:
        """What a thread may touch; None for all that is mapped."""
        memory = self.guest.memory
        own = [Range(*area[:2], area.perm) for area in memory.areas if area.owner is None]
        if domain is not None and user:
            seen = [each for each in own if each.start != self.malloc_partition.start]
            seen += [Range(*ground[:2], ground.perm) for ground in memory.grounds if Perm.W not in ground.perm]
            ranges = [*seen, *(Range(part.start, part.end, part.perm) for part in domain.partitions)]
            return View(tuple(ranges), partial(why_not, domain, UNCOVERED))
        if self.config.protection not in MPU:
            return None
        partitions = domain.partitions if domain is not None else ()
        ranges = [Range(*ground[:2], ground.perm) for ground in memory.grounds]
        for part in partitions:
            ranges = [piece for each in ranges for piece in cut(each, part.start, part.end)]
        ranges += [*own, *(Range(part.start, part.end, part.perm) for part in partitions)]
        return View(tuple(ranges), partial(why_not, domain, UNCOVERED if partitions else XN), JOIN_DOMAIN)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of all mapped memory, whatever its permissions."""
        return page_runs(region[:2] for region in self.machine.regions)

    def global_function(self, ext: Llext, name: str) -> int:
        """The address of a global function, 0 if there is none of that name."""
        y = ext.symbols
        if y is None:
            return 0
        for i in np.flatnonzero((y.type == elf.STT_FUNC) & (y.bind != elf.STB_LOCAL)).tolist():
            home = ext.sections.get(int(y.shndx[i]))
            if home is not None and home.mem in ext.mem and y.name(i) == name.encode():
                start = ext.headers[int(y.shndx[i])].addr if ext.image else 0
                return ext.mem[home.mem] + home.offset + int(y.value[i]) - start
        return 0

    def close(self) -> None:
        """Give all memory back."""
        self.closed = True
        for start, end, _ in self.machine.regions:
            self.machine.unmap(start, end - start)
        self.guest.close()


def why_not(domain: MemDomain | None, otherwise: str, address: int) -> str:
    """Why an access is refused."""
    found = domain.find(address) if domain is not None else None
    return f"partition {found.name} allows {ALLOWS[found.perm]}" if found else otherwise


def cut(whole: Range, start: int, end: int) -> list[Range]:
    """What is left of a range without the addresses from ``start`` to ``end``."""
    pieces = Range(whole.start, min(whole.end, start), whole.perm), Range(max(whole.start, end), whole.end, whole.perm)
    return [piece for piece in pieces if piece.start < piece.end]


class Loaded:
    """An extension as the owner of its regions; see ``host.areas.Owner``."""

    kind: Literal["region"] = "region"

    def __init__(self, ext: Llext, *, protect: bool) -> None:
        self.ext = ext
        self.protect = protect  # its pages have permissions of their own

    @property
    def path(self) -> str:
        return self.ext.name

    @property
    def title(self) -> str:
        return f"`{self.ext.name}`"

    def _place(self, address: int) -> tuple[int, int] | None:
        """Index of the section that holds an address, and the offset in it."""
        ext = self.ext
        for i, (mem, offset) in ext.sections.items():
            start = ext.section_address(i) or offset
            if mem in PERM and start <= address < start + ext.headers[i].size:
                return i, address - start
        return None

    def section(self, area: Area, address: int) -> tuple[str, int] | None:  # noqa: ARG002 - sections know their place
        place = self._place(address)
        return (self.ext.section_names[place[0]], place[1]) if place else None

    def function(self, area: Area, address: int) -> str:
        place = self._place(address)
        if place is None or not self.ext.headers[place[0]].flags & elf.SHF_EXECINSTR:
            return ""
        return self.symbol(area, address).split("`")[1] if self.symbol(area, address) else ""

    def symbol(self, area: Area, address: int) -> str:  # noqa: ARG002
        place = self._place(address)
        y = self.ext.symbols
        if place is None or y is None:
            return ""
        value = place[1] + (self.ext.headers[place[0]].addr if self.ext.image else 0)
        found = symbol_index(y.type, y.shndx, y.value, y.size, place[0], value)
        if found is None:
            return ""
        name = y.name(found[0]).decode("utf-8", "backslashreplace")
        return f"`{name}`" + (f"+{found[1]:#x}" if found[1] else "")
