"""What names tell: of functions of <math.h>, and of sections that are not loaded."""

from __future__ import annotations

PARTIAL_LINK = "link with the flags of `llext ldflags`, as llext_add_extension() does"
"""How an extension is linked: a cure of many things, which goes on with what the flags do."""
MERGED = f"{PARTIAL_LINK}: they keep a region's sections together"

MATHS = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "exp",
    "exp2", "expm1", "fabs", "fdim", "floor", "fma", "fmax", "fmin", "fmod", "frexp", "hypot", "ldexp", "lgamma",
    "log", "log10", "log1p", "log2", "lrint", "lround", "modf", "nearbyint", "pow", "remainder", "rint", "round",
    "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc",
})  # fmt: skip
"""The functions of <math.h>; those for float and long double have an f or l at the end."""


def unmapped_help(section: str) -> str:
    """What to do about a section that no region takes."""
    if section.startswith((".ARM.ex", ".eh_frame")):
        return "compile with `-fno-unwind-tables -fno-asynchronous-unwind-tables`, or remove the section with objcopy"
    if section.startswith((".tdata", ".tbss")):
        return "the loader gives an extension no thread-local storage of its own: use ordinary variables"
    return ""
