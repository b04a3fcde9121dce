/* The services that make this image worth extending. */

#include "services.h"

const char board_name[] = "sample board";

/* CRC-32 as in Ethernet and zip: reflected, polynomial 0x04C11DB7, four bits at a time from a table of 64 bytes. */
uint32_t crc32(uint32_t crc, const void *data, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const unsigned char *byte = (const unsigned char *)data;

	crc = ~crc;
	while (size-- > 0) {
		crc ^= *byte++;
		crc = table[crc & 0xF] ^ crc >> 4;
		crc = table[crc & 0xF] ^ crc >> 4;
	}
	return ~crc;
}

/* Two temperature sensors; each reading drifts a little, as real ones do. */
int32_t sensor_read(unsigned int channel)
{
	static int32_t millidegrees[] = {21500, -4250};

	if (channel >= sizeof(millidegrees) / sizeof(millidegrees[0])) {
		return -1;
	}
	millidegrees[channel] += 125;
	return millidegrees[channel];
}

#define HANDLERS 4

static struct {
	const char *name;
	int32_t (*handler)(int32_t argument);
} handlers[HANDLERS];

/* The image keeps the address of an extension's function, and calls it: see board_call(). */
int board_register(const char *name, int32_t (*handler)(int32_t argument))
{
	for (unsigned int i = 0; i < HANDLERS; i++) {
		if (handlers[i].name == NULL) {
			handlers[i].name = name;
			handlers[i].handler = handler;
			return 0;
		}
	}
	return -1;
}

int32_t board_call(const char *name, int32_t argument)
{
	for (unsigned int i = 0; i < HANDLERS && handlers[i].name != NULL; i++) {
		if (strcmp(handlers[i].name, name) == 0) {
			return handlers[i].handler(argument);
		}
	}
	return -1;
}
