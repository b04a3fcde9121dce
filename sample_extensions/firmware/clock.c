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

/* The CPU stops at an instruction that does not exist: a fault, on a board and in an emulator. */
void abort(void)
{
	__builtin_trap();
}
