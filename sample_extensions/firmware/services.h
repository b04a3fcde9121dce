/*
 * What the base image offers to its extensions: the functions of <llext/host.h>, so that each of the samples runs on it,
 * and services of its own. An extension includes this header and is checked against the exports of the image itself,
 * see exports.c.
 */

#ifndef SERVICES_H_
#define SERVICES_H_

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <llext/host.h> /* libc.c, sort.c, heap.c, format.c, clock.c */

#ifdef __cplusplus
extern "C" {
#endif

/* format.c: %c %s %d %i %u %x %p %f %%, with width, zero padding, precision, l, ll and z. */
void vprintk(const char *format, va_list args);
int vsnprintf(char *buffer, size_t size, const char *format, va_list args);

/* services.c */
uint32_t crc32(uint32_t crc, const void *data, size_t size); /* start with 0; may be fed in pieces */
int32_t sensor_read(unsigned int channel);                   /* millidegrees; -1 for a channel that does not exist */
int board_register(const char *name, int32_t (*handler)(int32_t)); /* 0, or -1 if the table is full */
int32_t board_call(const char *name, int32_t argument);            /* calls a registered handler; -1 if unknown */
extern const char board_name[];

/* console.c, for the image itself: all that is printed goes through console_putc(). */
void console_init(void);
void console_putc(char character);

#ifdef __cplusplus
}
#endif

#endif /* SERVICES_H_ */
