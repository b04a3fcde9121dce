"""The functions of ``llext.h`` that call what was loaded, and those of memory domains.

A call is made by a thread of the kernel's, or by one of a memory domain: ``domain`` names it, and ``user`` says whether
the thread is in user mode, where it has that domain and its stack and nothing else.
Source: Zephyr, ``subsys/llext/llext.c``, ``llext_handlers.c`` and ``llext_mem.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Self

from llext_tools.diag import CODES, Diagnostic, Location
from llext_tools.errors import LlextError
from llext_tools.llext.config import Config
from llext_tools.llext.domain import MemDomain
from llext_tools.llext.ext import Llext, Symbol
from llext_tools.llext.log import Level, Log, ret
from llext_tools.llext.memory import PARTITIONS
from llext_tools.llext.source import POINTER
from llext_tools.llext.space import Space
from llext_tools.mem import Mem, Partition, Perm
from llext_tools.profile import Profile

if TYPE_CHECKING:
    from llext_tools.c.types import Prototype
    from llext_tools.llext.execute import Cpu

VOID = "void function(void)"
ENTRY = "void function(void *user_data)"
ARRAYS = {True: (Mem.PREINIT, Mem.INIT), False: (Mem.FINI,)}
RETURNED = ("no-extension", "run-bringup")
"""Errors that bringup and teardown return; others are faults of the code that they call."""
WHAT = {True: "bringup", False: "teardown"}


class Calls:
    """The half of a ``Runtime`` that runs. What does not need a CPU works without one, too."""

    bits: int
    config: Config
    profile: Profile
    log: Log
    space: Space
    cpu: Cpu | None

    _loaded: list[Llext]

    def find_sym(self, table: tuple[Symbol, ...] | None, name: str | int) -> int | None:
        raise NotImplementedError

    def call_fn(self, ext: Llext, name: str, *, domain: MemDomain | None = None, user: bool = True) -> int:
        """Call a ``void function(void)`` that the extension exports; 0. Arrays of functions are not called.

        Raises:
            LlextError: ``ENOENT`` if ``exp_tab`` does not have the name; FaultError and LimitError for what the
                function does wrong.
        """
        address = self.find_sym(ext.exp_tab, name)
        if address is None:
            self._unknown(ext, name)
        self._call(ext, address, VOID, domain=domain, user=user)
        return 0

    def call(
        self,
        ext: Llext,
        name: str,
        prototype: str = VOID,
        *values: Any,
        domain: MemDomain | None = None,
        user: bool = True,
    ) -> Any:
        """Call a function with arguments: ``call(ext, "add", "int add(int a, int b)", 1, 2)``; what it returns.

        Args:
            name: of a function that the extension exports, else of any global one.
            prototype: in C.
            values: of all its parameters; a text becomes a pointer to it.
        Raises:
            LlextError: as ``call_fn()``.
        """
        address = self.find_sym(ext.exp_tab, name) or self._cpu.global_function(ext, name)
        if not address:
            self._unknown(ext, name)
        parsed = self._cpu.guest.prototype(prototype)
        if parsed.variadic or len(values) != len(parsed.params):
            text = f"`{parsed}` is called with {len(values)} arguments"
            self._refuse("", "call-syntax", text, "a variadic function cannot be called" if parsed.variadic else "")
        return self._call(ext, address, parsed, values, domain=domain, user=user)

    def bringup(self, ext: Llext | None, *, domain: MemDomain | None = None, user: bool = True) -> int:
        """Call the functions of PREINIT and INIT, in the order of the arrays; 0.

        Raises:
            LlextError: ``EINVAL`` for no extension, ``EFAULT`` for a pointer that is not into the extension's TEXT.
                Loaders of ``checks_fn_table_first`` have called nothing then, others all that is in front of it.
        """
        return self._call_array(ext, True, domain=domain, user=user)

    def teardown(self, ext: Llext | None, *, domain: MemDomain | None = None, user: bool = True) -> int:
        """Call the functions of FINI, in the order of the array as well; 0.

        Raises:
            LlextError: as ``bringup()``.
        """
        return self._call_array(ext, False, domain=domain, user=user)

    def bootstrap(
        self,
        ext: Llext | None,
        fn: str | int | Callable[[Any], object],
        arg: Any = 0,
        *,
        domain: MemDomain | None = None,
        user: bool = True,
    ) -> None:
        """Bring an extension up, call ``fn(arg)``, tear it down.

        What bringup or teardown return as an error is logged, and ends it there, as in a thread that nobody asks.

        Args:
            fn: the name or address of a ``void fn(void *)`` in the extension, or a function of the host's in Python.
            arg: for a function in the extension a number, an address or a text.
        Raises:
            LlextError: ``ENOENT`` for a name that is not exported; FaultError and LimitError from what is called.
        """
        address = fn if isinstance(fn, int) else 0
        if isinstance(fn, str) and ext is not None:
            address = self.find_sym(ext.exp_tab, fn) or self._unknown(ext, fn)
        try:
            self.bringup(ext, domain=domain, user=user)
        except LlextError as error:
            if error.diagnostics[0].code not in RETURNED:
                raise
            self.log(Level.ERR, "the functions of bringup were not all called: {}", ret(error.errno))
            return
        assert ext is not None
        self.log(Level.DBG, "calling the entry function with {}", arg)
        if callable(fn):
            fn(arg)
        else:
            self._call(ext, address, ENTRY, (arg,), domain=domain, user=user)
        try:
            self.teardown(ext, domain=domain, user=user)
        except LlextError as error:
            if error.diagnostics[0].code not in RETURNED:
                raise
            self.log(Level.ERR, "the functions of teardown were not all called: {}", ret(error.errno))

    def get_fn_table(self, ext: Llext | None, bringup: bool, size: int | None = None) -> tuple[int, tuple[int, ...]]:
        """The table of functions for bringup or teardown, as ``llext_get_fn_table()`` gives it.

        Returns:
            Bytes of the table, and with a ``size`` its pointers.
        Raises:
            LlextError: ``EINVAL`` for no extension, ``ENOMEM`` if the table is larger than ``size`` bytes, ``EFAULT``
                if a pointer is not into the extension's TEXT.
        """
        found = self._table(ext, bringup)
        if size is None:
            return found
        if size < found[0]:
            text = f"the table for {WHAT[bringup]} has {found[0]:,} bytes, the buffer {size:,}"
            self._refuse("ENOMEM", "fn-table-small", text)
        assert ext is not None
        for i in range(len(found[1])):
            self._check_pointer(ext, bringup, i, found[1][i])
        return found

    def get_fn_table_entry(self, ext: Llext | None, bringup: bool, index: int | None = None) -> int:
        """The bytes of that table, or with an ``index`` a pointer of it: ``llext_get_fn_table_entry()``.

        Raises:
            LlextError: ``EINVAL`` for no extension or no such pointer, ``EFAULT`` as ``get_fn_table()``.
        """
        size, pointers = self._table(ext, bringup)
        if index is None:
            return size
        if not 0 <= index < len(pointers):
            text = f"the table for {WHAT[bringup]} has {len(pointers)} pointers, none of index {index}"
            self._refuse("EINVAL", "fn-table-small", text)
        assert ext is not None
        return self._check_pointer(ext, bringup, index, pointers[index])

    def mem_domain(self, *partitions: Partition) -> MemDomain:
        """A memory domain of this firmware: ``k_mem_domain_init()``."""
        return MemDomain(self.config, partitions, bits=self.bits)

    @property
    def malloc_partition(self) -> Partition:
        """The memory that the built-in host's malloc() gives out: ``z_malloc_partition``."""
        return self._cpu.malloc_partition

    def add_domain(self, ext: Llext, domain: MemDomain) -> int:
        """Give a domain the partitions of an extension; 0. Those in front of one that is refused stay in it.

        Raises:
            LlextError: ``ENOSYS`` for a firmware without user mode, ``ENOSPC`` if the domain has no room, ``EINVAL``
                for a partition that overlaps another or is none of the firmware's memory protection.
        """
        self._check_userspace()
        self._check_loaded(ext)
        for mem in PARTITIONS:
            if not ext.mem_size.get(mem):
                continue
            try:
                domain.add_partition(ext.mem_parts.get(mem) or Partition(0, 0, Perm(0), mem.name))
            except LlextError:
                self.log(Level.ERR, "partition {} was not added to the domain", self.config.number(mem))
                raise
        return 0

    # What a run leaves.

    @property
    def output(self) -> str:
        """What extensions have printed."""
        return self.cpu.output.text if self.cpu is not None else ""

    def read(self, address: int, size: int) -> bytes:
        """Memory, whatever protects it.

        Raises:
            LlextError: ``usage``, there is no memory.
        """
        self._check_memory(address, size)
        return self._cpu.machine.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Change memory, whatever protects it.

        Raises:
            LlextError: as ``read()``.
        """
        self._check_memory(address, len(data))
        self._cpu.machine.write(address, data)

    @property
    def mapped(self) -> tuple[tuple[int, int, Perm], ...]:
        """The memory that the CPU has: start, end and permissions of each range. Nothing after ``close()``."""
        if self.cpu is None:
            return ()
        self.cpu.sync()
        return self.cpu.machine.regions

    def close(self) -> None:
        """Give the CPU back, with all its memory."""
        if self.cpu is not None:
            self.cpu.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Helpers.

    @property
    def _cpu(self) -> Cpu:
        if self.cpu is None:
            self._refuse("", "usage", "this runtime only loads: it has no CPU", "make it with `Runtime.on(target)`")
        if self.cpu.closed:
            self._refuse("", "usage", "this runtime has been closed")
        return self.cpu

    def _call(
        self,
        ext: Llext,
        address: int,
        prototype: str | Prototype,
        values: Iterable[Any] = (),
        *,
        domain: MemDomain | None,
        user: bool,
    ) -> Any:
        cpu = self._cpu
        self._check_loaded(ext)
        if domain is not None:
            self._check_userspace()
        parsed = cpu.guest.prototype(prototype) if isinstance(prototype, str) else prototype
        return cpu.call(ext, address, parsed, tuple(values), domain=domain, user=user)

    def _call_array(self, ext: Llext | None, bringup: bool, *, domain: MemDomain | None, user: bool) -> int:
        size, pointers = self.get_fn_table(ext, bringup)
        assert ext is not None
        first = self.profile.checks_fn_table_first
        if first:
            pointers = self.get_fn_table(ext, bringup, size)[1]
        for i in range(len(pointers)):
            pointer = pointers[i] if first else self.get_fn_table_entry(ext, bringup, i)
            self.log(Level.DBG, "calling {} function {:#x}()", WHAT[bringup], pointer)
            self._call(ext, pointer, VOID, domain=domain, user=user)
        return 0

    def _table(self, ext: Llext | None, bringup: bool) -> tuple[int, tuple[int, ...]]:
        """Bytes and pointers, unchecked."""
        if ext is None:
            self._refuse("EINVAL", "no-extension", f"there is no extension for {WHAT[bringup]}")
        self._check_loaded(ext)
        word = POINTER[self.bits]
        data = b"".join(self._region(ext, mem) for mem in ARRAYS[bringup])
        return len(data), tuple(
            int.from_bytes(data[i : i + word], "little") for i in range(0, len(data) // word * word, word)
        )

    def _region(self, ext: Llext, mem: Mem) -> bytes:
        size = ext.mem_size.get(mem, 0)
        return self.space.view(ext.mem[mem], size).tobytes() if size else b""

    def _check_pointer(self, ext: Llext, bringup: bool, i: int, pointer: int) -> int:
        start = ext.mem.get(Mem.TEXT, 0)
        end = start + ext.mem_size.get(Mem.TEXT, 0)
        if start <= pointer < end:
            return pointer
        self.log(Level.ERR, "function {} for {} is outside of TEXT: {:#x}", i, WHAT[bringup], pointer)
        text = f"function {i} for {WHAT[bringup]} is at {pointer:#010x}, outside of the extension's code"
        cure = "a constructor that was left out of TEXT, or a weak function that nobody defines"
        found = Diagnostic("run-bringup", text, location=Location(ext.name), help=cure)
        detail = f"TEXT is {start:#010x} to {end - 1:#010x}" if end else "the extension has no TEXT"
        raise CODES[found.code].error((found._replace(detail=(detail,)),), errno="EFAULT")

    def _check_loaded(self, ext: Llext) -> None:
        """That the extension is there: where C has a null pointer, here there still is an object."""
        if not any(each is ext for each in self._loaded):
            self._refuse("EINVAL", "no-extension", f"`{ext.name}` has been unloaded")

    def _check_memory(self, address: int, size: int) -> None:
        self._cpu.sync()
        if size and not any(start <= address and address + size <= end for start, end in self._cpu.spans):
            self._refuse("", "usage", f"there is no memory of {size:,} bytes at {address:#010x}")

    def _check_userspace(self) -> None:
        if not self.config.userspace:
            text = "the firmware has no user mode and no memory domains"
            self._refuse("ENOSYS", "no-userspace", text, "give its Config the kind of memory protection that it has")

    def _unknown(self, ext: Llext, name: str) -> NoReturn:
        offered = ", ".join(f"`{symbol.name}`" for symbol in ext.exp_tab[:8]) or "nothing"
        text = f"`{ext.name}` does not export `{name}`"
        found = Diagnostic(
            "call-unknown",
            text,
            location=Location(ext.name),
            detail=(f"it exports {offered}",),
            help=f"`LL_EXTENSION_SYMBOL({name});` in the source exports it",
        )
        raise CODES[found.code].error((found,), errno="ENOENT")

    @staticmethod
    def _refuse(errno: str, code: str, text: str, cure: str = "") -> NoReturn:
        raise CODES[code].error((Diagnostic(code, text, help=cure),), errno=errno)
