/* What the firmware offers: every kind of type that an interface is made of. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mode { MODE_OFF, MODE_SLOW = 5, MODE_FAST };

struct opaque;

struct range {
	int16_t low, high;
};

typedef struct {
	uint8_t major, minor;
} version_t;

struct sensor {
	struct sensor *next;
	const char *name;
	struct range range;
	enum mode mode;
	version_t version;
	union {
		int32_t raw;
		float ratio;
	};
	unsigned int ready : 1, channel : 5;
	int64_t stamp;
	int (*read)(struct sensor *self, int32_t *value);
	struct opaque *driver;
	uint8_t history[3][4];
};

typedef bool (*visitor_t)(const struct sensor *sensor, void *data);

int sensor_register(struct sensor *sensor, enum mode mode);
size_t sensor_visit(visitor_t visitor, void *data);
double sensor_scale(const struct sensor *sensor, float factor, double offset);
int64_t sensor_stamp(uint64_t seed);
struct range sensor_limits(version_t version);
struct opaque *driver_of(const char *name);
void log_text(const char *format, ...);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *block, int byte, size_t size);
extern struct sensor *first_sensor;
extern const uint16_t board_table[8];

#ifdef __cplusplus
}
#endif
