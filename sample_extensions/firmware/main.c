/*
 * The base image by itself: it lists what it exports, then writes the log to the UART. A real image would go on with
 * llext_load(); here `llext run` plays that part and lets the extension call the code of this image.
 */

#include <llext/symbol.h>

#include "services.h"

extern const struct llext_const_symbol exports_start[], exports_end[];

#if defined(__arm__)
#define UART ((volatile uint32_t *)0x40004000) /* CMSDK UART 0 of the MPS2 boards */

static void uart_init(void)
{
	UART[4] = 16; /* divisor */
	UART[2] = 1;  /* transmit */
}
#else
#define UART ((volatile unsigned char *)0x10000000) /* the 16550 of QEMU's `virt` machine */

static void uart_init(void)
{
}
#endif

static void flush_log(void)
{
	static uint32_t sent;

	for (; sent != log_written; sent++) {
		*UART = (unsigned char)log_buffer[sent % LOG_SIZE];
	}
}

int main(void)
{
	unsigned int count = (unsigned int)(exports_end - exports_start);

	uart_init();
	printk("%s: %u symbols for extensions\n", board_name, count);
	for (unsigned int i = 0; i < count; i++) {
		printk("  %-16s %p\n", exports_start[i].name, exports_start[i].addr);
		flush_log();
	}
	flush_log();
	for (;;) {
	}
}
