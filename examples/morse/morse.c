/* Says a text in Morse code. */

#include <llext/host.h>
#include <llext/symbol.h>

#include "code.h"

int morse(const char *text)
{
	int letters = 0;

	for (; *text; text++) {
		const char *code = code_of(*text);

		if (code) {
			printk("%s ", code);
			letters++;
		}
	}
	printk("\n");
	return letters;
}
EXPORT_SYMBOL(morse);
