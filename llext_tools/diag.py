"""Diagnostics: one for each cause, with place, reason and cure.

A stage reports all that it finds to a ``Reporter``; ``checkpoint()`` then ends the work if anything was an error.
The table ``CODES`` gives each code its class of failure (and so the exit code) and the errno that Zephyr's
``llext_load()`` returns for the same cause. Each code has a page ``explain/<code>.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Literal, NamedTuple, NoReturn

from llext_tools import errors

Severity = Literal["error", "warning"]


class Code(NamedTuple):
    """What a diagnostic code stands for."""

    error: type[errors.LlextError]
    errno: str  # what llext_load() returns on the board, "" where the board cannot tell
    warning: Literal["", "sometimes", "always"] = ""  # whether it is one, which fails nothing, without --werror

    @property
    def severity(self) -> str:
        """For a table: what a finding of this code is."""
        return {"": "error", "sometimes": "error or warning", "always": "warning"}[self.warning]


CODES: dict[str, Code] = {
    # command line and files
    "usage": Code(errors.UsageError, ""),
    "settings-syntax": Code(errors.UsageError, ""),
    "file-unreadable": Code(errors.FormatError, "", "sometimes"),
    "file-unwritable": Code(errors.FormatError, "", "sometimes"),
    "archive-malformed": Code(errors.FormatError, ""),
    # the object itself
    "elf-magic": Code(errors.FormatError, "ENOEXEC"),
    "elf-truncated": Code(errors.FormatError, "ENOEXEC"),
    "elf-header": Code(errors.FormatError, "ENOEXEC"),
    "elf-type": Code(errors.FormatError, "ENOEXEC"),
    "elf-machine": Code(errors.FormatError, "ENOEXEC"),
    "elf-target": Code(errors.FormatError, ""),
    "elf-sections": Code(errors.FormatError, "ENOEXEC"),
    "elf-symbols": Code(errors.FormatError, "ENOEXEC"),
    "elf-relocations": Code(errors.FormatError, "ENOEXEC"),
    # what the loader refuses
    "region-flags": Code(errors.RefusedError, "ENOEXEC"),
    "region-nobits": Code(errors.RefusedError, "ENOTSUP"),
    "region-array": Code(errors.RefusedError, "ENOEXEC"),
    "region-alignment": Code(errors.RefusedError, "ENOEXEC", "sometimes"),
    "region-overlap": Code(errors.RefusedError, "ENOEXEC"),
    "region-gap": Code(errors.RefusedError, "", "always"),
    "no-globals": Code(errors.RefusedError, "ENOMEM"),
    "bss-misaligned": Code(errors.RefusedError, "", "always"),
    "reloc-unknown": Code(errors.RefusedError, "ENOEXEC"),
    "reloc-refused": Code(errors.RefusedError, "ENOEXEC", "sometimes"),
    "reloc-unmapped": Code(errors.RefusedError, "ENOEXEC"),
    "reloc-unpaired": Code(errors.RefusedError, "ENOEXEC"),
    "symbol-unmapped": Code(errors.RefusedError, "ENOEXEC"),
    "symbol-common": Code(errors.RefusedError, "ENOEXEC"),
    "symbol-absolute": Code(errors.RefusedError, "ENOEXEC"),
    "region-addresses": Code(errors.RefusedError, "ENOEXEC"),
    "region-image": Code(errors.RefusedError, "ENOTSUP"),
    "reloc-deviates": Code(errors.RefusedError, "", "sometimes"),
    "reloc-rela": Code(errors.RefusedError, "ENOTSUP"),
    "symbol-nowhere": Code(errors.RefusedError, "ENOTSUP", "sometimes"),
    "section-detached": Code(errors.RefusedError, "ENOTSUP"),
    "pre-located": Code(errors.RefusedError, "EFAULT"),
    "load-memory": Code(errors.RefusedError, "ENOMEM", "sometimes"),
    "load-undefined": Code(errors.RefusedError, ""),
    "loader-failed": Code(errors.RefusedError, ""),
    # the functions of llext.h
    "loader-peek": Code(errors.UsageError, "ENOTSUP"),
    "section-unknown": Code(errors.UsageError, "ENOENT"),
    "region-unknown": Code(errors.UsageError, "EINVAL"),
    "inspection-freed": Code(errors.UsageError, "ENOTSUP"),
    "heap-config": Code(errors.UsageError, "ENOSYS"),
    "heap-busy": Code(errors.UsageError, "EBUSY"),
    "fn-table-small": Code(errors.UsageError, "ENOMEM"),
    "no-extension": Code(errors.UsageError, "EINVAL"),
    "no-userspace": Code(errors.UsageError, "ENOSYS"),
    "domain-full": Code(errors.UsageError, "ENOSPC", "sometimes"),
    "domain-partition": Code(errors.UsageError, "EINVAL"),
    "export-entry": Code(errors.RefusedError, "", "sometimes"),
    "export-section": Code(errors.RefusedError, "", "always"),
    "no-exports": Code(errors.RefusedError, "", "always"),
    "thread-local": Code(errors.RefusedError, "", "always"),
    # imports that nobody has
    "undefined-symbol": Code(errors.UndefinedError, "ENODATA"),
    "symbol-unexported": Code(errors.UndefinedError, "ENODATA"),
    "runtime-missing": Code(errors.UndefinedError, "ENODATA"),
    "weak-undefined": Code(errors.UndefinedError, "ENODATA"),
    # what an extension offers, and others take
    "entry-missing": Code(errors.UndefinedError, ""),
    "export-shadowed": Code(errors.RefusedError, "", "always"),
    "export-ambiguous": Code(errors.UndefinedError, "", "always"),
    "name-collision": Code(errors.RefusedError, ""),
    "dependency-cycle": Code(errors.UndefinedError, "ENODATA"),
    "dependency-order": Code(errors.UndefinedError, "ENODATA"),
    "dependency-many": Code(errors.RefusedError, "", "always"),
    # constructors and destructors
    "atexit-ignored": Code(errors.RefusedError, "", "always"),
    "fini-order": Code(errors.RefusedError, "", "always"),
    # final addresses
    "reloc-out-of-range": Code(errors.RangeError, "ENOEXEC"),
    "reloc-misaligned": Code(errors.RangeError, ""),
    "place-misaligned": Code(errors.RangeError, ""),
    "place-overlap": Code(errors.RangeError, "", "sometimes"),
    "place-too-small": Code(errors.RangeError, "ENOMEM"),
    "place-too-wide": Code(errors.RangeError, ""),
    # where it will be loaded
    "buffer-misaligned": Code(errors.RefusedError, "", "always"),
    "page-conflict": Code(errors.RefusedError, ""),
    "heap-shared": Code(errors.RefusedError, "ENOMEM"),
    # export tables
    "exports-syntax": Code(errors.ExportsError, ""),
    "exports-missing": Code(errors.ExportsError, ""),
    "exports-duplicate": Code(errors.ExportsError, ""),
    "exports-thumb": Code(errors.ExportsError, "", "always"),
    "slid-collision": Code(errors.ExportsError, ""),
    "slid-injected": Code(errors.FormatError, "", "sometimes"),
    "slid-missing": Code(errors.UndefinedError, "ENODATA", "sometimes"),
    "slid-stale": Code(errors.UndefinedError, "", "sometimes"),
    # CPU and binary interface against the firmware's
    "abi-machine": Code(errors.AbiError, "ENOEXEC"),
    "abi-isa": Code(errors.AbiError, ""),
    "abi-float": Code(errors.AbiError, "", "sometimes"),
    "abi-enum-size": Code(errors.AbiError, "", "sometimes"),
    "abi-wchar": Code(errors.AbiError, "", "sometimes"),
    # both sides of an import: types
    "abi-prototype": Code(errors.AbiError, ""),
    "abi-layout": Code(errors.AbiError, ""),
    # Arm and Thumb code
    "thumb-bit": Code(errors.RefusedError, "", "sometimes"),
    "thumb-state": Code(errors.RefusedError, ""),
    "store-unaligned": Code(errors.RefusedError, ""),
    # what is left of types without debug information
    "abi-hash": Code(errors.AbiError, ""),
    "manifest-stale": Code(errors.FormatError, "", "sometimes"),
    "manifest-syntax": Code(errors.FormatError, ""),
    # the ledger of a firmware's API
    "api-syntax": Code(errors.ApiError, ""),
    "api-unreviewed": Code(errors.ApiError, ""),
    "api-removed": Code(errors.ApiError, ""),
    "api-changed": Code(errors.ApiError, ""),
    "api-version": Code(errors.ApiError, ""),
    "api-untyped": Code(errors.ApiError, ""),
    # running
    "call-syntax": Code(errors.UsageError, ""),
    "call-unknown": Code(errors.UsageError, "ENOENT"),
    "call-not-exported": Code(errors.UsageError, "", "always"),
    "call-guessed": Code(errors.UsageError, "", "always"),
    "prototype-syntax": Code(errors.UsageError, ""),
    "run-fault": Code(errors.FaultError, ""),
    "run-abort": Code(errors.FaultError, ""),
    "run-bringup": Code(errors.FaultError, "EFAULT"),
    "run-no-bringup": Code(errors.FaultError, "", "always"),
    "run-heap": Code(errors.FaultError, ""),
    "run-missing-code": Code(errors.FaultError, ""),
    "run-stubbed": Code(errors.FaultError, "", "always"),
    "override-unknown": Code(errors.UsageError, ""),
    "run-placement": Code(errors.FaultError, ""),
    "run-python": Code(errors.FaultError, ""),
    "run-timeout": Code(errors.LimitError, ""),
    "run-instructions": Code(errors.LimitError, ""),
    "run-output": Code(errors.LimitError, ""),
    "run-memory": Code(errors.LimitError, ""),
    "run-stack": Code(errors.LimitError, ""),
    "run-depth": Code(errors.LimitError, ""),
    # threads
    "run-deadlock": Code(errors.FaultError, ""),
    "run-interrupt-waits": Code(errors.FaultError, ""),
    "run-threads": Code(errors.LimitError, ""),
    "run-threads-left": Code(errors.FaultError, "", "always"),
    # tests by Python
    "build-ambiguous": Code(errors.UsageError, ""),
    "run-leak": Code(errors.FaultError, ""),
    "run-recording": Code(errors.FaultError, ""),
    "expect-return": Code(errors.ExpectationError, ""),
    "expect-output": Code(errors.ExpectationError, ""),
    # Zephyr's Extension Development Kit
    "edk-unreadable": Code(errors.FormatError, ""),
    "edk-unsafe": Code(errors.FormatError, ""),
    "edk-syntax": Code(errors.FormatError, "", "sometimes"),
    "edk-incomplete": Code(errors.FormatError, "", "sometimes"),
    "edk-target": Code(errors.AbiError, "", "sometimes"),
    "edk-flag-unknown": Code(errors.BuildError, "", "sometimes"),
    "edk-flag-unsafe": Code(errors.BuildError, "", "sometimes"),
    # bundles and signatures
    "manifest-missing": Code(errors.FormatError, ""),
    "bundle-duplicate": Code(errors.UsageError, ""),
    "bundle-incomplete": Code(errors.BuildError, "", "sometimes"),
    "bundle-stale": Code(errors.BuildError, ""),
    "bundle-unasked": Code(errors.UsageError, "", "always"),
    "bundle-malformed": Code(errors.BundleError, ""),
    "bundle-changed": Code(errors.BundleError, ""),
    "bundle-missing": Code(errors.BundleError, ""),
    "bundle-added": Code(errors.BundleError, ""),
    "signature-missing": Code(errors.BundleError, ""),
    "signature-wrong": Code(errors.BundleError, ""),
    "signature-untrusted": Code(errors.BundleError, ""),
    "signature-key": Code(errors.UsageError, ""),
    # building
    "target-unknown": Code(errors.UsageError, ""),
    "tool-missing": Code(errors.ToolError, ""),
    "build-failed": Code(errors.BuildError, "", "sometimes"),
    "build-empty": Code(errors.UsageError, "", "always"),
    "firmware-unused": Code(errors.UsageError, "", "always"),
    "internal": Code(errors.InternalError, ""),
}


def printable(text: str) -> str:
    """With what a terminal would obey spelt out: ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


