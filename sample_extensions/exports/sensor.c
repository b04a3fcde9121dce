/*
 * exports, second half: an extension that uses another one. `logbook_add` and `logbook_entries` are undefined here;
 * without the logbook the loader says so and gives up. Both extensions share the one variable.
 */

#include <llext/host.h>
#include <llext/symbol.h>

#include "logbook.h"

int sensor_sample(int raw)
{
	logbook_add("raw", raw);
	logbook_add("millivolts", raw * 3300 / 4096); /* 12 bits, 3.3 V */
	return logbook_entries;
}
EXPORT_SYMBOL(sensor_sample);
