"""What an extension did wrong, as the exception that a test sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from llext_tools.diag import Diagnostic, Location
from llext_tools.errors import FaultError


class ExtensionError(FaultError):
    """An extension ran into a fault, a failed assertion of its own, a limit, or has left memory behind.

    ``diagnostic`` is the error; ``code`` and ``location`` are its own. As text it is all that a person sees of it.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics)
        self.diagnostic = next((d for d in diagnostics if d.severity == "error"), diagnostics[0])

    @property
    def code(self) -> str:
        return self.diagnostic.code

    @property
    def location(self) -> Location | None:
        return self.diagnostic.location

    def __str__(self) -> str:
        """As the command line prints it, but each item on one line, so that a pattern finds it."""
        return "\n\n".join("\n".join(_lines(each)) for each in self.diagnostics)


def _lines(d: Diagnostic) -> Iterator[str]:
    yield f"{d.severity}[{d.code}]: {d.message}"
    if d.location:
        yield f"  --> {d.location}"
    yield from (f"   | {text}" for text in d.detail)
    yield from (f"   = note: {text}" for text in d.notes)
    if d.help:
        yield f"   = help: {d.help}"


def fault(code: str, message: str, *, at: Location | None, detail: tuple[str, ...] = (), help: str = "") -> NoReturn:
    """Raise one of the test's own making."""
    raise ExtensionError((Diagnostic(code=code, message=message, location=at, detail=detail, help=help),))


OPTIONS = {
    "timeout": "seconds",
    "max-instructions": "instructions",
    "max-output": "output",
    "max-memory": "memory",
    "stack-size": "stack",
    "heap-size": "heap",
    "mmio": "mmio",
    "at": "at",
}
"""Those of ``llext run`` that advice names, and the keywords of ``Extension.load()`` and of the fixture."""
OPTION = re.compile(rf"`--({'|'.join(OPTIONS)})(?: ([^`]*))?`")


def in_python(diagnostic: Diagnostic) -> Diagnostic:
    """With advice for somebody who writes Python, not a command line."""
    if diagnostic.code == "run-missing-code" and "--override" in diagnostic.help:
        cure = 'say in the test what it does: `host.override("name", ...)`, or give the `firmware` that has it'
        return diagnostic._replace(help=cure)

    def keyword(m: re.Match[str]) -> str:
        value = f'"{m[2]}"' if m[2] else "..."
        return f"`{OPTIONS[m[1]]}={value}` at loading"

    return diagnostic._replace(help=OPTION.sub(keyword, diagnostic.help))
