"""LLEXT on the host: the functions of ``llext.h``, over heaps and memory of a target.

An error is an ``LlextError`` with diagnostics and Zephyr's ``errno``; a use count is returned as Zephyr returns it.
Source: Zephyr, ``include/zephyr/llext/llext.h``, ``subsys/llext/llext.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.diag import CODES, Diagnostic, Location
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext.arena import SECT_MAP_ENTRY, STRUCT_LLEXT, Arena
from llext_tools.llext.calls import Calls
from llext_tools.llext.config import Config
from llext_tools.llext.ext import MAX_DEPENDENCIES, MAX_NAME_LEN, Llext, LoadParam, Region, Section, Symbol
from llext_tools.llext.heap import Heaps, SysHeap, heaps, k_heaps
from llext_tools.llext.load import do_load
from llext_tools.llext.loaders import BEHIND, BufLoader, Loader, Storage
from llext_tools.llext.log import Level, Log, ret
from llext_tools.llext.lookup import Kernel
from llext_tools.llext.outcome import Refusal, Undefined
from llext_tools.llext.source import Shdr, Source, no_room
from llext_tools.llext.space import Segment, Space, segment
from llext_tools.llext.tables import find_section
from llext_tools.mem import Mem
from llext_tools.pages import PAGE
from llext_tools.profile import Profile

if TYPE_CHECKING:
    from typing import Self

    from llext_tools.arch.model import Target
    from llext_tools.elf.model import ElfObject
    from llext_tools.host.function import HostFunction
    from llext_tools.llext.execute import Cpu

A = TypeVar("A")
NOTHING = ExportTable(source="the firmware", symbols=())
BUFFERS = 0x3000_0000
DEFAULT = LoadParam()


class Runtime(Calls):
    """The LLEXT subsystem of one firmware.

    Args:
        arch: of the firmware.
        bits: of its addresses.
        exports: its table of exported symbols.
        config: its Kconfig options.
        profile: the generation of its loader, by name or value.
        log: receives the loader's log.
    """

    def __init__(
        self,
        arch: Arch,
        bits: int = 32,
        *,
        exports: ExportTable = NOTHING,
        config: Config = Config(),  # noqa: B008 - never changed
        profile: Profile | str = profiles.DEFAULT,
        log: Log | None = None,
    ) -> None:
        config.check()
        self.arch, self.bits, self.exports, self.config = arch, bits, exports, config
        self.profile = profiles.load(profile) if isinstance(profile, str) else profile
        self.log = log or Log()
        self.space = Space()
        self.heaps: Heaps = heaps(config, bits)
        self._heap_memory = [self.space.add(each) for each in heap_segments(self.heaps)]
        self._loaded: list[Llext] = []
        self._by_slid: Mapping[int, int] | None = None
        if config.export_builtins_by_slid or exports.slid_bits:
            self._by_slid = exports.by_slid
        self.cpu: Cpu | None = None

    @classmethod
    def on(
        cls,
        target: Target | str,
        *,
        exports: ExportTable | None = None,
        firmware: Iterable[ElfObject] = (),
        functions: Mapping[str, HostFunction] | None = None,
        config: Config = Config(),  # noqa: B008 - never changed
        profile: Profile | str = profiles.DEFAULT,
        log: Log | None = None,
        timeout: float = 5.0,
        output_limit: int = 1 << 20,
        sink: Callable[[bytes], None] | None = None,
    ) -> Self:
        """A runtime that runs: ``Runtime.on("cortex-m4f")``.

        Args:
            target: the CPU, or its name.
            exports: the firmware's table; by default the built-in host's, which has code behind each name.
            firmware: linked images whose code and data are there, such as the one that the table came from. What they
                have code for and ``functions`` does not have runs there.
            functions: what runs where an extension calls an export, by name; by default the built-in host's.
            timeout: seconds for each call from outside.
            output_limit: bytes that extensions may print; ``sink`` gets them as they come.
        """
        from llext_tools.llext.execute import Cpu, host_exports

        cpu = archs.target(target) if isinstance(target, str) else target
        arch = archs.load(cpu.arch)
        table = exports if exports is not None else host_exports(arch, cpu.bits, config)
        made = cls(arch, cpu.bits, exports=table, config=config, profile=profile, log=log)
        made.cpu = Cpu(
            cpu,
            made.space,
            config,
            table,
            firmware=firmware,
            functions=functions,
            timeout=timeout,
            output_limit=output_limit,
            sink=sink,
        )
        return made

    # Loading.

    def load(self, loader: Loader, name: str, param: LoadParam | None = None) -> tuple[int, Llext]:
        """Load an extension, or take a further hold of one that is loaded under that name.

        Returns:
            0 and the new extension, or the use count that there was before and the extension that there is; names
            are compared in their first 15 characters only, and the loader's contents are then not looked at.
        Raises:
            LlextError: with ``errno`` as ``llext_load()`` returns it, empty where C leaves undefined what it does.
        """
        known = self.by_name(name)
        if known is not None:
            known.use_count += 1
            return known.use_count - 1, known
        param = param or DEFAULT
        source = Source(loader, self.space, name)
        placed = [(at, at + 1) for at in param.place.values()]
        ext = Llext(name, Arena(self.heaps, placed), self.bits)
        extra = bool(self.config.veneers) + self.config.rodata_no_reloc
        size = STRUCT_LLEXT[self.bits] + extra * self.bits // 4
        if ext.arena.alloc(self.heaps.metadata, 1, size, "struct llext") is None:
            self.log(Level.ERR, "no room for struct llext, {} bytes", size)
            raise self._error("ENOMEM", no_room(self.heaps.metadata, "`struct llext`", size, source.at).diagnostics)
        lent = self._lend(loader)
        try:
            do_load(
                source,
                ext,
                arch=self.arch,
                bits=self.bits,
                kernel=Kernel(self.exports, self._by_slid, lambda wanted: self._provider(ext, wanted)),
                config=self.config,
                profile=self.profile,
                param=param,
                log=self.log,
            )
        except Refusal as refusal:
            ext.arena.forget(ext.header_copy)  # Zephyr does not free it either where a load fails
            self.log(Level.DBG, "not loaded: {}", ret(refusal.errno))
            self._say_freeing(ext)
            self._release(ext, lent)
            raise self._error(refusal.errno, [*refusal.diagnostics, *ext.diagnostics]) from None
        except Undefined as reason:
            self._release(ext, lent)
            raise self._undefined(reason, source.at) from None
        except BaseException:  # of the caller's own loader
            self._release(ext, lent)
            raise
        finally:
            loader.finalize()
        if loader.storage is Storage.TEMPORARY:
            self._return(lent)
        elif loader.buffer is not None:
            ext.segments.append(loader.buffer)
        ext.loader = loader
        ext.info_kept = param.keep_section_info
        if ext.info_kept:
            ext.alloc_size += self._map_size(ext)
        else:
            ext.arena.free(ext.info)
        if not self.config.log_level_dbg:
            ext.arena.free(ext.sym_tab_at)
            ext.sym_tab = ()
        ext.use_count = 1
        self._loaded.append(ext)
        if self.cpu is not None:
            try:
                self.cpu.loaded(ext, protect=not param.pre_located)
            except LlextError:  # a place that the host itself uses
                self._loaded.remove(ext)
                for provider in ext.dependency:
                    provider.use_count -= 1
                self._release(ext, ())
                raise
        return 0, ext

    def unload(self, ext: Llext) -> int:
        """Give up one hold of an extension. A section map that was kept and not freed by now stays on the heap.

        Returns:
            0 if it was freed, else the use count that is left; -1 if there was none to give up.
        Raises:
            LlextError: ``EINVAL``: it is not loaded. In C, its memory would be used after it was freed.
        """
        if not any(ext is each for each in self._loaded):
            text = f"`{ext.name}` is not loaded: it has been unloaded, or belongs to another runtime"
            raise self._error("EINVAL", [Diagnostic("no-extension", text)])
        if not ext.use_count:
            self.log(Level.ERR, "assertion: a valid LLEXT cannot have a zero use-count")
        ext.use_count -= 1
        if ext.use_count:
            return ext.use_count
        self._loaded.remove(ext)
        for provider in ext.dependency:
            provider.use_count -= 1
            if provider not in self._loaded:
                self.log(Level.ERR, "undefined: the use count of {}, which is freed, is changed", provider.name)
            elif not provider.use_count:
                self.log(Level.ERR, "assertion: LLEXT dependency use-count underrun")
        if ext.info_kept:
            ext.arena.forget(ext.info)
        self._say_freeing(ext)
        if self.cpu is not None:
            self.cpu.unloaded(ext)
        self._release(ext, ())
        return 0

    def by_name(self, name: str) -> Llext | None:
        """The loaded extension whose name has the same first 15 characters."""
        short = name[:MAX_NAME_LEN]
        return next((ext for ext in self._loaded if ext.name == short), None)

    def iterate(self, fn: Callable[[Llext, A], int], arg: A) -> int:
        """Call ``fn(ext, arg)`` for each extension, in the order of loading, until it returns something else than 0."""
        for ext in tuple(self._loaded):
            result = fn(ext, arg)
            if result:
                return result
        return 0

    def __iter__(self) -> Iterator[Llext]:
        return iter(tuple(self._loaded))

    def find_sym(self, table: tuple[Symbol, ...] | None, name: str | int) -> int | None:
        """The address of a symbol in the built-in table (None), or in an ``exp_tab`` or ``sym_tab``.

        With SLIDs the built-in table is asked by an integer. An entry with the address 0 is not found.
        """
        if table is None:
            if isinstance(name, int):
                return (self._by_slid or {}).get(name) or None
            export = self.exports.by_name.get(name)
            return (export.address if export else 0) or None
        return next((symbol.addr for symbol in table if symbol.name == name), 0) or None

    # Looking at an extension. Sections are those of the file, by name or index.

    def find_section(self, loader: Loader, name: str) -> int:
        """The offset of a section in the file of ``loader``.

        Raises:
            LlextError: ``ENOTSUP`` for a loader without ``peek``, ``ENOENT`` for a name that is not there.
        """
        lent = self._lend(loader)
        try:
            return find_section(Source(loader, self.space, name), self.bits, name)
        except Refusal as refusal:
            raise self._error(refusal.errno, refusal.diagnostics) from None
        except Undefined as reason:
            raise self._undefined(reason) from None
        finally:
            self._return(lent)

    def get_section_header(self, ext: Llext, name: str) -> Shdr:
        """A copy of the header of a section.

        Raises:
            LlextError: ``ENOTSUP`` if the headers were not kept, ``ENOENT`` for a name that is not there.
        """
        self._check_info(ext)
        return ext.headers[self.section_shndx(ext, name)]

    def get_region_info(self, ext: Llext, mem: Mem) -> tuple[Region, int | None, int]:
        """A region: its header, its address (None if it has none), its size in bytes; the last two without prepad.

        Raises:
            LlextError: ``EINVAL`` for no region.
        """
        if mem not in Mem.__members__.values():
            raise self._error("EINVAL", [Diagnostic("region-unknown", f"there is no region {mem!r}")])
        region = ext.regions.get(mem, Region(0, 0, 0, 0, 0, 0))
        address = ext.mem.get(mem, 0) + region.prepad
        return region, address or None, ext.mem_size.get(mem, 0) - region.prepad

    def section_shndx(self, ext: Llext, name: str) -> int:
        """The index of a section.

        Raises:
            LlextError: as ``get_section_header()``.
        """
        self._check_info(ext)
        if name not in ext.section_names[1:]:  # the first header is nobody's
            text = f"`{ext.name}` has no section `{name}`"
            raise self._error("ENOENT", [Diagnostic("section-unknown", text)])
        return ext.section_names.index(name, 1)

    def get_section_info(self, ext: Llext, shndx: int) -> tuple[Shdr, Section | None]:
        """The header of a section, and where it is: region and offset behind its prepad, None if it is in none.

        Raises:
            LlextError: ``EINVAL`` for an index that is not there, ``ENOTSUP`` if the information was not kept.
        """
        if not 0 <= shndx < len(ext.headers):
            text = f"`{ext.name}` has {len(ext.headers)} sections, none of index {shndx}"
            raise self._error("EINVAL", [Diagnostic("section-unknown", text)])
        self._check_info(ext)
        home = ext.sections.get(shndx)
        if home is not None and home.mem in ext.regions:
            home = home._replace(offset=home.offset - ext.regions[home.mem].prepad)
        return ext.headers[shndx], home

    def free_inspection_data(self, ext: Llext) -> int:
        """Give the memory of the section map back; 0."""
        if ext.info_kept:
            ext.alloc_size -= self._map_size(ext)
        ext.info_kept = False
        ext.arena.free(ext.info)
        return 0

    def _map_size(self, ext: Llext) -> int:
        return len(ext.headers) * SECT_MAP_ENTRY[self.bits]

    def _check_info(self, ext: Llext) -> None:
        if not ext.info_kept:
            text = f"the sections of `{ext.name}` are not known any more"
            cure = "load it with `keep_section_info`, and ask before free_inspection_data()"
            raise self._error("ENOTSUP", [Diagnostic("inspection-freed", text, help=cure)])

    # A heap of the application's (CONFIG_LLEXT_HEAP_DYNAMIC).

    def heap_init(self, start: int, size: int) -> int:
        """Give the loader its heap; 0.

        Raises:
            LlextError: ``ENOSYS`` for a firmware with a heap of its own or two, ``EEXIST`` if it has one already.
        """
        self._check_dynamic(harvard=False)
        return self._set_heaps(k_heaps(SysHeap(start, size, self.bits)))

    def heap_init_harvard(self, instr_start: int, instr_size: int, data_start: int, data_size: int) -> int:
        """Give the loader a heap for instructions and one for data; 0.

        Raises:
            LlextError: as ``heap_init()``, and ``ENOSYS`` for a firmware that is not HARVARD.
        """
        self._check_dynamic(harvard=True)
        data = SysHeap(data_start, data_size, self.bits)
        return self._set_heaps(k_heaps(data, SysHeap(instr_start, instr_size, self.bits)))

    def heap_uninit(self) -> int:
        """Take the heap away again; 0.

        Raises:
            LlextError: ``ENOSYS`` for a firmware with a heap of its own, ``EEXIST`` if there is none,
                ``EBUSY`` while an extension is loaded.
        """
        self._check_dynamic(harvard=self.config.harvard)
        if not any(heap.size for heap in self.heaps):
            raise self._error("EEXIST", [Diagnostic("heap-config", "the loader has no heap that could be taken away")])
        if self._loaded:
            text = f"the heap still holds {len(self._loaded)} extensions"
            raise self._error("EBUSY", [Diagnostic("heap-busy", text, help="unload all extensions first")])
        return self._set_heaps(heaps(self.config, self.bits), check=False)

    def _check_dynamic(self, *, harvard: bool) -> None:
        if self.config.heap != "dynamic" or self.config.harvard != harvard:
            wanted = "CONFIG_LLEXT_HEAP_DYNAMIC" + (" on a HARVARD machine" if harvard else "")
            text = f"the firmware has its heap already: this call is for {wanted}"
            raise self._error("ENOSYS", [Diagnostic("heap-config", text)])

    def _set_heaps(self, new: Heaps, *, check: bool = True) -> int:
        if check and any(heap.size for heap in self.heaps):
            text = "the loader has its heap already"
            raise self._error("EEXIST", [Diagnostic("heap-config", text, help="call heap_uninit() first")])
        self._return(self._heap_memory)
        self.heaps = new
        self._heap_memory = [self.space.add(each) for each in heap_segments(new)]
        return 0

    # Helpers.

    def _provider(self, user: Llext, name: str) -> int:
        """The address that another extension exports under a name; the user holds that extension from now on."""
        for provider in self._loaded:
            first = next((symbol for symbol in provider.exp_tab if symbol.name in (name, None)), None)
            if first is not None and first.name is None:
                raise Undefined(f"`{provider.name}` has an export without a name, which is compared with `{name}`")
            address = first.addr if first is not None else 0
            if address:
                if provider not in user.dependency and len(user.dependency) < MAX_DEPENDENCIES:
                    user.dependency.append(provider)
                    provider.use_count += 1
                return address
        return 0

    def _lend(self, loader: Loader) -> list[Segment]:
        """The loader's buffer, made part of the memory for the time that it is needed."""
        if isinstance(loader, BufLoader) and loader.buffer is None:
            if loader.address is None:
                loader.address = self._free_place(len(loader.data) + BEHIND)
            loader.place(loader.address)
        if loader.buffer is None or any(each is loader.buffer for each in self.space.segments):
            return []
        return [self.space.add(loader.buffer)]

    def _free_place(self, size: int) -> int:
        """The first page from ``BUFFERS`` on behind which nothing is for so many bytes."""
        taken = [(each.start, each.end) for each in self.space.segments]
        if self.cpu is not None:
            taken += [(start, end) for start, end, _ in self.cpu.machine.regions]
        at = BUFFERS
        for start, end in sorted(taken):
            if start < at + size + PAGE and at < end:
                at = end + PAGE - 1 & -PAGE
        return at

    def _say_freeing(self, ext: Llext) -> None:
        if self.log.dbg:
            for mem in sorted(mem for mem, on_heap in ext.mem_on_heap.items() if on_heap):
                self.log(Level.DBG, "freeing region {}", self.config.number(mem))
            if "image" in ext.arena.what.values():
                self.log(Level.DBG, "freeing the image of the shared object")

    def _release(self, ext: Llext, lent: list[Segment] | tuple[()]) -> None:
        ext.arena.free_all()
        self._return([*ext.segments, *lent])
        ext.segments = []

    def _return(self, segments: list[Segment]) -> None:
        """Take memory away, but for a buffer that a further extension is in."""
        held = {id(each) for ext in self._loaded for each in ext.segments}
        for each in segments:
            if id(each) not in held:
                self.space.remove(each)

    def _undefined(self, reason: Undefined, at: Location | None = None) -> LlextError:
        text = f"what the loader does here is undefined: {reason}"
        cure = "do not give it to a board like this: build it again, and leave out what is named here"
        return self._error("", [Diagnostic("load-undefined", text, location=at, help=cure)])

    @staticmethod
    def _error(errno: str, diagnostics: list[Diagnostic]) -> LlextError:
        return CODES[diagnostics[0].code].error(tuple(diagnostics), errno=errno)


def heap_segments(heaps: Heaps) -> list[Segment]:
    """Memory for each heap, once where one serves several purposes."""
    unique = {id(heap): heap for heap in heaps if heap.size}
    return [segment(heap.start, heap.size, 0xA5, name="loader's heap") for heap in unique.values()]
