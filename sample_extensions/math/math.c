/*
 * math: arithmetic that the CPU cannot do. A 32-bit core divides 64-bit numbers by calling __aeabi_ldivmod or __divdi3;
 * a core without an FPU calls a function for each addition of doubles; a Cortex-M0+ even for a plain division. These
 * helpers belong to the compiler (libgcc, compiler-rt). A base image contains the ones that it happens to need itself
 * and exports none by default.
 *
 * COMPILER_RUNTIME in CMakeLists.txt links those that are called here into the extension. Take it away to see the
 * check list them as undefined.
 */

#include <llext/host.h>
#include <llext/symbol.h>

/* Nanoseconds per event: 64-bit division and remainder. */
int64_t mean_ns(int64_t total, int64_t events)
{
	printk("%lld ns in %lld events, %lld ns left over\n", (long long)total, (long long)events,
	       (long long)(total % events));
	return total / events;
}
EXPORT_SYMBOL(mean_ns);

/* Single precision: in hardware on cortex-m4f, cortex-m7, rv32imafc and rv64gc. */
float fahrenheit(float celsius)
{
	return celsius * 9.0f / 5.0f + 32.0f;
}
EXPORT_SYMBOL(fahrenheit);

/* Double precision: in hardware on cortex-m7 and rv64gc. Newton's method; `x` is positive. */
double square_root(double x)
{
	double guess = x > 1.0 ? x : 1.0;

	for (int i = 0; i < 60; i++) {
		double next = 0.5 * (guess + x / guess);

		if (next == guess) {
			break;
		}
		guess = next;
	}
	printk("square root of %.3f: %.6f\n", x, guess);
	return guess;
}
EXPORT_SYMBOL(square_root);

/* Conversions between all of them are calls, too. */
int32_t round_to(double value, int32_t step)
{
	uint64_t steps = (uint64_t)(value / step + 0.5);

	return (int32_t)(steps * (uint64_t)step);
}
EXPORT_SYMBOL(round_to);
