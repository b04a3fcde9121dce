/*
 * What the base image offers to its extensions: the part of a C library that it has, and services of its own.
 * An extension includes this header and is checked against the exports of the image itself, see exports.c.
 */

#ifndef SERVICES_H_
#define SERVICES_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* libc.c */
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *block, int byte, size_t size);
int memcmp(const void *left, const void *right, size_t size);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
char *strcpy(char *to, const char *from);

/* printk.c: %c %s %d %i %u %x %p %%, with width, zero padding, l, ll and z. The text goes to the log. */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* services.c */
uint32_t crc32(uint32_t crc, const void *data, size_t size); /* start with 0; may be fed in pieces */
int32_t sensor_read(unsigned int channel);                   /* millidegrees; -1 for a channel that does not exist */
int board_register(const char *name, int32_t (*handler)(int32_t)); /* 0, or -1 if the table is full */
int32_t board_call(const char *name, int32_t argument);            /* calls a registered handler; -1 if unknown */
extern const char board_name[];

/* The log, a ring of the last characters. The image itself writes it out, see main.c; not exported. */
#define LOG_SIZE 1024
extern char log_buffer[LOG_SIZE];
extern uint32_t log_written; /* how many characters ever */

#ifdef __cplusplus
}
#endif

#endif /* SERVICES_H_ */
