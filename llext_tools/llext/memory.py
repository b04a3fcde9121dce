"""Regions into memory: which stay in the ELF buffer, which are copied to a heap, and with what size and alignment.

Source: Zephyr, ``llext_mem.c``, ``llext_copy_region()``, ``llext_copy_strings()`` and ``llext_copy_regions()``.
"""

from __future__ import annotations

from llext_tools.elf import structs as elf
from llext_tools.llext.config import Config, Protection
from llext_tools.llext.ext import Llext, LoadParam, Region
from llext_tools.llext.heap import Heap, in_blocks, rounded
from llext_tools.llext.loaders import Storage
from llext_tools.llext.log import Level, Log
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import Source, fail, no_room
from llext_tools.llext.space import LARGEST, Space, segment
from llext_tools.mem import PERM, Mem, Partition, Perm
from llext_tools.profile import Profile

STRINGS = (Mem.SHSTRTAB, Mem.STRTAB)
IMAGE = tuple(mem for mem in Mem if mem in PERM and mem not in (Mem.VENEER, Mem.RODATA_NO_RELOC))
"""The regions that lie in the one image of a shared object."""
PARTITIONS = (Mem.TEXT, Mem.DATA, Mem.RODATA, Mem.VENEER, Mem.BSS)
"""The regions that ``llext_add_domain()`` gives to a domain."""


def rounding(config: Config, profile: Profile) -> Config:
    """The firmware with the protection that its loader rounds sizes for."""
    powers = {"mpu-32": "mpu-pow2", "pmp": "none"} if profile.rounds_to_powers else {}
    kind: Protection = powers.get(config.protection, config.protection)  # type: ignore[assignment]
    return config._replace(protection=kind)


