/* The second file: called by main.c, calls rotate.S. */

#include "rotate.h"

uint32_t hash(const uint8_t *block, uint32_t size)
{
	uint32_t word = 0;

	for (uint32_t i = 0; i < size; i++) {
		word += block[i];
		word += word << 10;
		word ^= rotate_right(word, 6);
	}
	return word;
}
