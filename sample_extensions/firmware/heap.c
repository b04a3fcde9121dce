/*
 * Two heaps. One is for what programs allocate: a list of the free blocks, in the order of their addresses, of which the
 * first one that is large enough is taken; free() joins neighbours. The other one is where extensions are loaded to. It
 * has the name that Zephyr gives it, by which tools find it.
 */

#include "services.h"

/* A page of its own for each region of an extension: those for code and for data get different permissions. */
__attribute__((used, section(".noinit"), aligned(4096))) unsigned char kheap_llext_heap[192 << 10];

#define POOL_SIZE (16 << 10)

struct block {
	size_t size; /* bytes behind this header: a multiple of its own size */
	struct block *next;
};

static struct block pool[POOL_SIZE / sizeof(struct block)];
static struct block *free_blocks;
static int is_ready;

static struct block *behind(struct block *block)
{
	return (struct block *)((unsigned char *)(block + 1) + block->size);
}

void *malloc(size_t size)
{
	struct block **link = &free_blocks;

	if (!is_ready) {
		is_ready = 1;
		pool[0].size = sizeof(pool) - sizeof(pool[0]);
		free_blocks = pool;
	}
	if (size > POOL_SIZE) {
		return NULL;
	}
	size = size > 0 ? size : 1;
	size = (size + sizeof(struct block) - 1) & ~(sizeof(struct block) - 1);
	for (; *link != NULL; link = &(*link)->next) {
		struct block *block = *link;

		if (block->size < size) {
			continue;
		}
		if (block->size > size) { /* the rest stays free, with a header of its own */
			struct block *rest = (struct block *)((unsigned char *)(block + 1) + size);

			rest->size = block->size - size - sizeof(struct block);
			rest->next = block->next;
			block->size = size;
			*link = rest;
		} else {
			*link = block->next;
		}
		return block + 1;
	}
	return NULL;
}

void free(void *memory)
{
	struct block *block = (struct block *)memory - 1;
	struct block *before = NULL;
	struct block *next = free_blocks;

	if (memory == NULL) {
		return;
	}
	while (next != NULL && next < block) {
		before = next;
		next = next->next;
	}
	block->next = next;
	if (next != NULL && behind(block) == next) {
		block->size += sizeof(struct block) + next->size;
		block->next = next->next;
	}
	if (before == NULL) {
		free_blocks = block;
	} else if (behind(before) == block) {
		before->size += sizeof(struct block) + block->size;
		before->next = block->next;
	} else {
		before->next = block;
	}
}

void *calloc(size_t count, size_t size)
{
	void *memory = NULL;

	if (count <= POOL_SIZE && size <= POOL_SIZE) { /* their product is no more than 28 bits then */
		memory = malloc(count * size);
	}
	return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

void *realloc(void *memory, size_t size)
{
	void *larger = malloc(size);

	if (memory != NULL && larger != NULL) {
		size_t old = ((struct block *)memory - 1)->size;

		memcpy(larger, memory, old < size ? old : size);
		free(memory);
	}
	return larger;
}

void *k_malloc(size_t size)
{
	return malloc(size);
}

void k_free(void *memory)
{
	free(memory);
}
