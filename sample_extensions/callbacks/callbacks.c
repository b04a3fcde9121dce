/*
 * callbacks: the host calls back. qsort() and bsearch() are code of the host, `by_age` and `by_name` are code of the
 * extension whose addresses travel through the host as data. On Arm such an address has bit 0 set (Thumb); losing it
 * would end in a fault at the first comparison.
 */

#include <llext/host.h>
#include <llext/symbol.h>

struct person {
	const char *name;
	int age;
};

static struct person people[] = {
	{"Grace", 85}, {"Ada", 36}, {"Edsger", 72}, {"Mary", 88}, {"Alan", 41}, {"Claude", 84},
};

#define COUNT (sizeof(people) / sizeof(people[0]))

static unsigned int comparisons;

static int by_age(const void *left, const void *right)
{
	comparisons++;
	return ((const struct person *)left)->age - ((const struct person *)right)->age;
}

static int by_name(const void *left, const void *right)
{
	comparisons++;
	return strcmp(((const struct person *)left)->name, ((const struct person *)right)->name);
}

static void show(const char *title)
{
	printk("%s:", title);
	for (unsigned int i = 0; i < COUNT; i++) {
		printk(" %s", people[i].name);
	}
	printk("\n");
}

/* Returns the age of the person of that name, or -1. */
int age_of(const char *name)
{
	struct person key = {.name = name};
	const struct person *found;

	qsort(people, COUNT, sizeof(people[0]), by_age);
	show("by age");
	qsort(people, COUNT, sizeof(people[0]), by_name);
	show("by name");
	found = bsearch(&key, people, COUNT, sizeof(people[0]), by_name);
	printk("the host called back: %s\n", comparisons > 0 ? "yes" : "no");
	return found != NULL ? found->age : -1;
}
EXPORT_SYMBOL(age_of);
