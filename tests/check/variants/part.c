/* What compilers put into sections of their own: tables, strings, statics, constants, cold code, constructors. */
#include <llext/symbol.h>

#include "api.h"
#include "more.h"

static int counter;
static int32_t values[16];
static const int32_t weights[] = {3, 1, 4, 1, 5, 9, 2, 6};
static const char *const names[] = {"off", "slow", "fast"};
static int (*const steps[])(int) = {more_first, more_second};
static volatile uint64_t seed = 0x123456789abcdefULL;
int part_shared = 7;
int part_empty[4];

static int read_value(struct sensor *self, int32_t *value)
{
	*value = self->raw + values[self->channel & 15];
	return MODE_FAST;
}

static struct sensor own = {.name = "own", .range = {-40, 125}, .read = read_value};

static bool visit(const struct sensor *sensor, void *data)
{
	*(int *)data += sensor->history[1][2] + sensor->version.major;
	return sensor->ready;
}

__attribute__((constructor)) static void part_start(void)
{
	counter = board_table[1];
	sensor_register(&own, MODE_SLOW);
}

__attribute__((noinline)) int part_choose(int which)
{
	switch (which) {
	case 0: return counter + 17;
	case 1: return part_shared * 3;
	case 2: return more_first(which);
	case 3: return -1;
	case 4: return part_empty[1];
	case 5: return more_second(which) << 2;
	case 6: return which ^ 0x55;
	default: return weights[which & 7];
	}
}

__attribute__((cold)) static void complain(int code)
{
	log_text("cannot %s: %d\n", names[code % 3], code);
}

int part_run(int rounds)
{
	struct sensor copy = *first_sensor, fresh = {0};
	struct range limits = sensor_limits(copy.version);
	int sum = limits.low + fresh.channel;

	for (int i = 0; i < rounds; i++) {
		sum += steps[i & 1](i) + part_choose(i & 7) + weights[i & 7];
		values[i & 15] += sum;
	}
	if (sum < 0) {
		complain(-sum);
	}
	sum += (int)sensor_visit(visit, &sum);
	sum += (int)((uint64_t)sensor_stamp(seed) / (uint64_t)(rounds + 1));
	sum += (int)sensor_scale(&copy, 0.5f, (double)rounds * 1.5);
	sum += driver_of("own") != NULL;
	return sum;
}
EXPORT_SYMBOL(part_run);
EXPORT_SYMBOL(part_shared);
