"""What of a Zephyr image does not run here, and what takes its place.

Nobody has booted the image: its kernel has no threads, no clock ticks, its console has no driver and its heaps were
never set up. Functions that need one of these are stood in for, by the host's functions of the same names, wherever
the extension or the image itself calls them. Everything else is the image's own code.

The image tells where the members of kernel objects are (debug information) and how fast its clocks are: its build
leaves the values of its configuration as absolute symbols.
Source: Zephyr 4.2, ``misc/generated/configs.c`` of a build; ``kernel_structs.h``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin, kernel
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import Kernel
from llext_tools.host.kernel.records import RECORDS, Record, Records, described
from llext_tools.host.output import LOGGING
from llext_tools.host.places import Frames
from llext_tools.link.exports import IMPLEMENTATION, Export

CONSOLE = ("printk", "vprintk", "printf", "vprintf", "puts", "putchar")
HEAP = ("malloc", "calloc", "realloc", "aligned_alloc", "free",
        "k_malloc", "k_calloc", "k_realloc", "k_aligned_alloc", "k_free")  # fmt: skip
ENDS = ("abort", "assert_post_action")
"""Functions of the built-in host that stand in for the image's, beside those of the kernel."""

TICKS, CYCLES = "CONFIG_SYS_CLOCK_TICKS_PER_SEC", "CONFIG_SYS_CLOCK_HW_CYCLES_PER_SEC"
KERNEL, MAIN = "_kernel", "z_main_thread"
SWITCHES = ("z_pend_curr", "z_pend_curr_unlocked", "z_pend_thread", "z_add_timeout", "arch_swap")
"""What only a booted scheduler can do: called by functions of the kernel that have no stand-in."""

GIVES_WAY = ("z_reschedule", "z_reschedule_irqlock", "z_reschedule_unlocked")
CURRENT = 2
"""Words from ``_kernel`` to its pointer to the running thread, on one CPU; so it was in all releases since 2.0."""


def no_scheduler(guest: Guest) -> None:
    """Raises:
    FaultError: ``run-missing-code``."""
    guest.fail(
        "run-missing-code",
        f"{guest.caller()} needs the scheduler of the image, which nobody has booted",
        guest.where_now(),
        detail=(f"it calls `{guest.frames.inside[-1]}`",),
        help="override the function of the kernel that the extension calls, or let it not wait: `K_NO_WAIT`",
    )


def give_way(guest: Guest) -> None:
    kernel.kernel_of(guest).reschedule()


STAND_INS: Mapping[str, HostFunction] = {
    **{name: builtin.BY_NAME[name] for name in (*CONSOLE, *HEAP, *ENDS)},
    **{function.name: function for function in (*LOGGING, *kernel.FUNCTIONS)},
    **{name: HostFunction(name, f"void {name}(void)", no_scheduler) for name in SWITCHES},
    **{name: HostFunction(name, f"void {name}(void)", give_way) for name in GIVES_WAY},
}


def is_zephyr(obj: ElfObject) -> bool:
    """Whether a linked image is one of Zephyr: it has a kernel and the code of system calls."""
    if f"\0{KERNEL}\0".encode() not in obj.symbols.strtab:
        return False
    names = {name for _, name in defined(obj)}
    return KERNEL in names and any(name.startswith(IMPLEMENTATION) for name in names)


def defined(obj: ElfObject) -> Iterator[tuple[int, str]]:
    """The global symbols of an image: index and name."""
    y = obj.symbols
    for i in np.flatnonzero((y.bind != elf.STB_LOCAL) & (y.shndx != elf.SHN_UNDEF) & (y.name_at > 0)).tolist():
        yield i, y.name(i)


def stand_in(guest: Guest, firmware: Iterable[ElfObject], kept: Iterable[str]) -> bool:
    """Put the host's functions in the place of a Zephyr image's own, after ``add_exports()``.

    Args:
        kept: functions that somebody else has overridden.
    Returns:
        Whether there is a Zephyr image.
    """
    image = next((obj for obj in firmware if is_zephyr(obj)), None)
    if image is None:
        return False
    values = {name: int(image.symbols.value[i]) for i, name in defined(image)}
    functions = {name for i, name in defined(image) if image.symbols.type[i] == elf.STT_FUNC}
    taken = set(kept) | {export.name for export, function in guest.functions.values() if function}
    for name in sorted(STAND_INS.keys() & functions - taken):
        guest.replace(Export(name, values[name], "func"), STAND_INS[name])
    model = with_layouts(guest, image)
    model.ticks_per_second = values.get(TICKS) or model.ticks_per_second
    model.cycles_per_second = values.get(CYCLES) or model.cycles_per_second
    model.main.address = values.get(MAIN, 0)
    follow(guest, model, values[KERNEL] + CURRENT * guest.model.word)
    return True


def with_layouts(guest: Guest, obj: ElfObject) -> Kernel:
    """A kernel whose objects are as a file's debug information has them; that is read when it is needed."""
    guest.kernel = Kernel(guest, Records(guest, lambda: layouts(obj, guest.model.word)))
    return guest.kernel


def layouts(obj: ElfObject, word: int) -> Mapping[str, Record]:
    from llext_tools.abi.dwarf import read_types  # needs pyelftools

    types = read_types(obj, [f"struct {name}" for name in RECORDS])
    found = {name: types.get(f"struct {name}") for name in RECORDS}
    return {name: described(layout, word, types) for name, layout in found.items() if layout}


def follow(guest: Guest, model: Kernel, place: int) -> None:
    """Let the image's code see which thread runs."""

    def note(_: Frames | None = None) -> None:
        guest.memory.poke(place, model.current_address.to_bytes(guest.model.word, "little"))

    note()
    guest.on_switch.append(note)


def built_in_its_tree(obj: ElfObject) -> bool:
    """Whether an extension was compiled with Zephyr's own headers: it imports the code of system calls."""
    return any(name.startswith(IMPLEMENTATION) for name in obj.symbols.names(obj.symbols.undefined.tolist()))
