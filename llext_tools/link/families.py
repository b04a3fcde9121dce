"""Names that compilers and libraries bring along: what they are for, and what to do if a host lacks them.

Source: Run-time ABI for the Arm Architecture (rtabi32); GCC Internals, chapter 4 "The GCC low-level runtime library";
Itanium C++ ABI, chapters 2.5, 3.3 and 5.1.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from llext_tools.link.hints import MATHS


class Family(NamedTuple):
    """Names of one kind: a regular expression for the whole name. ``what`` goes on after the name: "it ..."."""

    code: Literal["runtime-missing", "undefined-symbol"]
    names: str
    what: str
    cure: str


RUNTIME: Literal["runtime-missing"] = "runtime-missing"
HELPER = "link in the compiler's own: COMPILER_RUNTIME of llext_add_extension(), or the archive of `llext runtime`"

FAMILIES: tuple[Family, ...] = (
    Family(
        RUNTIME,
        r"__aeabi_mem(cpy|move|set|clr)[48]?|mem(cpy|set|move|cmp)",
        "compilers call it themselves for copies and initialisers of structures and arrays, with `-ffreestanding` too",
        "build the firmware with `CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_LIBC=y`, or define it in the extension",
    ),
    Family(
        RUNTIME,
        r"__aeabi_atexit|__cxa_atexit|__dso_handle",
        "the start of a static object with a destructor calls or passes it",
        "compile with `-fno-use-cxa-atexit`, as the default flags do",
    ),
    Family(
        RUNTIME,
        r"__aeabi_read_tp|__tls_get_addr|__emutls_.*",
        "it finds thread-local variables, of which the loader gives an extension none",
        "use ordinary variables",
    ),
    Family(
        RUNTIME,
        r"__(gxx|gcc)_personality_.*|__aeabi_unwind_.*|_Unwind_.*"
        r"|__cxa_(throw|rethrow|begin_catch|end_catch|allocate_exception|free_exception|end_cleanup|call_unexpected)"
        r"|_ZSt9terminatev|_ZSt17__throw_.*",
        "C++ exceptions need it",
        "compile with `-fno-exceptions -fno-unwind-tables`",
    ),
    Family(
        RUNTIME,
        r"_ZT[VIS]N10__cxxabiv1.*|__dynamic_cast|__cxa_bad_(cast|typeid)",
        "the run-time type information of C++ needs it",
        "compile with `-fno-rtti`",
    ),
    Family(
        RUNTIME,
        r"_Z(dl|da).*",
        "each virtual destructor refers to it, whether objects are deleted or not",
        "define it in the extension, on top of the firmware's allocator",
    ),
    Family(
        RUNTIME,
        r"_Z(nw|na).*",
        "it allocates an object",
        "define it in the extension, on top of the firmware's allocator, or use static objects",
    ),
    Family(
        RUNTIME,
        r"__cxa_guard_\w+",
        "it guards the initialisation of a static variable in a function",
        "compile with `-fno-threadsafe-statics`",
    ),
    Family(
        RUNTIME,
        r"__cxa_(pure|deleted)_virtual",
        "it stands in the tables of virtual functions for those that have no body",
        'define it in the extension: `extern "C" void __cxa_pure_virtual() { for (;;) {} }`',
    ),
    Family(
        RUNTIME,
        r"_ZNSt8ios_base4Init.*",
        "each file that includes <iostream> refers to it",
        "include no <iostream>: print with the firmware's functions",
    ),
    Family(
        RUNTIME,
        r"_Z(T[VISTC])?N?K?(St|S[absiod]).*",
        "it is in the library of C++, which firmwares do not export",
        "use only what the headers define in full",
    ),
    Family(
        RUNTIME,
        r"__(atomic|sync)_\w+|__aarch64_(cas|swp|ldadd|ldclr|ldeor|ldset)\w+",
        "the CPU has no instruction for this atomic operation",
        "let the firmware export a function that does it with interrupts locked",
    ),
    Family(
        RUNTIME,
        r"__stack_chk_\w+",
        "it guards the stack",
        "compile with `-fno-stack-protector`, or let the firmware export it",
    ),
    Family(
        RUNTIME,
        r"__(asan|ubsan|hwasan|tsan|msan|sanitizer)_\w+",
        "it belongs to a sanitizer",
        "compile without `-fsanitize`",
    ),
    Family(RUNTIME, r"__gcov_\w+|__llvm_(profile|gcov)_\w+", "it counts coverage", "compile without `--coverage`"),
    Family(
        RUNTIME,
        r"__cyg_profile_\w+|_mcount|mcount|__gnu_mcount_nc",
        "it traces functions",
        "compile without `-finstrument-functions` and `-pg`",
    ),
    Family(
        RUNTIME,
        r"__riscv_(save|restore)_\d+",
        "functions save registers with it, for `-msave-restore`",
        f"compile with `-mno-save-restore`, or {HELPER}",
    ),
    Family(
        RUNTIME,
        r"_GLOBAL_OFFSET_TABLE_",
        "position-independent code needs it",
        "compile with `-fno-pic -fno-pie`",
    ),
    Family(
        "undefined-symbol",
        r"_?sbrk|_(write|read|open|close|lseek|fstat|isatty|exit|kill|getpid)|_impure_ptr|__errno|__getreent"
        r"|_ctype_|__sf|stdout|stderr",
        "a C library is built on it",
        "use the firmware's functions instead of linking a C library in",
    ),
    Family(
        "undefined-symbol",
        r"__assert_func",
        "`assert()` calls it when the condition does not hold",
        "let the firmware export it, or compile the extension with `-DNDEBUG`",
    ),
    Family(
        "undefined-symbol",
        r"assert_print|assert_post_action",
        "`__ASSERT()` calls it when the condition does not hold",
        "build the firmware with `CONFIG_ASSERT=y`, or the extension with `-D__ASSERT_ON=0`",
    ),
    Family(
        "undefined-symbol",
        r"assert|__ASSERT(_NO_MSG|_EVAL)?",
        "it is a macro, and its header is not included: the compiler took it for a function",
        "include <llext/host.h>, or in a Zephyr build <zephyr/sys/__assert.h>; for `assert`, <assert.h>",
    ),
)

_SIZES = {"qi": 8, "hi": 16, "si": 32, "di": 64, "ti": 128}
_FLOATS = {"hf": "half", "bf": "bfloat16", "sf": "float", "df": "double", "xf": "long double", "tf": "long double"}
_COMPLEX = {"sc": "complex floats", "dc": "complex doubles", "tc": "complex long doubles", "xc": "complex long doubles"}
_VERBS = {
    "add": "adds", "sub": "subtracts", "rsub": "subtracts", "mul": "multiplies", "div": "divides", "neg": "negates",
    "eq": "compares", "ne": "compares", "lt": "compares", "gt": "compares", "le": "compares", "ge": "compares",
    "cmp": "compares", "un": "compares", "unord": "compares", "powi": "raises",
}  # fmt: skip
_INTEGER_VERBS = {
    "div": "divides signed", "udiv": "divides unsigned", "mod": "takes the remainder of signed",
    "umod": "takes the remainder of unsigned", "divmod": "divides signed", "udivmod": "divides unsigned",
    "mul": "multiplies", "mulo": "multiplies", "ashl": "shifts", "ashr": "shifts", "lshr": "shifts", "neg": "negates",
    "cmp": "compares", "ucmp": "compares", "clz": "counts the leading zeros of", "ctz": "counts the trailing zeros of",
    "ffs": "finds the lowest bit of", "popcount": "counts the bits of", "parity": "takes the parity of",
    "bswap": "turns the bytes round of", "clrsb": "counts the redundant sign bits of", "abs": "takes the sign from",
    "absv": "takes the sign from", "addv": "adds", "subv": "subtracts", "mulv": "multiplies", "negv": "negates",
}  # fmt: skip
_AEABI = {
    "ldivmod": "divides signed 64-bit integers", "uldivmod": "divides unsigned 64-bit integers",
    "lmul": "multiplies 64-bit integers", "llsl": "shifts 64-bit integers", "llsr": "shifts 64-bit integers",
    "lasr": "shifts 64-bit integers", "lcmp": "compares 64-bit integers", "ulcmp": "compares 64-bit integers",
    "idiv": "divides signed 32-bit integers", "uidiv": "divides unsigned 32-bit integers",
    "idivmod": "divides signed 32-bit integers", "uidivmod": "divides unsigned 32-bit integers",
    "idiv0": "is called for a division by zero", "ldiv0": "is called for a division by zero",
    "uread4": "reads unaligned data", "uread8": "reads unaligned data", "uwrite4": "writes unaligned data",
    "uwrite8": "writes unaligned data",
}  # fmt: skip
_OF_AEABI = {"f": "float", "d": "double", "h": "half", "i": "int", "l": "long long", "ui": "unsigned", "ul": "unsigned"}

_AEABI_FLOAT = re.compile(
    r"__aeabi_c?([fd])(add|sub|rsub|mul|div|neg|r?cmp(?:eq|lt|le|ge|gt|un)?)|__aeabi_c([fd])r?cmp\w+"
)
_AEABI_CONVERSION = re.compile(r"__aeabi_([fdhil]|ui|ul)2([fdhil]|ui|ul)(?:z|_alt)*")
_GNU_FLOAT = re.compile(rf"__({'|'.join(_VERBS)})(hf|bf|[sdxt]f)[23]")
_GNU_COMPLEX = re.compile(r"__(mul|div)([sdtx]c)3")
_GNU_INTEGER = re.compile(rf"__({'|'.join(_INTEGER_VERBS)})([qhsdt]i)[234]")
_GNU_CONVERSION = re.compile(
    r"__(?:fix|fixuns|float|floatun|floatuns|extend|trunc)([qhsdt]i|[hbsdxt]f)([qhsdt]i|[hbsdxt]f)2?"
)
_OTHER_HELPERS = (
    (r"__gnu_thumb1_case_\w+", "branches by the table of a `switch`"),
    (r"__gnu_(h2f|f2h|d2h)_\w+", "converts half-precision numbers"),
    (r"__clear_cache", "clears the instruction cache"),
    (r"__aeabi_\w+|__gnu_\w+", "does what the CPU has no instruction for"),
)


def operation(name: str) -> str:
    """What a helper of the compiler does, as in "which ...": ``""`` if the name is none of a helper."""
    plain = name.removeprefix("__aeabi_")
    if plain != name and plain in _AEABI:
        return _AEABI[plain]
    if found := _AEABI_FLOAT.fullmatch(name):
        verb = "compares" if "cmp" in name else _VERBS[found[2]]
        return f"{verb} {_OF_AEABI[found[1] or found[3]]}s in software"
    if found := _AEABI_CONVERSION.fullmatch(name):
        return f"converts {_OF_AEABI[found[1]]} to {_OF_AEABI[found[2]]} in software"
    if found := _GNU_FLOAT.fullmatch(name):
        return f"{_VERBS[found[1]]} {_FLOATS[found[2]]}s in software"
    if found := _GNU_COMPLEX.fullmatch(name):
        return f"{_VERBS[found[1]]} {_COMPLEX[found[2]]}"
    if found := _GNU_INTEGER.fullmatch(name):
        return f"{_INTEGER_VERBS[found[1]]} {_SIZES[found[2]]}-bit integers"
    if found := _GNU_CONVERSION.fullmatch(name):
        first, second = (_FLOATS.get(kind) or f"{_SIZES[kind]}-bit integer" for kind in found.groups())
        return f"converts {first} to {second} in software"
    return next((what for names, what in _OTHER_HELPERS if re.fullmatch(names, name)), "")


def family(name: str) -> Family | None:
    """What kind of name it is, if it is one of those that compilers and libraries bring along."""
    found = next((each for each in FAMILIES if re.fullmatch(each.names, name)), None)
    if found is None and (what := operation(name)):
        cure = HELPER
        if "double" in what:
            cure += "; a constant such as `1.0` is a double, `1.0f` is not"
        return Family(RUNTIME, name, f"it is a helper of the compiler, which {what}", cure)
    if found is None and _is_maths(name):
        cure = "let the firmware export it, or link the library's `libm.a` into the extension"
        return Family("undefined-symbol", name, "it is in <math.h>", cure)
    return found


def _is_maths(name: str) -> bool:
    return name in MATHS or (name[:-1] in MATHS and name[-1:] in ("f", "l"))
