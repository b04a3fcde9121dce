/*
 * The table of exported symbols. Each line puts a pair of name and address into the section `llext_const_symbol_area`,
 * which firmware.ld keeps. The loader searches it on the target; `llext exports firmware` and the check that
 * llext_add_exports() sets up read the same bytes from the ELF file on the host.
 *
 * In a larger image these lines stand below the function that they export. Here they are together, to be seen at once.
 */

#include <llext/symbol.h>

#include "services.h"

EXPORT_SYMBOL(memcpy);
EXPORT_SYMBOL(memmove);
EXPORT_SYMBOL(memset);
EXPORT_SYMBOL(memcmp);
EXPORT_SYMBOL(strlen);
EXPORT_SYMBOL(strcmp);
EXPORT_SYMBOL(strcpy);

EXPORT_SYMBOL(printk);

EXPORT_SYMBOL(crc32);
EXPORT_SYMBOL(sensor_read);
EXPORT_SYMBOL(board_register);
EXPORT_SYMBOL(board_call);
EXPORT_SYMBOL(board_name); /* an object */
