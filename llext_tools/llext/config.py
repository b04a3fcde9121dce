"""What a firmware's configuration says about its loader: the Kconfig options that change what ``llext_load()`` does.

Source: Zephyr, ``subsys/llext/Kconfig``; the names here are the options' without ``CONFIG_LLEXT_``, in lower case.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from llext_tools.diag import fail
from llext_tools.mem import Mem

KIB = 1024

HeapKind = Literal["k_heap", "memblk", "dynamic", "plain", "counted"]
Protection = Literal["none", "page", "mpu-pow2", "mpu-32", "pmp"]
Veneers = Literal["", "v7m", "v6m"]


class Config(NamedTuple):
    """The options of one firmware. Sizes in bytes.

    ``protection`` says how memory is protected: ``page`` where there is an MMU; ``mpu-pow2``, ``mpu-32`` and ``pmp``
    with CONFIG_USERSPACE on an MPU of that kind; ``none`` without either. ``granularity`` is the page's or the PMP's.
    Two heaps are none of Zephyr's: ``plain`` has no bookkeeping, for firmware whose heap nobody knows; ``counted`` has
    the room of a ``k_heap`` and the addresses of ``plain``.
    """

    heap: HeapKind = "k_heap"
    heap_start: int = 0x2000_0000
    heap_size: int = 256 * KIB  # CONFIG_LLEXT_HEAP_SIZE; Zephyr's own default is 8 KiB
    harvard: bool = False  # instructions have a heap of their own
    instr_heap_start: int = 0x1000_0000
    instr_heap_size: int = 4 * KIB
    metadata_heap_start: int = 0x2100_0000  # memblk keeps struct llext and the tables apart
    metadata_heap_size: int = 4 * KIB
    memblk_block_size: int = 32
    protection: Protection = "none"
    granularity: int = 0  # 0: the usual one
    rodata_no_reloc: bool = False  # .llext.rodata.noreloc stays where the file is
    import_all_globals: bool = False  # exp_tab has all global functions and objects
    export_devices: bool = False
    export_builtins_by_slid: bool = False  # also where the table of exports says so
    veneers: Veneers = ""  # stubs for far branches: ``v6m`` for Armv6-M and Armv8-M Baseline, else ``v7m``
    log_level_dbg: bool = True  # sym_tab is kept after loading; Zephyr's own default is to free it
    max_domain_partitions: int = 16  # CONFIG_MAX_DOMAIN_PARTITIONS
    mpu_regions: int = 8  # of the MPU, or entries of the PMP
    mpu_static: int = 2  # of them the firmware's own: flash and RAM

    def check(self) -> None:
        """Whether each option has a value of its kind.

        Raises:
            UsageError: ``usage``.
        """
        for name, kind in (("heap", HeapKind), ("protection", Protection), ("veneers", Veneers)):
            value = getattr(self, name)
            if value not in get_args(kind):
                known = ", ".join(f"`{each}`" for each in get_args(kind))
                fail("usage", f"Config: `{name}` cannot be `{value}`", help=f"it is one of {known}")
        for name, default in zip(self._fields, type(self)(), strict=True):
            value = getattr(self, name)
            if isinstance(default, int) and not isinstance(value, int):
                fail("usage", f"Config: `{name}` is a number, not `{value}`")

    @property
    def max_partitions(self) -> int:
        """How many partitions a domain can have: ``arch_mem_domain_max_partitions_get()``.

        An MMU has no limit of its own. Of an MPU's regions the thread's stack takes one.
        """
        if self.protection == "page":
            return self.max_domain_partitions
        return min(self.max_domain_partitions, self.mpu_regions - self.mpu_static - 1)

    def number(self, mem: Mem) -> str:
        """A region as the log names it: ``1 (DATA)``. VENEER changes the numbers of those behind it."""
        return f"{mem - (mem > Mem.VENEER and not self.veneers)} ({mem.name})"

    @property
    def grain(self) -> int:
        """What sizes and addresses of protected memory are multiples of: a page of 4 KiB, 4 bytes of a PMP."""
        return self.granularity or {"page": 4 * KIB, "pmp": 4}.get(self.protection, 1)

    @property
    def userspace(self) -> bool:
        """CONFIG_USERSPACE: user mode and memory domains."""
        return self.protection != "none"
