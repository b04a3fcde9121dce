/* A firmware as far as extensions see it: what it defines, and the tables of what it exports and of groups that are off. */
struct symbol {
	const char *name;
	const void *address;
};
#define EXPORT_AS(x, text)                                                                          \
	static const struct symbol entry_##x                                                        \
		__attribute__((section("llext_const_symbol_area"), used)) = {text, (const void *)&x}
#define EXPORT(x) EXPORT_AS(x, #x)
#define IN_STRINGS __attribute__((section("llext_discarded_exports_strtab"), used))
#define SWITCHED_OFF(x, group)                                                                      \
	static const char name_##x[] IN_STRINGS = #x;                                               \
	static const char group_##x[] IN_STRINGS = #group;                                          \
	static const struct symbol off_##x                                                          \
		__attribute__((section("llext_discarded_exports_table"), used)) = {name_##x, group_##x}

int printk(const char *format, ...) { return format[0]; }
int gpio_pin_set(int pin, int value) { return pin + value; }
EXPORT(printk);
EXPORT(gpio_pin_set);

int adc_read(int channel)
{
	return channel;
}

static __attribute__((noinline, noclone)) int scale(int x)
{
	return x * 3;
}

int adc_gain = 4;
int z_impl_adc_start(int channel) { return scale(channel) + adc_gain; }

extern int z_impl_led_on(int led) __attribute__((weak));
EXPORT(z_impl_led_on);

char *strcpy(char *to, const char *from) { *to = *from; return to; }
SWITCHED_OFF(strcpy, LIBC);

int __device_dts_ord_42;
struct sensor;
int sensor_read_i(struct sensor *self, int channel) __asm__("_ZN6sensor4readEi");
int sensor_read_i(struct sensor *self, int channel) { return channel; }
EXPORT_AS(sensor_read_i, "_ZN6sensor4readEi");

void _start(void) { adc_read(z_impl_adc_start(1)); }
