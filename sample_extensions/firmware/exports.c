/*
 * The table of exported symbols. Each line puts a pair of name and address into the section `llext_const_symbol_area`,
 * which firmware.ld keeps. The loader searches it on the target; `llext exports firmware` and the check that
 * llext_add_exports() sets up read the same bytes from the ELF file on the host.
 *
 * In a larger image these lines stand below the function that they export. Here they are together, to be seen at once.
 */

#include <llext/symbol.h>

#include "services.h"

EXPORT_SYMBOL(printk);
EXPORT_SYMBOL(vprintk);
EXPORT_SYMBOL(printf);
EXPORT_SYMBOL(snprintf);
EXPORT_SYMBOL(vsnprintf);
EXPORT_SYMBOL(puts);
EXPORT_SYMBOL(putchar);

EXPORT_SYMBOL(memcpy);
EXPORT_SYMBOL(memmove);
EXPORT_SYMBOL(memset);
EXPORT_SYMBOL(memcmp);

EXPORT_SYMBOL(strlen);
EXPORT_SYMBOL(strcmp);
EXPORT_SYMBOL(strncmp);
EXPORT_SYMBOL(strcpy);
EXPORT_SYMBOL(strncpy);
EXPORT_SYMBOL(strcat);
EXPORT_SYMBOL(strchr);
EXPORT_SYMBOL(strstr);

EXPORT_SYMBOL(malloc);
EXPORT_SYMBOL(calloc);
EXPORT_SYMBOL(realloc);
EXPORT_SYMBOL(free);
EXPORT_SYMBOL(k_malloc);
EXPORT_SYMBOL(k_free);

EXPORT_SYMBOL(qsort);
EXPORT_SYMBOL(bsearch);

EXPORT_SYMBOL(k_uptime_get);
EXPORT_SYMBOL(k_msleep);
EXPORT_SYMBOL(abort);
EXPORT_SYMBOL(assert_print);
EXPORT_SYMBOL(assert_post_action);
EXPORT_SYMBOL(__assert_func);

EXPORT_SYMBOL(crc32);
EXPORT_SYMBOL(sensor_read);
EXPORT_SYMBOL(board_register);
EXPORT_SYMBOL(board_call);
EXPORT_SYMBOL(board_name); /* an object */
