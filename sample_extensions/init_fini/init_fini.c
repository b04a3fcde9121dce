/*
 * init_fini: code that runs before and after the calls. llext_bringup() calls each function of .preinit_array and
 * .init_array, llext_teardown() each one of .fini_array, both from the first entry to the last.
 *
 * A constructor with a priority goes to a section of its own (.init_array.00101), the lower number first, those
 * without a priority last. The loader refuses several such sections, so the partial link sorts them into one. Destructors
 * run in the reverse order, as with a C library: `llext finish` turns their table round.
 */

#include <llext/host.h>
#include <llext/symbol.h>

static int steps;

static void step(const char *name)
{
	steps++;
	printk("%s ", name);
}

/* Written in an order that is not the one they run in. */
__attribute__((constructor)) static void last(void)
{
	step("last");
}

__attribute__((constructor(102))) static void second(void)
{
	step("second");
}

__attribute__((constructor(101))) static void first(void)
{
	step("first");
}

int init_fini_run(void)
{
	step("call");
	return steps;
}
EXPORT_SYMBOL(init_fini_run);

__attribute__((destructor)) static void finish(void)
{
	step("finish");
	printk("after %d steps\n", steps);
}
