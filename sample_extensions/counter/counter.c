/*
 * counter: an extension that remembers. Variables with an initial value are stored in the file (.data) and copied to
 * RAM; variables that start as zero (.bss) take no space in the file, the loader clears memory for them.
 *
 * The loader takes one .bss only. That is why llext_add_extension() merges sections, and why the RISC-V targets switch
 * off the small-data area, which would add a second one.
 */

#include <llext/host.h>
#include <llext/symbol.h>

#define HISTORY 4

static int step = 5;           /* .data */
static int total;              /* .bss */
static int history[HISTORY];   /* .bss */
static unsigned int ticks = 0; /* .bss, too: an explicit zero is still a zero */

/* Count once and return the sum of the last HISTORY totals. */
int counter_tick(void)
{
	int sum = 0;

	total += step;
	history[ticks++ % HISTORY] = total;
	for (unsigned int i = 0; i < HISTORY; i++) {
		sum += history[i];
	}
	printk("tick %u: total %d, last %d add up to %d\n", ticks, total, HISTORY, sum);
	return sum;
}
EXPORT_SYMBOL(counter_tick);

int counter_run(int times)
{
	int sum = 0;

	while (times-- > 0) {
		sum = counter_tick();
	}
	return sum;
}
EXPORT_SYMBOL(counter_run);

/* Objects can be exported like functions: the host may change the step while the extension is loaded. */
EXPORT_SYMBOL_NAMED(step, counter_step);
