"""What to do about a missing symbol or a section that is not loaded: from its name and from what the host has."""

from __future__ import annotations

from llext_tools.link.exports import ExportTable

FAMILIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("__aeabi_mem", "memcpy", "memset", "memmove", "memcmp"),
        "compilers call it for copies and initialisers: the firmware must export it",
    ),
    (
        ("__aeabi_atexit", "__cxa_atexit", "__dso_handle"),
        "it registers destructors of static objects: compile with `-fno-use-cxa-atexit`, as the default flags do",
    ),
    (
        ("__aeabi_read_tp", "__tls_get_addr", "__emutls_"),
        "it finds thread-local variables, which an extension cannot have: use ordinary ones",
    ),
    (
        ("__gxx_personality", "_ZTVN10__cxxabiv1", "__cxa_throw", "__cxa_begin_catch", "__cxa_end_catch",
         "__cxa_allocate_exception", "__cxa_bad_cast", "__dynamic_cast", "_Unwind_", "__aeabi_unwind"),
        "it belongs to C++ exceptions or RTTI: compile with `-fno-exceptions -fno-rtti`",
    ),
    (
        ("__aeabi_", "__gnu_", "__udiv", "__umod", "__div", "__mod", "__mul", "__ash", "__lsh", "__fix", "__float",
         "__add", "__sub", "__eq", "__ne", "__lt", "__gt", "__le", "__ge", "__unord", "__clz", "__ctz", "__popcount",
         "__extend", "__trunc", "__pow", "__bswap", "__riscv_save_", "__riscv_restore_"),
        "it is a compiler helper: pass COMPILER_RUNTIME to llext_add_extension(), which links it in",
    ),
    (
        ("__atomic_", "__sync_"),
        "the CPU has no instruction for this atomic operation: the firmware must export a function that does it",
    ),
    (
        ("_Zdl", "_Zda", "_Znw", "_Zna"),
        "it is C++'s operator new or delete: define it in the extension, on top of the firmware's allocator",
    ),
    (("__cxa_guard",), "it guards static locals: compile with `-fno-threadsafe-statics`"),
    (("__cxa_pure_virtual",), "it is called for pure virtual functions: define it in the extension"),
    (
        ("_ZNSt", "_ZNKSt", "_ZSt", "_ZTVSt", "_ZTISt"),
        "it is in C++'s library, which firmwares do not export: use only what headers define in full, no <iostream>",
    ),
    (("__stack_chk_",), "it guards the stack: compile with `-fno-stack-protector`, or export it from the firmware"),
    (("__asan_", "__ubsan_", "__sanitizer_", "__tsan_"), "it belongs to a sanitizer: compile without `-fsanitize`"),
    (("__gcov_", "__llvm_profile_", "__llvm_gcov_"), "it counts coverage: compile without `--coverage`"),
    (("__cyg_profile_",), "it traces functions: compile without `-finstrument-functions`"),
    (
        ("sbrk", "_sbrk", "_write", "_read", "_close", "_lseek", "_fstat", "_isatty", "_exit", "_kill", "_getpid",
         "_impure_ptr", "__errno", "__getreent", "__assert_func", "_ctype_", "__sf", "stdout", "stderr"),
        "it is what a C library is built on: use the firmware's functions instead of linking a C library in",
    ),
    (("__device_dts_ord_",), "it is a Zephyr device: the firmware needs CONFIG_LLEXT_EXPORT_DEVICES=y"),
    (("z_impl_", "z_mrsh_"), "it is a Zephyr system call: the firmware must be built with EXPORT_SYSCALL() for it"),
    (
        ("_GLOBAL_OFFSET_TABLE_",),
        "the object was compiled as position-independent code: compile with `-fno-pic -fno-pie`",
    ),
)  # fmt: skip
"""Names and the advice for them. A name is whole, or a beginning if it starts like those of compilers: `__`, `_Z`."""

MATHS = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "exp",
    "exp2", "expm1", "fabs", "fdim", "floor", "fma", "fmax", "fmin", "fmod", "frexp", "hypot", "ldexp", "lgamma",
    "log", "log10", "log1p", "log2", "lrint", "lround", "modf", "nearbyint", "pow", "remainder", "rint", "round",
    "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc",
})  # fmt: skip
"""The functions of <math.h>; those for float and long double have an f or l at the end."""


def _of_family(name: str, beginnings: tuple[str, ...]) -> bool:
    return any(name.startswith(each) if each[:2] in ("__", "_Z", "_U", "z_") else name == each for each in beginnings)


def missing_help(name: str, exports: ExportTable) -> str:
    """One sentence of advice: by the family of the name, else the nearest export if it looks like a slip."""
    from difflib import get_close_matches  # needed only here, where something went wrong already

    for names, advice in FAMILIES:
        if _of_family(name, names):
            return advice
    folded = {known.lower().lstrip("_"): known for known in exports.by_name}
    near = folded.get(name.lower().lstrip("_")) or next(iter(get_close_matches(name, exports.by_name, 1, 0.8)), "")
    if near:
        return f"did you mean `{near}`?"
    if name in MATHS or (name[:-1] in MATHS and name[-1] in "fl"):
        return "it is in <math.h>: the firmware must export it, or link the library's `libm.a` into the extension"
    return f"if the firmware defines it, add `EXPORT_SYMBOL({name});` there"


def unmapped_help(section: str) -> str:
    """What to do about a section that no region takes."""
    if section.startswith((".ARM.ex", ".eh_frame")):
        return "compile with `-fno-unwind-tables -fno-asynchronous-unwind-tables`, or remove the section with objcopy"
    if section.startswith((".tdata", ".tbss")):
        return "the loader gives an extension no thread-local storage of its own: use ordinary variables"
    return ""
