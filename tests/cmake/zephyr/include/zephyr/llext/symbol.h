/* EXPORT_SYMBOL() of the stand-in: a row of the firmware's table, or of an extension's. */

struct llext_const_symbol {
    const char *name;
    const void *address;
};

#if defined(LL_EXTENSION_BUILD)
#define EXPORT_SYMBOL(x) \
    static const struct llext_const_symbol exported_##x \
        __attribute__((section(".exported_sym"), used)) = {#x, (const void *)&x}
#elif defined(CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID)
#define EXPORT_SYMBOL(x) \
    static const char name_##x[] __attribute__((section("llext_exports_strtab"), used)) = #x; \
    static const struct llext_const_symbol exported_##x \
        __attribute__((section("llext_const_symbol_area"), used)) = {name_##x, (const void *)&x}
#else
#define EXPORT_SYMBOL(x) \
    static const struct llext_const_symbol exported_##x \
        __attribute__((section("llext_const_symbol_area"), used)) = {#x, (const void *)&x}
#endif
