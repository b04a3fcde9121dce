"""What CPU a kit is for, by its flags: which targets fit, and whether one does."""

from __future__ import annotations

from collections.abc import Sequence

from llext_tools.arch import discover
from llext_tools.arch.base import Cpu
from llext_tools.arch.model import Target
from llext_tools.diag import Diagnostic, Location, Severity, fail
from llext_tools.edk.compiler import architecture, firmware_cpu
from llext_tools.edk.read import Edk
from llext_tools.edk.words import cpu_words
from llext_tools.toolchains import Toolchain

UNKNOWN = "no compiler here knows the CPU of the EDK"
NO_TARGET = "`llext targets` lists the CPUs that extensions can be built for"
NEWER = "install a newer compiler: that of the firmware, or zig by `pip install --upgrade ziglang`"


def targets_of(edk: Edk) -> tuple[str, ...]:
    """The targets to build extensions for, by the flags of a kit: one, or more that use as much of the firmware's CPU.

    There is none where the flags name no CPU.

    Raises:
        FormatError: ``edk-target``, no compiler here knows the CPU, or no target fits.
    """
    words = cpu_words(edk.words)
    if not _names_cpu(words):
        return ()
    cpu = firmware_cpu(words)
    if cpu is None:
        every = [target for each in discover() for target in each.targets]
        cure = f"{NEWER}; or give --target" if _is_newer(words, every) else NEWER
        fail("edk-target", UNKNOWN, at=Location(edk.file), notes=_named(words), help=cure)
    suited = architecture(cpu).suited(cpu)
    if not suited:
        message = f"the EDK is of a firmware for {_described(cpu)}, which no target fits"
        fail("edk-target", message, at=Location(edk.file), notes=_named(words), help=NO_TARGET)
    return suited


def misfit(edk: Edk, target: Target, toolchain: Toolchain) -> list[Diagnostic]:
    """Why code for the target does not run in the firmware that the kit is of, if it is so."""
    words = cpu_words(edk.words)
    if not _names_cpu(words):
        return []
    cpu = firmware_cpu(words, toolchain, target)
    if cpu is None:
        message = f"{UNKNOWN}, so nobody can say whether `{target.name}` fits"
        severity: Severity = "warning" if _is_newer(words, [target]) else "error"
        return [Diagnostic("edk-target", message, severity, Location(edk.file), notes=_named(words), help=NEWER)]
    its = architecture(cpu)
    if its.goes_with(cpu, target):
        return []
    suited = its.suited(cpu)
    return [
        Diagnostic(
            "edk-target",
            f"the EDK is of a firmware for {_described(cpu)}, and extensions are built for `{target.name}`",
            location=Location(edk.file),
            notes=_named(words),
            help=f"set LLEXT_TARGET to {' or '.join(suited)}" if suited else NO_TARGET,
        )
    ]


def _is_newer(words: Sequence[str], targets: Sequence[Target]) -> bool:
    """Whether flags that nobody knows may be of a newer CPU: a value begins as one of theirs, -march=rv, -mcpu=cor."""
    return any(word[:9] == own[:9] for each in targets for word in words for own in each.cpu_flags if "=" in own[:9])


def _names_cpu(words: Sequence[str]) -> bool:
    return any(word.startswith(("-mcpu=", "-march=")) for word in words)


def _named(words: Sequence[str]) -> tuple[str]:
    return (f"the flags of the EDK are {' '.join(f'`{word}`' for word in words)}",)


def _described(cpu: Cpu) -> str:
    """Armv7E-M with `-mfloat-abi=hard`."""
    return f"{cpu.name or cpu.arch}{f' with `{cpu.abi}`' if cpu.abi else ''}"