HARMLESS = re.compile(r"(\x1b\[[0-9;]*[mK]|[\n\t\r]+)")
"""What a terminal may obey: colours, the end of a line erased, movements within lines."""


def spelt_out(text: str) -> str:
    """The same, but for what is harmless."""
    parts = HARMLESS.split(text)
    parts[::2] = map(printable, parts[::2])
    return "".join(parts)


def number(count: int, noun: str) -> str:
    """``1 byte``, ``2,048 bytes``."""
    return f"{count:,} {noun}" + ("s" if count != 1 else "")


def nearest(word: str, known: Iterable[str], similar: float = 0.6) -> str:
    """The most similar of some words, ``""`` if none is ``similar``, of 1 if they are the same."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1, similar)), "")


def listed(names: Iterable[str], most: int = 3) -> str:
    """Names for a message: `` `a`, `b` and 3 more ``. It has at most ``most`` parts; ``""`` without any name."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > most:
        quoted[most - 1 :] = [f"{len(quoted) - most + 1:,} more"]
    return " and ".join([*([", ".join(quoted[:-1])] if quoted[1:] else []), *quoted[-1:]])


class Location(NamedTuple):
    """A place in a file: a section and a byte offset in it, the enclosing function or variable.

    ``line`` counts in ``source`` where that is known, the file that ``file`` was compiled from, else in ``file``.
    """

    file: str
    section: str = ""
    offset: int | None = None
    function: str = ""
    line: int | None = None
    source: str = ""
    variable: str = ""  # with the offset in it: "table+0x8"

    @property
    def inside(self) -> str:
        """``, in `name` ``, or nothing."""
        name = self.function or self.variable
        return f", in `{name}`" if name else ""

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        text = self.file if self.source else self.file + line
        if self.section:
            text += f": {self.section}"
            if self.offset is not None:
                text += f"+{self.offset:#x}"
        elif self.offset is not None:
            text += f": byte {self.offset:,}"
        return f"{self.source}{line}{self.inside} ({text})" if self.source else text + self.inside


