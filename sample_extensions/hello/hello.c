/*
 * hello: the smallest useful extension. It calls a function of its host, printk(), and offers two of its own.
 *
 * printk is undefined in hello.llext. The loader looks it up in the table of symbols that the base image exports and
 * writes its address into the call: that is all that "linking on the target" means.
 */

#include <llext/host.h>
#include <llext/symbol.h>

int hello(void)
{
	printk("Hello from an extension\n");
	return 42;
}
LL_EXTENSION_SYMBOL(hello);

/* A caller finds only the names that are exported; the type of `name` is known to nobody but the two of them. */
int greet(const char *name)
{
	printk("Hello, %s (%u letters)\n", name, (unsigned int)strlen(name));
	return 0;
}
LL_EXTENSION_SYMBOL(greet);
