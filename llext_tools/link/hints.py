"""Why a symbol is missing, and what to do about it: from its name and from what the host does export."""

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
        ("__aeabi_", "__gnu_", "__udiv", "__umod", "__div", "__mod", "__mul", "__ash", "__lsh", "__fix", "__float",
         "__add", "__sub", "__eq", "__ne", "__lt", "__gt", "__le", "__ge", "__unord", "__clz", "__ctz", "__popcount",
         "__extend", "__trunc", "__riscv_save_", "__riscv_restore_"),
        "it is a compiler helper: pass COMPILER_RUNTIME to llext_add_extension(), which links it in",
    ),
    (
        ("_Zdl", "_Zda", "_Znw", "_Zna"),
        "it is C++'s operator new or delete: define it in the extension, on top of the firmware's allocator",
    ),
    (
        ("__gxx_personality", "_ZTVN10__cxxabiv1", "__cxa_throw", "__cxa_begin_catch", "_Unwind_", "__aeabi_unwind"),
        "it belongs to C++ exceptions or RTTI: compile with `-fno-exceptions -fno-rtti`",
    ),
    (("__cxa_guard",), "it guards static locals: compile with `-fno-threadsafe-statics`"),
    (("__cxa_pure_virtual",), "it is called for pure virtual functions: define it in the extension"),
    (("__device_dts_ord_",), "it is a Zephyr device: the firmware needs CONFIG_LLEXT_EXPORT_DEVICES=y"),
    (("z_impl_", "z_mrsh_"), "it is a Zephyr system call: the firmware must be built with EXPORT_SYSCALL() for it"),
    (
        ("_GLOBAL_OFFSET_TABLE_",),
        "the object was compiled as position-independent code: compile with `-fno-pic -fno-pie`",
    ),
)  # fmt: skip


def missing_help(name: str, exports: ExportTable) -> str:
    """One sentence of advice: the nearest export if it looks like a slip, else by the family of the name."""
    from difflib import get_close_matches  # needed only here, where something went wrong already

    folded = {known.lower().lstrip("_"): known for known in exports.by_name}
    near = folded.get(name.lower().lstrip("_"))
    if near is None and (close := get_close_matches(name, exports.by_name, 1, 0.8)):
        near = close[0]
    if near is not None:
        return f"did you mean `{near}`?"
    for prefixes, advice in FAMILIES:
        if name.startswith(prefixes):
            return advice
    return f"if the firmware defines it, add `EXPORT_SYMBOL({name});` there"
