"""Memory domains: which memory the threads of a domain may use, as partitions.

Source: Zephyr, ``kernel/mem_domain.c`` for the checks and their order, ``arch/arm/core/mpu/arm_mpu.c`` and
``arch/riscv/core/pmp.c`` for what a region of an MPU can be.
"""

from __future__ import annotations

from collections.abc import Iterable

from llext_tools.diag import CODES, Diagnostic
from llext_tools.errors import LlextError
from llext_tools.llext.config import Config
from llext_tools.llext.heap import MPU_MINIMUM
from llext_tools.mem import Partition


class MemDomain:
    """``struct k_mem_domain``. ``limit``: how many partitions the firmware has room for."""

    def __init__(self, config: Config, partitions: Iterable[Partition] = (), *, bits: int = 32) -> None:
        """A domain of a firmware.

        Raises:
            LlextError: ``EINVAL``, as ``add_partition()``, and for too many partitions as well.
        """
        self.config, self.bits = config, bits
        self.limit = config.max_partitions
        self.partitions: tuple[Partition, ...] = ()
        given = tuple(partitions)
        if len(given) > self.limit:
            raise _error("EINVAL", "domain-full", f"{len(given)} partitions, but there is room for {self.limit}")
        for partition in given:
            self.add_partition(partition)

    def add_partition(self, partition: Partition) -> int:
        """Add a partition; 0.

        Raises:
            LlextError: ``EINVAL`` for a partition that is empty, wraps, overlaps another or is no region of the MPU,
                ``ENOSPC`` if there is no room for one more.
        """
        wrong = self._wrong(partition)
        if wrong:
            text = f"partition {partition.name} ({partition.size:,} bytes at {partition.start:#010x}) {wrong}"
            raise _error("EINVAL", "domain-partition", text)
        if len(self.partitions) >= self.limit:
            text = f"no room for partition {partition.name}: the domain has {self.limit} already"
            cure = "give the extension fewer regions, or its threads a domain of their own"
            raise _error("ENOSPC", "domain-full", text, cure)
        self.partitions = (*self.partitions, partition)
        return 0

    def remove_partition(self, partition: Partition) -> int:
        """Remove the partition of the same start and size; 0.

        Raises:
            LlextError: ``ENOENT`` if there is none.
        """
        left = tuple(each for each in self.partitions if each[:2] != partition[:2])
        if len(left) == len(self.partitions):
            text = f"the domain has no partition of {partition.size:,} bytes at {partition.start:#010x}"
            raise _error("ENOENT", "domain-partition", text)
        self.partitions = left
        return 0

    def find(self, address: int) -> Partition | None:
        """The partition that an address is in."""
        return next((each for each in self.partitions if each.start <= address < each.end), None)

    def _wrong(self, partition: Partition) -> str:
        """What is wrong with a partition, "" if nothing is."""
        start, size = partition[:2]
        if not size:
            return "is empty"
        if start + size >= 1 << self.bits:
            return "goes round the end of the address space"
        for each in self.partitions:
            if start < each.end and each.start < start + size:
                return f"overlaps partition {each.name} ({each.size:,} bytes at {each.start:#010x})"
        kind = self.config.protection
        if kind == "mpu-pow2" and (size & (size - 1) or size < MPU_MINIMUM or start % size):
            return "is no region of this MPU: its size is a power of two, its start a multiple of the size"
        step = {"mpu-32": MPU_MINIMUM, "pmp": self.config.grain, "page": self.config.grain}.get(kind, 1)
        if start % step or size % step:
            return f"is no region of this memory protection: start and size are multiples of {step:,}"
        return ""


def _error(errno: str, code: str, text: str, cure: str = "") -> LlextError:
    return CODES[code].error((Diagnostic(code, text, help=cure),), errno=errno)
