/* Sorting and searching: the image calls the extension back. Few elements are expected, so the shortest way will do. */

#include "services.h"

static void swap(unsigned char *left, unsigned char *right, size_t size)
{
	while (size-- > 0) {
		unsigned char byte = *left;

		*left++ = *right;
		*right++ = byte;
	}
}

/* Each element moves down to its place among those before it, which are in order already. */
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	unsigned char *first = (unsigned char *)base;

	for (size_t i = 1; i < count; i++) {
		unsigned char *at = first + i * size;

		for (; at > first && compare(at - size, at) > 0; at -= size) {
			swap(at - size, at, size);
		}
	}
}

void *bsearch(const void *key, const void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	const unsigned char *first = (const unsigned char *)base;

	while (count > 0) {
		const unsigned char *middle = first + (count >> 1) * size;
		int order = compare(key, middle);

		if (order == 0) {
			return (void *)middle;
		}
		if (order > 0) {
			first = middle + size;
			count--;
		}
		count >>= 1;
	}
	return NULL;
}
