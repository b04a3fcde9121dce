"""Is an object for a certain CPU? The loader compares ELF's class and machine only; the rest would show as a fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llext_tools.arch import by_machine, discover, machine_name, target, targets
from llext_tools.arch.base import Cpu
from llext_tools.diag import Diagnostic, Location, Reporter
from llext_tools.elf.model import ElfObject


def check_target(obj: ElfObject, name: str, reporter: Reporter) -> None:
    """Report ``elf-target`` if ``obj`` cannot run on the target of that name.

    Raises:
        UsageError: ``target-unknown``.
    """
    reporter.add(target_misfit(obj, name))


def target_misfit(obj: ElfObject, name: str, firmware: Cpu | None = None) -> Iterator[Diagnostic]:
    """``elf-target``: code that cannot run on the target of that name.

    Args:
        firmware: what the firmware is compiled for, if that is known.
    Raises:
        UsageError: ``target-unknown``.
    """
    wanted = target(name)
    if obj.machine and by_machine(obj.machine) is None:
        return  # reported by whoever looks for the architecture
    why = _misfit(obj, name)
    if not why:
        return
    fitting = fitting_targets(obj)
    suited = suited_targets(firmware)
    cure = f"compile it with `LLEXT_TARGET={wanted.name}`"
    if firmware and suited and not any(arch.goes_with(firmware, wanted) for arch in discover()):
        cure = f"the firmware is not for {wanted.name}: give {as_options(suited)}"
        if not set(suited) & {*fitting}:
            cure += f", and compile it with {as_variables(suited)}"
    yield Diagnostic(
        "elf-target",
        f"the object is {why}, but it is to run on {wanted.name}",
        location=Location(file=obj.path),
        notes=(f"it fits {', '.join(fitting)}",) if fitting else (),
        help=cure,
    )


def suited_targets(firmware: Cpu | None) -> tuple[str, ...]:
    """The targets to compile extensions for, beside a firmware; none if it is not known what that is for."""
    return tuple(name for arch in discover() for name in arch.suited(firmware)) if firmware else ()


def as_variables(names: Iterable[str]) -> str:
    """Targets as CMake's toolchain file takes them."""
    return " or ".join(f"`LLEXT_TARGET={name}`" for name in names)


def as_options(names: Iterable[str]) -> str:
    """Targets as the command line takes them."""
    return " or ".join(f"`--target {name}`" for name in names)


def fitting_targets(obj: ElfObject) -> list[str]:
    """The targets that an object can run on, as far as it says."""
    return [name for name in targets() if not _misfit(obj, name)]


def _misfit(obj: ElfObject, name: str) -> str:
    wanted, arch = targets()[name], by_machine(obj.machine)
    if arch is None or wanted.arch != arch.name:
        return f"for {machine_name(obj.machine)}"
    if wanted.bits != obj.bits:
        return f"for {obj.bits}-bit {arch.name}"
    return arch.misfit(obj, wanted)
