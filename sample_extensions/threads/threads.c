/*
 * threads: a timer, two threads and what they share. Every 10 ms the timer gives a semaphore, in an interrupt. The
 * sampler takes it, reads the sensor and puts the reading into a message queue; the filter gets readings from there and
 * adds them up. A filter that is too slow loses readings, but the sampler never waits for it.
 *
 * In the emulator time is virtual: it passes when all threads wait, so that each run gives the same readings. All
 * threads are over when measure() returns, as they must be before the extension can be unloaded.
 */

#include <llext/host.h>
#include <llext/symbol.h>

LOG_MODULE_REGISTER(threads);

K_SEM_DEFINE(due, 0, 1);
K_MSGQ_DEFINE(readings, sizeof(int), 4, 4);
K_THREAD_STACK_DEFINE(sampler_stack, 1024);
K_THREAD_STACK_DEFINE(filter_stack, 1024);

static struct k_thread sampler;
static struct k_thread filter;
static int sum, lost;

static void tick(struct k_timer *timer)
{
	ARG_UNUSED(timer);
	k_sem_give(&due);
}

K_TIMER_DEFINE(clock, tick, NULL);

static void sample(void *count, void *unused, void *unused2)
{
	ARG_UNUSED(unused);
	ARG_UNUSED(unused2);
	for (int i = 0; i < POINTER_TO_INT(count); i++) {
		int reading = 200 + 7 * i;

		k_sem_take(&due, K_FOREVER);
		if (k_msgq_put(&readings, &reading, K_NO_WAIT) != 0) {
			LOG_WRN("reading %d is lost", i);
			lost++;
		}
	}
}

static void add_up(void *pause, void *unused, void *unused2)
{
	int reading;

	ARG_UNUSED(unused);
	ARG_UNUSED(unused2);
	while (k_msgq_get(&readings, &reading, K_MSEC(50)) == 0) {
		sum += reading;
		k_msleep(POINTER_TO_INT(pause));
	}
}

/* Takes so many readings; the filter needs `pause` ms for each. Returns the sum of those that it got. */
int measure(int count, int pause)
{
	int64_t start = k_uptime_get();

	sum = 0;
	lost = 0;
	k_thread_create(&sampler, sampler_stack, K_THREAD_STACK_SIZEOF(sampler_stack), sample, INT_TO_POINTER(count), NULL,
			NULL, K_PRIO_PREEMPT(4), 0, K_NO_WAIT);
	k_thread_create(&filter, filter_stack, K_THREAD_STACK_SIZEOF(filter_stack), add_up, INT_TO_POINTER(pause), NULL,
			NULL, K_PRIO_PREEMPT(5), 0, K_NO_WAIT);
	k_thread_name_set(&sampler, "sampler");
	k_thread_name_set(&filter, "filter");

	k_timer_start(&clock, K_MSEC(10), K_MSEC(10));
	k_thread_join(&sampler, K_FOREVER);
	k_timer_stop(&clock);
	k_thread_join(&filter, K_FOREVER);
	LOG_INF("%d readings in %d ms, %d lost", count, (int)k_uptime_delta(&start), lost);
	return sum;
}
EXPORT_SYMBOL(measure);
