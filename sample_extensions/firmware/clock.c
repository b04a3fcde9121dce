/*
 * Time without a timer, so that the image needs no interrupts: it passes when somebody sleeps, and 10 us at each look at
 * the clock, so that a loop that waits for a time comes to its end. A real image counts the ticks of its timer here.
 */

#include "services.h"

#define LOOKS_PER_MS 100

static int64_t uptime_ms;
static unsigned int looks;

int64_t k_uptime_get(void)
{
	if (++looks == LOOKS_PER_MS) {
		looks = 0;
		uptime_ms++;
	}
	return uptime_ms;
}

int32_t k_msleep(int32_t milliseconds)
{
	if (milliseconds > 0) {
		uptime_ms += milliseconds;
	}
	return 0; /* what is left: nobody wakes a sleeper here */
}

/* What the assertions of <llext/assert.h> call. */
void assert_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintk(format, args);
	va_end(args);
}

void assert_post_action(const char *file, unsigned int line)
{
	(void)file;
	(void)line;
	abort();
}

void __assert_func(const char *file, int line, const char *function, const char *condition)
{
	printk("%s:%d: %s: the assertion `%s` does not hold\n", file, line, function, condition);
	abort();
}

/* The CPU stops at an instruction that does not exist: a fault, on a board and in an emulator. */
void abort(void)
{
	__builtin_trap();
}
