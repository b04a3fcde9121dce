"""What went wrong in emulated code, as diagnostics: stops of the machine, and access that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from llext_tools.diag import Location, number
from llext_tools.host.areas import Area, Firmware
from llext_tools.host.memory import AccessError
from llext_tools.host.places import Places
from llext_tools.machine.protocol import Stop
from llext_tools.mem import Perm
from llext_tools.pages import PAGE

FRAME = 1 << 24
"""Bytes: a stack pointer further below its stack is no overflow, but a number that is no address."""

NEEDED = {"read": Perm.R, "write": Perm.W, "execute": Perm.X}


def explain_access(guest: Places, error: AccessError) -> NoReturn:
    name = guest.frames.inside[-1]
    guest.stop = Stop(reason=error.reason, pc=guest.machine.get(guest.conv.pc), address=error.address, size=error.size)
    refuse_access(guest, f"`{name}`", error.reason, error.address, error.size, guest.where_now(), called=True)


def explain(guest: Places, stop: Stop) -> NoReturn:
    """Turn a stop that is not a call into a diagnostic."""
    guest.stop = stop
    where = guest.location(stop.pc)
    who = f"`{where.function}`" if where and where.function else f"the code at {stop.pc:#010x}"
    if stop.reason == "timeout":
        late(guest, who, where)
    if stop.reason == "limit":
        text = f"{who} was still running after {guest.limits.instructions:,} instructions"
        guest.fail("run-instructions", text, where, help="an endless loop, or `--max-instructions` is too small")
    if stop.reason in ("read", "write"):
        refuse_access(guest, who, stop.reason, stop.address, stop.size, where, value=stop.value, pc=stop.pc)
    if stop.reason in ("execute", "state"):
        refuse_jump(guest, stop)
    why = REASONS.get(stop.reason) or Why(f"raised exception {stop.value} of the CPU")
    _, note, cure = (text.format(target=guest.target.name) for text in why)
    pc = f"instruction at {stop.pc:#010x}{code_at(guest, stop.pc)}"
    guest.fail("run-fault", f"{who} {why.what}", where, detail=(pc,), notes=(note,) if note else (), help=cure)


def late(guest: Places, who: str, where: Location | None) -> NoReturn:
    """Raises:
    LimitError: ``run-timeout``."""
    text = f"{who} was still running after {guest.limits.seconds:g} s"
    guest.fail("run-timeout", text, where, help="an endless loop, or `--timeout` is too short")


class Why(NamedTuple):
    """What an instruction did wrong, a note, help. ``{target}`` stands for the CPU."""

    what: str
    note: str = ""
    help: str = ""


REASONS: Mapping[str, Why] = {
    "undefined": Why(
        "executes an undefined instruction",
        "compilers put one where code cannot be reached (`__builtin_trap()`, a missing `return`)",
        "is the extension built for {target}?",
    ),
    "unaligned": Why(
        "accesses memory at an address that is not aligned",
        "{target} faults on such an access",
        "copy packed data with memcpy(), or compile with `-mno-unaligned-access`",
    ),
    "no-fpu": Why(
        "uses the FPU or another coprocessor, which this CPU does not have",
        help="is the extension built for {target}?",
    ),
    "breakpoint": Why("stops at a breakpoint instruction", "without a debugger a board faults there"),
    "supervisor": Why("makes a system call, and this host has no kernel behind it"),
    "exception-return": Why("returns from an exception, but runs in none"),
}
"""Why a machine stops at an instruction, by the reason of its ``Stop``."""


def refuse_access(
    guest: Places,
    who: str,
    reason: str,
    address: int,
    size: int,
    where: Location | None,
    *,
    value: int = 0,
    pc: int | None = None,
    called: bool = False,
) -> NoReturn:
    verb = "reads" if reason == "read" else "writes"
    count = number(size, "byte")
    area = guest.memory.at(address)
    export = guest.functions.get(address & ~1)
    notes: tuple[str, ...] = ()
    cure = ""
    able = "readable" if reason == "read" else "writable"
    refused = None if area is None else guest.memory.refused(NEEDED[reason], address, size)
    if area is not None and refused is not None:
        message = f"{who} {verb} {count} at {address:#010x}{outside(guest, area, refused)}"
        cure = guest.memory.view.help if guest.memory.view else ""
    elif area is None and (stack := overflown(guest, address)):
        refuse_stack(guest, f"{who} overflows the stack of {stack.end - stack.start:,} bytes", where)
    elif area is None:
        message = f"{who} {verb} {count} at {address:#010x}, where there is no memory"
        notes = (null_note(address),) if address < PAGE else ()
        cure = device_help(guest, address, pc)
    elif export is not None or area.perm == Perm.X:
        message = f"{who} {verb} {count} at {address:#010x}, which is the host's and has no contents here"
        notes = (f"it is the export `{export[0].name}`",) if export else ()
        if guest.by_table:
            cure = "give the firmware's image by `--firmware zephyr.elf`: a table has addresses, and no contents"
    else:
        message = f"{who} {verb} {count} at {address:#010x}, which is not {able}"
    detail = [f"{address:#010x} is {text}" for text in (guest.describe(address),) if text and export is None]
    if called:
        detail.append(f"called from {guest.caller()}")
    else:
        written = f", value {value:#0{2 * size + 2}x}" if reason == "write" else ""
        detail.insert(0, f"{reason} of {count}{written}, by the instruction at {pc or 0:#010x}")
    guest.fail("run-fault", message, where, detail=tuple(detail), notes=notes, help=cure)


def device_help(guest: Places, address: int, pc: int | None) -> str:
    """How to declare a device at an address where there may be one."""
    meant = any(start <= address < end for start, end in guest.arch.peripherals)
    area = guest.memory.at(pc) if pc is not None else None
    by_firmware = area is not None and isinstance(area.owner, Firmware) and address >= PAGE
    if not guest.device_kinds or not (meant or by_firmware):
        return ""
    kinds = f"{', '.join(guest.device_kinds[:-1])} or {guest.device_kinds[-1]}"
    return f"if a peripheral is there, declare it: `--mmio {address // PAGE * PAGE:#x}+4K=KIND`; KIND is {kinds}"


def overflown(guest: Places, address: int) -> Area | None:
    """The stack that an access to memory below it has left: close to it, or together with the stack pointer."""
    stack = guest.frames.stack
    if stack is None or address >= stack.start:
        return None
    sp = guest.machine.get(guest.conv.sp)
    beyond = stack.start - FRAME <= sp - PAGE <= address
    return stack if beyond or address >= stack.start - PAGE else None


def refuse_stack(guest: Places, message: str, where: Location | None) -> NoReturn:
    """Raises:
    LimitError: ``run-stack``."""
    cure = "endless recursion, or local variables that are too large; `--stack-size` gives more"
    guest.fail("run-stack", message, where, help=cure)


def outside(guest: Places, area: Area, address: int) -> str:
    """The end of a sentence about an access to ``area`` that the view refuses at ``address``."""
    assert guest.memory.view is not None
    place = "the host's memory" if area.perm == Perm.X and area.owner is None else guest.region(area)
    return f", in {place}: {guest.memory.view.why(address)}"


def refuse_jump(guest: Places, stop: Stop) -> NoReturn:
    """``execute``: the address is no code. ``state``: it is, but without the Thumb bit."""
    address = stop.pc
    export = guest.functions.get(address)
    name = export[0].name if export else guest.name_of(address)
    target = f"`{name}` at {address:#010x}" if name != f"{address:#010x}" else f"{address:#010x}"
    area = guest.memory.at(address)
    who, where = guest.caller(), guest.where_now()
    notes: tuple[str, ...] = ()
    cure = ""
    if address <= guest.arch.thumb and area is None:
        message = f"{who} calls a null pointer"
        notes = ("a weak symbol that nobody defines is null",)
    elif stop.reason == "state" and area is not None and Perm.X in area.perm:
        message = f"{who} calls {target} without the Thumb bit"
        notes = ("bit 0 of the address is clear: the CPU would switch to Arm code, which it does not have",)
        cure = f"in assembly, mark the label as a function: `.thumb_func` or `.type {name}, %function`"
        if export is not None:
            given = export[0].address
            odd = f"the table of exports gives {given:#010x}; a Thumb function's address is odd: {given | 1:#010x}"
            cure = "" if given & 1 else odd
    elif area is None:
        message = f"{who} jumps to {target}, where there is no memory"
        notes = (null_note(address),) if address < PAGE else ()
    elif guest.memory.refused(Perm.X, address, 1) is not None:
        message = f"{who} jumps to {target}{outside(guest, area, address)}"
        cure = guest.memory.view.help if guest.memory.view else ""
    elif Perm.X in area.perm:
        message = f"{who} jumps to {target}, where the host has no function"
    else:
        message = f"{who} jumps to {target}, which is not executable"
    detail = tuple(f"{address:#010x} is {text}" for text in (guest.describe(address),) if text and not export)
    guest.fail("run-fault", message, where, detail=detail, notes=notes, help=cure)


def code_at(guest: Places, pc: int) -> str:
    area = guest.memory.at(pc)
    if area is None or area.owner is None:
        return ""
    code = guest.memory.peek(pc, min(4, area.end - pc) & ~1)
    return ": " + " ".join(code[i : i + 2][::-1].hex() for i in range(0, len(code), 2))


def null_note(address: int) -> str:
    """What an access to the first page comes from."""
    near = f"{address:#x} is near null: a member of a null pointer's structure, or a number that is no address"
    return near if address else "a null pointer was used"
