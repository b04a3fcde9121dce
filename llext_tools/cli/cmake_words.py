"""What ``llext run`` says, in the words of CMake: for a test of ``llext_add_test()``, whose author wrote no option."""

from __future__ import annotations

import re

from llext_tools.diag import Diagnostic

ALIKE = """
    mmio override init stub-missing profile at placements prototype expect-return expect-output timeout
    max-instructions stack-size heap-size coverage call
""".split()  # noqa: SIM905 - words of one kind
WORDS = {
    **{option: option.upper().replace("-", "_") for option in ALIKE},
    "extension": "EXTENSIONS",
    "exports": "EXPORTS",
    "firmware": "EXPORTS",
}
"""Options of ``llext run``, and the arguments of ``llext_add_test()`` that become these."""
TARGETS = ("EXTENSIONS", "EXPORTS")
"""Those that name targets of CMake, and no files."""
OPTION = re.compile(rf"`--({'|'.join(WORDS)})(?:[ =]([^`]*))?`(?:, in CMake [A-Z_]+)?")
WHERE = "in CMakeLists.txt"


def in_cmake(d: Diagnostic) -> Diagnostic:
    """The same with arguments of ``llext_add_test()`` in place of options."""
    cure = OPTION.sub(lambda option: f"{_word(option)} {WHERE}", d.help, count=1)
    return d._replace(
        message=OPTION.sub(_word, d.message),
        notes=tuple(OPTION.sub(_word, note) for note in d.notes),
        help=OPTION.sub(_word, cure),
    )


def _word(option: re.Match[str]) -> str:
    word = WORDS[option[1]]
    return f"`{word} {option[2]}`" if option[2] and word not in TARGETS else f"`{word}`"
