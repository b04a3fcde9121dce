/*
 * callbacks: the host calls back. qsort() and bsearch() are code of the host, `by_age` and `by_name` are code of the
 * extension whose addresses travel through the host as data. On Arm such an address has bit 0 set (Thumb); losing it
 * would end in a fault at the first comparison.
 */

#include <llext/host.h>
#include <llext/symbol.h>

struct tree {
	const char *name;
	int age;
};

static struct tree trees[] = {
	{"oak", 85}, {"ash", 36}, {"elm", 72}, {"pine", 88}, {"birch", 41}, {"cedar", 84},
};

#define COUNT (sizeof(trees) / sizeof(trees[0]))

static unsigned int comparisons;

static int by_age(const void *left, const void *right)
{
	comparisons++;
	return ((const struct tree *)left)->age - ((const struct tree *)right)->age;
}

static int by_name(const void *left, const void *right)
{
	comparisons++;
	return strcmp(((const struct tree *)left)->name, ((const struct tree *)right)->name);
}

static void show(const char *title)
{
	printk("%s:", title);
	for (unsigned int i = 0; i < COUNT; i++) {
		printk(" %s", trees[i].name);
	}
	printk("\n");
}

/* Returns the age of the tree of that name, or -1. */
int age_of(const char *name)
{
	struct tree key = {.name = name};
	const struct tree *found;

	qsort(trees, COUNT, sizeof(trees[0]), by_age);
	show("by age");
	qsort(trees, COUNT, sizeof(trees[0]), by_name);
	show("by name");
	found = bsearch(&key, trees, COUNT, sizeof(trees[0]), by_name);
	printk("the host called back: %s\n", comparisons > 0 ? "yes" : "no");
	return found != NULL ? found->age : -1;
}
EXPORT_SYMBOL(age_of);
