/*
 * The console: a UART, the one place where the image touches a peripheral. CMakeLists.txt says where it is. Each
 * character is waited for, so that none is lost, whoever prints.
 */

#include "services.h"

#if defined(__arm__)

/* The UART of Arm's MPS2 boards: 32-bit registers for data, state, control, interrupts and the divisor. */
#define DATA  (((volatile uint32_t *)UART_BASE)[0])
#define STATE (((volatile uint32_t *)UART_BASE)[1]) /* bit 0: the transmitter is full */

void console_init(void)
{
	((volatile uint32_t *)UART_BASE)[4] = 16; /* divisor */
	((volatile uint32_t *)UART_BASE)[2] = 1;  /* transmit */
}

static int is_full(void)
{
	return (STATE & 1) != 0;
}

#else

/* A 16550, as the RISC-V machine `virt` of QEMU has it: registers of one byte. */
#define DATA  (((volatile unsigned char *)UART_BASE)[0])
#define STATE (((volatile unsigned char *)UART_BASE)[5]) /* bit 5: there is room in the transmitter */

void console_init(void)
{
	((volatile unsigned char *)UART_BASE)[3] = 3; /* 8 bits */
}

static int is_full(void)
{
	return (STATE & 0x20) == 0;
}

#endif

void console_putc(char character)
{
	while (is_full()) {
	}
	DATA = (unsigned char)character;
}
