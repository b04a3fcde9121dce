/* Blocks of memory and strings: small rather than fast. Compilers call the first four on their own account, to copy and
 * clear structures.
 */

#include "services.h"

void *memcpy(void *to, const void *from, size_t size)
{
	unsigned char *t = (unsigned char *)to;
	const unsigned char *f = (const unsigned char *)from;

	while (size-- > 0) {
		*t++ = *f++;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *t = (unsigned char *)to;
	const unsigned char *f = (const unsigned char *)from;

	if ((uintptr_t)to <= (uintptr_t)from) {
		return memcpy(to, from, size);
	}
	while (size-- > 0) {
		t[size] = f[size];
	}
	return to;
}

void *memset(void *block, int byte, size_t size)
{
	unsigned char *b = (unsigned char *)block;

	while (size-- > 0) {
		*b++ = (unsigned char)byte;
	}
	return block;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const unsigned char *l = (const unsigned char *)left;
	const unsigned char *r = (const unsigned char *)right;

	for (; size > 0; size--, l++, r++) {
		if (*l != *r) {
			return *l - *r;
		}
	}
	return 0;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end != '\0') {
		end++;
	}
	return (size_t)(end - text);
}

int strcmp(const char *left, const char *right)
{
	while (*left != '\0' && *left == *right) {
		left++;
		right++;
	}
	return (unsigned char)*left - (unsigned char)*right;
}

char *strcpy(char *to, const char *from)
{
	char *start = to;

	while ((*to++ = *from++) != '\0') {
	}
	return start;
}

int strncmp(const char *left, const char *right, size_t size)
{
	for (; size > 0; size--, left++, right++) {
		if (*left != *right || *left == '\0') {
			return (unsigned char)*left - (unsigned char)*right;
		}
	}
	return 0;
}

/* Fills up with zeros, and leaves out the last one if there is no room for it. */
char *strncpy(char *to, const char *from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		to[i] = *from;
		from += *from != '\0';
	}
	return to;
}

char *strcat(char *to, const char *from)
{
	strcpy(to + strlen(to), from);
	return to;
}

char *strchr(const char *text, int character)
{
	for (;; text++) {
		if (*text == (char)character) {
			return (char *)text;
		}
		if (*text == '\0') {
			return NULL;
		}
	}
}

char *strstr(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (;; text++) {
		if (strncmp(text, part, length) == 0) {
			return (char *)text;
		}
		if (*text == '\0') {
			return NULL;
		}
	}
}
