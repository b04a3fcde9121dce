"""The classes of failure, each with the exit code of the command line.

A failure carries diagnostics (``llext_tools.diag``): everything that was found, not only the first.
The table in ``docs/reference/exit-codes.md`` is generated from these classes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llext_tools.diag import Diagnostic


class LlextError(Exception):
    """What every failure is: catch this one. ``diagnostics`` has all that was found."""

    exit_code = 1

    def __init__(self, diagnostics: tuple[Diagnostic, ...], *, errno: str = "") -> None:
        super().__init__("; ".join(d.message for d in diagnostics))
        self.diagnostics = diagnostics
        self.errno = errno
        """The name of what a function of ``llext.h`` returns, without its minus sign: ``"ENOEXEC"``."""


class InternalError(LlextError):
    """A mistake of llext-tools itself, never of its input."""

    exit_code = 1


class UsageError(LlextError):
    """The command line or a configuration value is wrong."""

    exit_code = 2


class FormatError(LlextError):
    """A file cannot be read, or is not a well-formed ELF object of a supported machine."""

    exit_code = 3


class RefusedError(LlextError):
    """The target's loader refuses the extension: its layout, a section or a kind of relocation."""

    exit_code = 4


class UndefinedError(LlextError):
    """Symbols that the extension needs are neither defined in it nor exported to it."""

    exit_code = 5


class RangeError(LlextError):
    """A relocation cannot express its value at the final addresses."""

    exit_code = 6


class ExportsError(LlextError):
    """An export table cannot be read, or names cannot be told apart by their SLIDs."""

    exit_code = 7


class FaultError(LlextError):
    """The extension did something forbidden while it ran."""

    exit_code = 8


class LimitError(LlextError):
    """The extension ran into a limit: time, memory or output."""

    exit_code = 9


class ExpectationError(LlextError):
    """The extension ran, but not with the expected result."""

    exit_code = 10


class ToolError(LlextError):
    """A tool that is needed here is not installed."""

    exit_code = 11


class BuildError(LlextError):
    """Configuring, compiling or testing a project failed."""

    exit_code = 12


class AbiError(LlextError):
    """Extension and firmware disagree on their binary interface: instructions, arguments or layout of data."""

    exit_code = 13


class ApiError(LlextError):
    """A firmware does not offer what the ledger of its API records, or somebody has to review it."""

    exit_code = 14


class BundleError(LlextError):
    """A bundle is not what was packed, or not signed by whom one trusts."""

    exit_code = 15


OTHER_EXIT_CODES = {
    0: "No error was found.",
    130: "Interrupted (Ctrl-C).",
    141: "The reader of the output went away, as with `llext inspect x.llext | head`.",
}
"""The exit codes without a class; the last two are those of a shell for SIGINT and SIGPIPE."""
