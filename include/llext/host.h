/*
 * What the host of `llext run` offers to an extension: the functions that most base images export, too.
 *
 * The compilers for bare machines bring no C library, and an extension has none of its own: it calls the one that its
 * base image exports. These are the prototypes. Inside a Zephyr build the real headers are included instead.
 * For an image that exports more, add its headers to the extension's include directories as usual.
 */

#ifndef LLEXT_HOST_H_
#define LLEXT_HOST_H_

#if defined(__ZEPHYR__) && __has_include(<zephyr/kernel.h>)

/* The C library is the firmware's. Who compiles against an EDK may have none. */
#if __has_include(<stdio.h>)
#include <stdio.h>
#endif
#if __has_include(<stdlib.h>)
#include <stdlib.h>
#endif
#if __has_include(<string.h>)
#include <string.h>
#endif
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>
#if __has_include(<zephyr/logging/log.h>)
#include <zephyr/logging/log.h>
#endif
#if __has_include(<zephyr/sys/__assert.h>)
#include <assert.h>
#include <zephyr/sys/__assert.h>
#endif

#else

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LLEXT_FORMAT(text, first) __attribute__((format(printf, text, first)))

#ifdef __cplusplus
extern "C" {
#endif

/* Output. */
void printk(const char *format, ...) LLEXT_FORMAT(1, 2);
int printf(const char *format, ...) LLEXT_FORMAT(1, 2);
int snprintf(char *buffer, size_t size, const char *format, ...) LLEXT_FORMAT(3, 4);
int puts(const char *text);
int putchar(int character);

/* Blocks of memory. */
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *block, int byte, size_t size);
int memcmp(const void *left, const void *right, size_t size);

/* Strings. In C++ they keep C's types: strchr() takes the const away. */
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t size);
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t size);
char *strcat(char *to, const char *from);
char *strchr(const char *text, int character);
char *strstr(const char *text, const char *part);

/* The heap; k_malloc() and the like are in <llext/kernel.h>. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);

/* Sorting and searching: the host calls the extension's function back. */
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
void *bsearch(const void *key, const void *base, size_t count, size_t size, int (*compare)(const void *, const void *));

/* Ends the extension; on a board the whole system goes with it. */
void abort(void) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#undef LLEXT_FORMAT

#include <llext/assert.h> /* assert() and __ASSERT() */
#include <llext/kernel.h> /* time, threads, semaphores, logging and the like */

#endif /* a Zephyr build */

#endif /* LLEXT_HOST_H_ */
