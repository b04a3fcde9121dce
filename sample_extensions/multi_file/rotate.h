#ifndef ROTATE_H_
#define ROTATE_H_

#include <stdint.h>

/* Rotate a word to the right by 0 to 31 bits: in assembly, see rotate.S. */
uint32_t rotate_right(uint32_t word, uint32_t count);

/* Jenkins' one-at-a-time hash of a block of bytes, each step rotated: see hash.c. */
uint32_t hash(const uint8_t *block, uint32_t size);

#endif /* ROTATE_H_ */
