/*
 * exports, first half: an extension that serves others. What it exports, a function and a variable, is found by every
 * extension that is loaded after it: the loader searches the base image first, then the extensions in the order in
 * which they were loaded. It stays in memory as long as one of its users does.
 */

#include <llext/host.h>
#include <llext/symbol.h>

#include "logbook.h"

int logbook_entries;
EXPORT_SYMBOL(logbook_entries);

void logbook_add(const char *entry, int value)
{
	logbook_entries++;
	printk("[%d] %s = %d\n", logbook_entries, entry, value);
}
EXPORT_SYMBOL(logbook_add);
