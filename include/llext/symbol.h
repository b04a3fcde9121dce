/*
 * EXPORT_SYMBOL and LL_EXTENSION_SYMBOL for C and C++ that is built without a Zephyr tree.
 *
 * A loadable extension and the base image that loads it each keep a table of the names they offer: one
 * {name, address} pair for each. These macros add a pair to the table of whichever of the two is being compiled:
 *
 *   LL_EXTENSION_BUILD defined    an extension: section `.exported_sym`, read by llext_load() into exp_tab
 *   LL_EXTENSION_BUILD undefined  the base image: section `llext_const_symbol_area`, searched for undefined symbols
 *
 * llext_add_extension() defines LL_EXTENSION_BUILD. Inside a Zephyr build Zephyr's own header is used instead of this
 * one, so that the same source serves both. Pairs are constants: their sections are read-only in C and in C++, with
 * GCC and with Clang, and the loader insists that all of a region agree on that.
 *
 * C++: an exported name is the text given to the macro, not the mangled name. Give functions extern "C" linkage
 * where other languages call them by their symbol, or name one yourself: EXPORT_SYMBOL_NAMED(codec::open, codec_open).
 */

#ifndef LLEXT_SYMBOL_H_
#define LLEXT_SYMBOL_H_

#if (defined(__ZEPHYR__) || defined(CONFIG_LLEXT)) && __has_include(<zephyr/llext/symbol.h>)

#include <zephyr/llext/symbol.h>

#else

#ifdef __cplusplus
extern "C" {
#endif

/* An entry of an extension's table, as the loader reads it. */
struct llext_symbol {
	const char *name;
	void *addr;
};

/* An entry of the base image's table; the loader reads it, and `llext exports` does. */
struct llext_const_symbol {
	const char *name;
	const void *addr;
};

#ifdef __cplusplus
}
#endif

/* Put an entry for the function or object `symbol` into the section `area`.
 *
 * `used` keeps the entry, which nothing refers to. Its linkage is internal: two files may export alike, and the linker
 * or the loader judges the duplicate. The address keeps its own pointer type instead of a cast to void *, which has
 * the same bytes: Clang takes an entry with a cast function pointer for non-constant in C++ and would make the section
 * writable.
 */
#define LLEXT_PRIVATE_ENTRY(area, symbol, export_name)                                                                 \
	static const struct {                                                                                          \
		const char *name;                                                                                      \
		__typeof__(&symbol) addr;                                                                              \
	} llext_entry_of_##export_name                                                                                 \
		__attribute__((used, section(area), aligned(sizeof(void *)))) = {#export_name, &symbol}

#ifdef LL_EXTENSION_BUILD

/* Offer `symbol` to whoever loads this extension, under a name of its own. */
#define LL_EXTENSION_SYMBOL_NAMED(symbol, name)                                                                        \
	LLEXT_PRIVATE_ENTRY(".exported_sym", symbol, name)

/* The same line in code that is shared between a base image and its extensions. */
#define EXPORT_SYMBOL_NAMED(symbol, name) LL_EXTENSION_SYMBOL_NAMED(symbol, name)

#else

/* For extensions only: the base image may compile the file too and then offers nothing by it. */
#define LL_EXTENSION_SYMBOL_NAMED(symbol, name) extern int llext_no_entry_of_##name

/* Offer `symbol` of the base image to the extensions that it loads, under a name of its own. */
#define EXPORT_SYMBOL_NAMED(symbol, name)                                                                              \
	LLEXT_PRIVATE_ENTRY("llext_const_symbol_area", symbol, name)

#endif /* LL_EXTENSION_BUILD */

#define LL_EXTENSION_SYMBOL(symbol) LL_EXTENSION_SYMBOL_NAMED(symbol, symbol)
#define EXPORT_SYMBOL(symbol)       EXPORT_SYMBOL_NAMED(symbol, symbol)

/* Zephyr switches groups of exports on and off by Kconfig; without it every group is on. */
#define EXPORT_GROUP_SYMBOL(group, symbol)             EXPORT_SYMBOL(symbol)
#define EXPORT_GROUP_SYMBOL_NAMED(group, symbol, name) EXPORT_SYMBOL_NAMED(symbol, name)

#endif /* a Zephyr build */

#endif /* LLEXT_SYMBOL_H_ */
