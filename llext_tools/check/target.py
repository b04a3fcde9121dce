"""Is an object for a certain CPU? The loader compares ELF's class and machine only; the rest would show as a fault."""

from __future__ import annotations

from collections.abc import Iterator

from llext_tools.arch import by_machine, target, targets
from llext_tools.diag import Diagnostic, Location, Reporter
from llext_tools.elf.model import ElfObject


def check_target(obj: ElfObject, name: str, reporter: Reporter) -> None:
    """Report ``elf-target`` if ``obj`` cannot run on the target of that name.

    Raises:
        UsageError: ``target-unknown``.
    """
    reporter.add(target_misfit(obj, name))


def target_misfit(obj: ElfObject, name: str) -> Iterator[Diagnostic]:
    """``elf-target``: code that cannot run on the target of that name.

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
    yield Diagnostic(
        "elf-target",
        f"the object is {why}, but it is to run on {wanted.name}",
        location=Location(file=obj.path),
        notes=(f"it fits {', '.join(fitting)}",) if fitting else (),
        help=f"compile it with `LLEXT_TARGET={wanted.name}`",
    )


def fitting_targets(obj: ElfObject) -> list[str]:
    """The targets that an object can run on, as far as it says."""
    return [name for name in targets() if not _misfit(obj, name)]


def _misfit(obj: ElfObject, name: str) -> str:
    wanted, arch = targets()[name], by_machine(obj.machine)
    if arch is None or wanted.arch != arch.name:
        return f"for {arch.name}" if arch else f"for machine {obj.machine}"
    if wanted.bits != obj.bits:
        return f"for {obj.bits}-bit {arch.name}"
    return arch.misfit(obj, wanted)
