"""How an operation of the loader ends, where it does not succeed.

A ``Refusal`` carries what Zephyr returns and our diagnostic; ``Undefined`` marks where the loader's C code does what C
leaves undefined: a board may stop, go on with wrong data, or hang.
"""

from __future__ import annotations

from llext_tools.diag import Diagnostic


class Refusal(Exception):  # noqa: N818 - an answer of the loader, not a failure of ours
    """An error return. ``errno`` without the minus sign, for example ``ENOEXEC``.

    ``said`` is what the board's log says of it, before the pass itself is said to have failed.
    """

    def __init__(self, errno: str, diagnostic: Diagnostic, said: str = "") -> None:
        super().__init__(diagnostic.message)
        self.errno = errno
        self.said = said
        self.diagnostics = [diagnostic]


class Undefined(Exception):  # noqa: N818 - as above
    """Undefined behaviour, with the reason in words."""
