/*
 * multi_file: C, C and assembly make one extension. The files refer to each other by undefined symbols like in any
 * program; the partial link (`ld -r`) joins them, so that only the host's symbols are left for the loader.
 */

#include <llext/host.h>
#include <llext/symbol.h>

#include "rotate.h"

uint32_t hash_text(const char *text)
{
	uint32_t word = hash((const uint8_t *)text, strlen(text));

	printk("hash(\"%s\") = %08x\n", text, (unsigned int)word);
	return word;
}
EXPORT_SYMBOL(hash_text);

/* Functions of the other files can be exported from here, or there, or anywhere. */
EXPORT_SYMBOL(rotate_right);
