"""The processor of a runtime: the loader's memory on an emulated CPU, and calls of what is in it.

The CPU uses the loader's memory where it is, so that loading costs it nothing but forgetting the code that it has
translated before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from llext_tools import arch as archs
from llext_tools.arch.base import Arch, Target
from llext_tools.c.types import Value
from llext_tools.host import builtin
from llext_tools.host.guest import Guest, HostFunction, Output
from llext_tools.host.memory import free
from llext_tools.link.exports import ExportTable
from llext_tools.llext.config import Config
from llext_tools.llext.ext import Llext
from llext_tools.llext.space import Segment, Space
from llext_tools.machine.protocol import PAGE
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.mem import PERM, Perm

RWX = Perm.R | Perm.W | Perm.X
NEAR = 1 << 16  # bytes between the host's functions and the heap: a BL reaches across


def host_exports(arch: Arch, bits: int, config: Config) -> ExportTable:
    """The built-in host's functions, at addresses near the heap."""
    taken = [(config.heap_start, config.heap_start + config.heap_size)]
    near = max(config.heap_start - NEAR, NEAR) & -PAGE
    return builtin.exports(arch, free(taken, PAGE, near, 1 << bits))


class Cpu:
    """An emulated CPU with the memory of ``space``.

    Args:
        exports: of the firmware.
        functions: by name, what runs where an extension calls an export; the built-in host's if None.
        timeout: seconds for each call.
    """

    def __init__(
        self,
        target: Target,
        space: Space,
        exports: ExportTable,
        *,
        functions: Mapping[str, HostFunction] | None,
        timeout: float,
        output_limit: int,
        sink: Callable[[bytes], None] | None,
    ) -> None:
        arch = archs.load(target.arch)
        self.target, self.space, self.timeout = target, space, timeout
        self.machine = UnicornMachine(target.emulator, arch.callconv.pc)
        self.output = Output(output_limit, sink)
        self.guest = Guest(target, arch, self.machine, deadline=0.0, limit=timeout, output=self.output)
        self._mapped: list[Segment] = []
        self.sync()
        self.guest.add_exports(exports.symbols, builtin.BY_NAME if functions is None else functions)
        self.guest.start()

    def sync(self) -> None:
        """Map what the loader has added to its memory, unmap what it has taken away."""
        now = self.space.segments
        for old in [each for each in self._mapped if not any(each is other for other in now)]:
            self._mapped.remove(old)
            self.machine.unmap(old.page, old.pages.size)
            self.guest.memory.drop(old.start)
        for new in now:
            if not any(new is each for each in self._mapped):
                self._mapped.append(new)
                self.machine.map_shared(new.page, new.pages, RWX)
                self.guest.memory.add_ground("the loader's memory", new.start, new.end, RWX)

    def loaded(self, ext: Llext) -> None:
        """The loader has written an extension."""
        for mem in ext.mem:
            if mem in PERM:
                self.machine.changed(ext.mem[mem], ext.mem_size[mem])

    def call(self, address: int, prototype: str, *values: Value) -> Value:
        """Call a function in the extension.

        Raises:
            FaultError, LimitError: it did not return.
        """
        parsed = self.guest.prototype(prototype)
        self.sync()
        self.guest.deadline = time.monotonic() + self.timeout
        return self.guest.call(address, parsed, parsed.params, values)

    def close(self) -> None:
        self.guest.close()
