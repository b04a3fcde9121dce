/*
 * An extension for this very image: it calls the image's services, and registers a function that the image calls.
 *
 * llext_add_exports(... FIRMWARE firmware) checks it against the table inside the image: take one line out of exports.c
 * and the build fails here, with the name of what is missing.
 */

#include <llext/symbol.h>

#include "services.h"

static int32_t limit = 22000;

/* Called by the image, through board_call(). */
static int32_t set_limit(int32_t millidegrees)
{
	int32_t old = limit;

	limit = millidegrees;
	return old;
}

__attribute__((constructor)) static void thermometer_init(void)
{
	board_register("limit", set_limit);
}

/* How many of `times` readings are above the limit. */
int thermometer_watch(int times)
{
	int above = 0;

	for (int i = 0; i < times; i++) {
		int32_t now = sensor_read(0);

		above += now > limit;
		printk("%s: %d millidegrees%s\n", board_name, (int)now, now > limit ? " (above the limit)" : "");
	}
	return above;
}
EXPORT_SYMBOL(thermometer_watch);

/* The image calls the extension, which the extension calls the image for. */
int thermometer_limit(int millidegrees)
{
	return (int)board_call("limit", millidegrees);
}
EXPORT_SYMBOL(thermometer_limit);

/* The CRC of "123456789" is the check value that every description of the algorithm gives: 0xcbf43926. */
uint32_t thermometer_crc(const char *text)
{
	uint32_t crc = crc32(0, text, strlen(text));

	printk("crc of %s: %08x\n", text, (unsigned int)crc);
	return crc;
}
EXPORT_SYMBOL(thermometer_crc);
