extern "C" {
int printk(const char *format, ...);
int gpio_pin_sett(int pin, int value);
int adc_read(int channel);
int scale(int x);
int z_impl_adc_start(int channel);
int z_impl_led_on(int led);
char *strcpy(char *to, const char *from);
int trace(int event) __attribute__((weak));
extern int __device_dts_ord_42;
}
int print_all(const char *text);
struct sensor {
    int read(long channel);
    virtual ~sensor() {}
};

static int (*const steps[])(int) = {adc_read, scale};

extern "C" int meter(int channel, long long total)
{
    sensor s;
    char name[8];
    strcpy(name, "meter");
    gpio_pin_sett(3, 1);
    int sum = s.read(channel) + steps[channel & 1](channel);
    if (trace) {
        trace(1);
    }
    for (int i = 0; i < 4; i++) {
        sum += adc_read(i);
        sum += z_impl_adc_start(i);
    }
    sum += adc_read(9);
    sum += z_impl_led_on(0) + __device_dts_ord_42;
    return print_all(name) + total / sum;
}
int blink(int channel) { return gpio_pin_sett(4, adc_read(channel)); }
int blank(int channel) { return gpio_pin_sett(5, adc_read(channel)); }
int block(int channel) { return adc_read(channel); }
