#include <llext/symbol.h>

#include "api.h"

struct opaque {
	int secret;
};
static struct opaque driver;
struct sensor *first_sensor;
const uint16_t board_table[8] = {1, 2, 3};

int sensor_register(struct sensor *sensor, enum mode mode)
{
	sensor->next = first_sensor;
	sensor->mode = mode;
	first_sensor = sensor;
	return 0;
}

size_t sensor_visit(visitor_t visitor, void *data)
{
	size_t count = 0;

	for (struct sensor *each = first_sensor; each && visitor(each, data); each = each->next) {
		count++;
	}
	return count;
}

/* No arithmetic: the image is linked without the compiler's helper functions. */
double sensor_scale(const struct sensor *sensor, float factor, double offset)
{
	(void)factor;
	return sensor ? offset : (double){0};
}

int64_t sensor_stamp(uint64_t seed)
{
	return (int64_t)seed;
}

struct range sensor_limits(version_t version)
{
	return (struct range){.low = version.minor, .high = version.major};
}

struct opaque *driver_of(const char *name)
{
	return name ? &driver : NULL;
}

void log_text(const char *format, ...)
{
	(void)format;
}

void *memcpy(void *to, const void *from, size_t size)
{
	while (size--) {
		((volatile char *)to)[size] = ((const char *)from)[size];
	}
	return to;
}

void *memset(void *block, int byte, size_t size)
{
	while (size--) {
		((volatile char *)block)[size] = (char)byte;
	}
	return block;
}

EXPORT_SYMBOL(sensor_register);
EXPORT_SYMBOL(sensor_visit);
EXPORT_SYMBOL(sensor_scale);
EXPORT_SYMBOL(sensor_stamp);
EXPORT_SYMBOL(sensor_limits);
EXPORT_SYMBOL(driver_of);
EXPORT_SYMBOL(log_text);
EXPORT_SYMBOL(memcpy);
EXPORT_SYMBOL(memset);
EXPORT_SYMBOL(first_sensor);
EXPORT_SYMBOL(board_table);
