/*
 * object: constant data full of pointers. A table of commands holds addresses of strings, of functions and of another
 * table; none of them is known before the extension has its place in memory, so each is a relocation. A pointer to a
 * Thumb function must keep bit 0 set on its way through the linker, else the call below faults.
 */

#include <llext/host.h>
#include <llext/symbol.h>

struct command {
	const char *name;
	int (*handler)(int argument);
	const struct command *sub; /* ends with an entry without a name */
	const char *const *aliases;
};

static int version(int argument)
{
	(void)argument;
	return 3;
}

static int led_on(int argument)
{
	return 100 + argument;
}

static int led_off(int argument)
{
	return 200 + argument;
}

static const char *const off_aliases[] = {"off", "clear", "0", NULL};

static const struct command led_commands[] = {
	{.name = "on", .handler = led_on},
	{.name = "off", .handler = led_off, .aliases = off_aliases},
	{.name = NULL},
};

/* const, yet not without work for the loader: these end up in RODATA, relocated. */
const struct command commands[] = {
	{.name = "version", .handler = version},
	{.name = "led", .sub = led_commands},
	{.name = NULL},
};
EXPORT_SYMBOL(commands);

static const struct command *find(const struct command *in, const char *name)
{
	for (; in->name != NULL; in++) {
		if (strcmp(in->name, name) == 0) {
			return in;
		}
		for (const char *const *alias = in->aliases; alias != NULL && *alias != NULL; alias++) {
			if (strcmp(*alias, name) == 0) {
				return in;
			}
		}
	}
	return NULL;
}

/* execute("led", "clear", 7) calls led_off(7). Returns -1 for an unknown command. */
int execute(const char *name, const char *sub_name, int argument)
{
	const struct command *command = find(commands, name);

	if (command != NULL && command->sub != NULL) {
		command = find(command->sub, sub_name);
	}
	if (command == NULL || command->handler == NULL) {
		printk("unknown command: %s %s\n", name, sub_name);
		return -1;
	}
	printk("%s -> %s(%d)\n", name, command->name, argument);
	return command->handler(argument);
}
EXPORT_SYMBOL(execute);