class Memory:
    """Where one load puts its regions. What it does is recorded in ``ext``."""

    def __init__(
        self,
        source: Source,
        ext: Llext,
        config: Config,
        profile: Profile,
        param: LoadParam,
        bits: int,
        log: Log,
    ) -> None:
        self.source, self.ext, self.config, self.profile, self.param, self.bits, self.log = (
            source, ext, config, profile, param, bits, log,
        )  # fmt: skip
        self._rounded = rounding(config, profile)

    @property
    def space(self) -> Space:
        return self.source.space

    def copy(self, mem: Mem, region: Region) -> None:
        """One region: used where it is, or copied.

        Raises:
            Refusal: ``load-memory``, ``pre-located`` or ``loader-failed``.
        """
        ext = self.ext
        if not region.size:
            return
        size, align = region.size, region.align
        if region.flags & elf.SHF_ALLOC:
            size, align = rounded(self._rounded, size, align)
        ext.mem_size[mem] = region.size
        if self._in_place(mem, region, size, align):
            return
        if self.param.pre_located and mem is not Mem.VENEER:
            if region.type == elf.SHT_NOBITS and self.source.loader.storage is Storage.WRITABLE:
                ext.mem[mem], ext.mem_on_heap[mem] = 0, False
                return
            text = f"region {mem.name} is pre-located but cannot be used where it is in the file"
            cure = "give the loader writable storage and `peek`, or load without `pre_located`"
            raise fail("EFAULT", "pre-located", text, self.source.at, help=cure)
        address = self.param.place.get(mem)
        if address is None:
            address = self._alloc(mem.name, region.flags, size, align)
        else:
            self._settle(address, size)
        ext.mem[mem], ext.mem_on_heap[mem], ext.mem_rounded[mem] = address, True, size
        ext.alloc_size += in_blocks(self.config, size)
        self._partition(mem, address, size)
        self.fill(region, address)

    def copy_image(self, regions: dict[Mem, Region]) -> None:
        """The one image of a shared object: all its regions, as far apart as their addresses are in the file."""
        parts = {mem: regions[mem] for mem in IMAGE if mem in regions and regions[mem].size}
        at = self.source.at
        if self.config.harvard:
            text = "a shared object cannot be divided between two heaps"
            raise fail("ENOTSUP", "region-image", text, at, said=text)
        if not parts:
            text = "the shared object has no section that is loaded"
            raise fail("ENOEXEC", "region-image", text, at, said=text)
        align = max(4, *(region.align for region in parts.values()))
        if self.config.protection == "page":
            align = max(align, self.config.grain)
        low = min(region.addr for region in parts.values()) & -align
        high = max(region.addr + region.size for region in parts.values())
        size = high - low
        if self.config.protection == "page":
            size = -(-size // self.config.grain) * self.config.grain
        placed = next(((mem, address) for mem, address in self.param.place.items() if mem in parts), None)
        if placed:
            base = placed[1] - (parts[placed[0]].addr - low)
            self._settle(base, size)
        else:
            base = self._alloc("image", elf.SHF_EXECINSTR, size, align)
        linked = min(region.addr for region in parts.values())
        self.log(Level.DBG, "image of the shared object: {:#x}, size {:#x}, linked for {:#x}", base, size, linked)
        self.space.view(base, size)[:] = 0
        self.ext.alloc_size += in_blocks(self.config, size)
        self.ext.image = True
        for mem, region in parts.items():
            address = base + region.addr - low
            self.ext.mem[mem], self.ext.mem_on_heap[mem] = address, False
            self.ext.mem_size[mem] = region.size
            self._partition(mem, address, region.size)
            self.fill(region, address)

    def fill(self, region: Region, address: int) -> None:
        """The contents of a region: zeros, or the file's bytes; with SHF_ALLOC the prepad is zeros as well."""
        view = self.space.view(address, region.size)
        if region.type == elf.SHT_NOBITS:
            view[:] = 0
            return
        prepad = region.prepad if region.flags & elf.SHF_ALLOC else 0
        view[:prepad] = 0
        data = self.source.read(region.offset + prepad, region.size - prepad)
        view[prepad : prepad + len(data)] = memoryview(data)

    def _in_place(self, mem: Mem, region: Region, size: int, align: int) -> bool:
        """Use the ELF buffer itself, if the storage allows it, the loader can peek and the address is aligned."""
        storage = self.source.loader.storage
        untouched = not region.flags & elf.SHF_WRITE and not region.has_relocs
        usable = storage is Storage.WRITABLE or (storage is Storage.PERSISTENT and untouched)
        if not usable or region.type == elf.SHT_NOBITS:
            return False
        address = self.source.peek(region.offset)
        if address is None:
            return False
        if not align:
            raise Undefined(f"the address of region {mem.name} is divided by its alignment, which is 0")
        if address % align and not self.param.pre_located:
            text = "region {} cannot stay in the ELF buffer: {:#x} is not aligned to {:#x}"
            self.log(Level.WRN, text, self.config.number(mem), address, align)
            return False
        self.space.view(address, region.size)
        self.ext.mem[mem], self.ext.mem_on_heap[mem] = address, False
        self._partition(mem, address, size)
        return True

    def _alloc(self, what: str, flags: int, size: int, align: int) -> int:
        heaps = self.ext.arena.heaps
        heap: Heap = heaps.instr if flags & elf.SHF_EXECINSTR else heaps.data
        if align & (align - 1):
            if not self.profile.bounds_checks:
                raise Undefined(f"the heap is asked for memory aligned to {align:,}, which is no power of two")
            align = 1  # a string table, which is copied before its alignment is looked at and the file refused
        wanted = in_blocks(self.config, size)
        address = self.ext.arena.alloc(heap, align, wanted, what)
        if address is None:
            image = what == "image"
            signed = wanted - (wanted >> self.bits - 1 << self.bits)  # so the board prints a size
            name = "the image of the shared object" if image else f"region {self.config.number(Mem[what])}"
            said = f"no room for {signed} bytes, aligned to {align}: {name}"
            raise no_room(
                heap, "the image" if image else f"region {what}", size, self.source.at, align=align, said=said
            )
        return address

    def _settle(self, address: int, size: int) -> None:
        """Memory of its own for a region that has been given a place, unless the heap's is there."""
        if address + size > 1 << self.bits:
            text = f"{size:,} bytes at {address:#010x} go beyond the last address"
            raise fail("ENOMEM", "place-too-small", text, self.source.at, said=text)
        if size > LARGEST:
            text = f"no room for {size:,} bytes at {address:#010x}: at most {LARGEST:,} are simulated"
            raise fail("ENOMEM", "load-memory", text, self.source.at, said=text)
        if self.space.find(address, size) is None:
            self.ext.segments.append(self.space.add(segment(address, size, 0xA5)))

    def _partition(self, mem: Mem, address: int, size: int) -> None:
        if mem in PARTITIONS:
            perm = PERM[mem]
            self.ext.mem_parts[mem] = Partition(address, size, Perm(perm), mem.name)
        if self.log.dbg:
            how = "on the heap" if self.ext.mem_on_heap[mem] else "where the file is"
            if "image" in self.ext.arena.what.values() and mem in IMAGE:
                how = "in the image"
            self.log(Level.DBG, "region {}: at {:#x}, size {}, {}", self.config.number(mem), address, size, how)