class Diagnostic(NamedTuple):
    """One finding. ``message`` states the fact, ``detail`` gives figures, only ``help`` advises."""

    code: str
    message: str
    severity: Severity = "error"
    location: Location | None = None
    detail: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    returned: str = ""  # the errno of this finding, where it is not the one that its code usually has; "0" for none

    @property
    def errno(self) -> str:
        """The errno's name without its minus sign, as ``llext_load()`` would return it; may be empty."""
        return (self.returned or CODES[self.code].errno).removeprefix("0")


class Reporter:
    """Collects the diagnostics of one run; ``checkpoint()`` ends it if there is an error among them."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return tuple(self._found)

    def add(self, found: Iterable[Diagnostic]) -> None:
        """Report several; what was reported before, word for word, is not repeated."""
        for diagnostic in found:
            assert diagnostic.code in CODES, diagnostic.code
            self._found[diagnostic] = None

    def error(
        self,
        code: str,
        message: str,
        *,
        at: Location | None = None,
        detail: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        help: str = "",
        returned: str = "",
    ) -> None:
        self.add([Diagnostic(code, message, "error", at, detail, notes, help, returned)])

    def warning(self, code: str, message: str, *, at: Location | None = None, help: str = "") -> None:
        self.add([Diagnostic(code=code, message=message, severity="warning", location=at, help=help)])

    def revise(self, change: Callable[[Sequence[Diagnostic]], Iterable[Diagnostic]]) -> None:
        """Put in place of all that was reported what ``change`` makes of it."""
        self._found = dict.fromkeys(change(self.diagnostics))

    @property
    def failed(self) -> bool:
        return any(d.severity == "error" for d in self._found)

    def checkpoint(self, ignored: Container[str] = ()) -> None:
        """Raise the class of the first error, with everything found so far, or return if there is none.

        Args:
            ignored: codes that end nothing.
        Raises:
            LlextError: the subclass that ``CODES`` names for the first error.
        """
        for diagnostic in self._found:
            if diagnostic.severity == "error" and diagnostic.code not in ignored:
                raise CODES[diagnostic.code].error(self.diagnostics)


def fail(
    code: str,
    message: str,
    *,
    at: Location | None = None,
    detail: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    help: str = "",
    returned: str = "",
) -> NoReturn:
    """Raise one error at once, where going on makes no sense."""
    found = Diagnostic(code, message, "error", at, detail, notes, help, returned)
    raise CODES[code].error((found,))
