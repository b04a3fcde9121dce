"""What a kit may say to a compiler: what code is like, and nothing else.

An archive may come from anywhere, and some flags make a compiler load a program, or write a file wherever they say. So
a word goes to a compiler only if it is of a family in ``CODE`` and in no row of ``STEERS``. Whatever else is left is
named in a warning with the reason. No value holds a path but where one is only compared with names.

Sources: "Using the GNU Compiler Collection", 3; "Clang command line argument reference".
"""

from __future__ import annotations

import re

CODE = re.compile(
    r"""
      -[fm][a-z0-9][\w+-]*(=[\w.,+:-]*)?
    | -W([a-z][\w+-]*(=[\w.+-]*)?)?         # without a comma: -Wa, and -Wp, hand words on
    | -finstrument-functions-exclude-(file|function)-list=[\w.,+/-]*
    | --param=[\w-]+(=[\w.-]+)?
    | --?specs=[\w+-]+\.specs               # one of the compiler's own folder
    | --?std=[\w+:]+ | -ansi | -trigraphs | -undef | -U[\w$]+
    | -w | -pedantic(-errors)? | -pthread | -E[BL]
    """,
    re.VERBOSE,
)
"""Words that say what code is like, or which warnings there are."""

STEERS: tuple[tuple[str, str], ...] = (
    (r"@.*", "read more flags from a file"),
    (r"-f(pass-)?plugin\b.*|-fmodule-mapper\b.*|-fno-integrated-objemitter|-Xclang\b.*|-mllvm\b.*|-wrapper\b.*|-load\b.*",
     "load or run programs"),
    (r"-W[alp],.*|-X(assembler|preprocessor)\b.*", "hand words on to another program"),
    (r"--?specs=.*/.*", "read from a file which programs to run"),
    ((r"-o.*|--output\b.*|-aux-info\b.*|-d.*|-time\b.*|-fdump.*|-fopt-info.*|-f(save-)?optimization-record.*|-fdeps-.*"
      r"|-f(time|mem)-(report|trace).*|-fcompare-debug.*|-fproc-stat-report.*|-fcrash-diagnostics.*|-freport-bug|-fvtv-.*"
      r"|-fthin-?l.*|-mverbose-cost-dump|-mdump-.*"), "write files"),
    ((r"-f(no-)?(implicit-)?module.*|-module-.*|-fprebuilt-.*|-fbuild-session-.*|-fauto-profile.*|-fbranch-probabilities"
      r"|-f(cs|memory|temporal)-profile.*|-fcodegen-data-.*|-f(condition|path)-coverage|-f(embed-)?offload.*|-fself-test.*"
      r"|-fpch-.*|-f[\w-]+-(ignore|allow|black)list=.*|-fbasic-block-sections=.*|-fxray-[\w-]+=.*|-f[\w-]+-file=.*"
      r"|-multi-lib.*"), "read or write files beside the source"),
    (r"-fsyntax-only|-fpreprocessed|-fdirectives-only|-fdriver-only|-femit-.*|-emit-.*|-x\b.*|-[HPC]|-###",
     "say what to do with a source, which is the build's own business"),
    (r"[^-].*|", "no flags: a compiler would take such words for files"),
)  # fmt: skip
"""Pattern of whole words -> what such a word does. Some look like ``CODE``, for the others it is the better reason."""


def objection(word: str) -> str:
    """Why no compiler is asked about this word of a kit, ``""`` if one is."""
    found = next((why for pattern, why in STEERS if re.fullmatch(pattern, word)), "")
    return found or ("" if CODE.fullmatch(word) else "of no kind that says what code is like")
