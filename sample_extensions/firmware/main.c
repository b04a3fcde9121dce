/*
 * The base image by itself: it lists what it exports. A real image would go on with llext_load(); here that part is
 * played from outside. `llext run` lets the extension call the code of this image; on a board, or in QEMU, a debugger
 * may put an extension into the heap for extensions, linked for its place, and a function to start with into
 * `boot_request`.
 */

#include <llext/symbol.h>

#include "services.h"

extern const struct llext_const_symbol exports_start[], exports_end[];

#define BOOT_MAGIC 0x4c4c4558 /* "LLEX" */

/* Not cleared at reset: whoever writes it does so before. */
__attribute__((used, section(".noinit"))) struct {
	uint32_t magic;
	void (*start)(void);
} boot_request;

int main(void)
{
	unsigned int count = (unsigned int)(exports_end - exports_start);

	console_init();
	if (boot_request.magic == BOOT_MAGIC) {
		boot_request.magic = 0; /* once */
		boot_request.start();
	}
	printk("%s: %u symbols for extensions\n", board_name, count);
	for (unsigned int i = 0; i < count; i++) {
		printk("  %-16s %p\n", exports_start[i].name, exports_start[i].addr);
	}
	for (;;) {
	}
}
