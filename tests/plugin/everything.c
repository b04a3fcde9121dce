/* One of each: what tests of the Python interface call. */

struct point {
	int x;
	short y;
	const char *name;
};
enum color { RED, GREEN = 5, BLUE };

static int step = 5;
EXPORT_SYMBOL_NAMED(step, counter_step);
int history[4] = {1, 2, 3, 4};
double ratio = 0.25;
struct point origin = {.name = "zero"};
int host;

__attribute__((constructor)) static void up(void) { printk("up\n"); }

int add(int a, int b) { return a + b; }
EXPORT_SYMBOL(add);
signed char i8(signed char x) { return x; }
EXPORT_SYMBOL(i8);
uint64_t u64(uint64_t x) { return x; }
EXPORT_SYMBOL(u64);
int64_t mixed(int8_t a, uint8_t b, int16_t c, uint16_t d, int64_t e) { return a + b + c + d + e; }
EXPORT_SYMBOL(mixed);
double half(double x) { return x / 2; }
EXPORT_SYMBOL(half);
float halff(float x) { return x / 2; }
EXPORT_SYMBOL(halff);
double polynomial(double a, double b, double c, double d, double e, int x)
{
	return a + x * (b + x * (c + x * (d + x * e)));
}
EXPORT_SYMBOL(polynomial);
_Bool no(_Bool x) { return !x; }
EXPORT_SYMBOL(no);
enum color after(enum color color) { return color == RED ? GREEN : BLUE; }
EXPORT_SYMBOL(after);

int length(const char *text) { return (int)strlen(text); }
EXPORT_SYMBOL(length);
const char *name_of(int n) { return n ? "one" : NULL; }
EXPORT_SYMBOL(name_of);
int fill(unsigned char *buffer, int n)
{
	for (int i = 0; i < n; i++) {
		buffer[i] = i + 1;
	}
	return n;
}
EXPORT_SYMBOL(fill);
int sum(const int *values, int n)
{
	int all = 0;
	for (int i = 0; i < n; i++) {
		all += values[i];
	}
	return all;
}
EXPORT_SYMBOL(sum);
struct point move(struct point point, int by)
{
	point.x += by;
	point.y -= by;
	return point;
}
EXPORT_SYMBOL(move);
void shift(struct point *point, int by) { point->x += by; }
EXPORT_SYMBOL(shift);
int peek(const int *address)
{
	int value = *(const volatile int *)address;

	printk("%d\n", value);
	return value;
}
EXPORT_SYMBOL(peek);

int apply(int (*step)(int, const char *), int n)
{
	int all = 0;
	while (n-- > 0) {
		all += step(n, "step");
	}
	return all;
}
EXPORT_SYMBOL(apply);
__attribute__((used)) static int own_step(int n, const char *text) { return text ? n : -1; }
int total(int count, ...)
{
	va_list list;
	int all = 0;
	va_start(list, count);
	while (count-- > 0) {
		all += va_arg(list, int);
	}
	va_end(list);
	return all;
}
EXPORT_SYMBOL(total);

__attribute__((noinline)) static int scaled(int n) { return n * step; }
int use_scaled(int n) { return scaled(n); }
EXPORT_SYMBOL(use_scaled);
int oldest(void) { return history[0]; }
EXPORT_SYMBOL(oldest);
int host_is(void) { return host; }
EXPORT_SYMBOL(host_is);

int nap(int ms) { return k_msleep(ms); }
EXPORT_SYMBOL(nap);
void *make(int size) { return k_malloc(size); }
EXPORT_SYMBOL(make);
void greet(const char *name) { printk("hello %s\n", name); }
EXPORT_SYMBOL(greet);

static int ticks;
static void tick(struct k_timer *timer) { ticks += timer != NULL; }
K_TIMER_DEFINE(ticker, tick, NULL);
void start_ticking(int ms) { k_timer_start(&ticker, K_MSEC(ms), K_MSEC(ms)); }
EXPORT_SYMBOL(start_ticking);
