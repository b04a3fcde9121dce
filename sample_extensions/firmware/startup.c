/*
 * From reset to main(): a stack, initial values into .data, zeros into .bss. The symbols come from firmware.ld.
 */

#include "services.h"

extern unsigned char stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);

__attribute__((noreturn, used)) static void start(void)
{
	memcpy(data_start, data_load, (size_t)(data_end - data_start));
	memset(bss_start, 0, (size_t)(bss_end - bss_start));
	main();
	for (;;) {
	}
}

#if defined(__arm__)

__attribute__((noreturn, used)) void reset(void)
{
#if defined(__ARM_FP)
	*(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: coprocessors 10 and 11 are the FPU */
	__asm__ volatile("dsb\n\tisb");
#endif
	start();
}

__attribute__((noreturn)) static void fault(void)
{
	for (;;) {
	}
}

/* A Cortex-M starts from a table: the stack pointer, the reset handler, then the other exceptions. */
__attribute__((used, section(".vectors"))) static const struct {
	void *stack;
	void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};

#elif defined(__riscv)

/* A RISC-V core starts at the first instruction; gp stays 0, no small data is used. */
__attribute__((naked, noreturn, used, section(".vectors"))) void reset(void)
{
#if defined(__riscv_flen)
	__asm__ volatile("li t0, 1 << 13\n\tcsrs mstatus, t0"); /* mstatus.FS: the FPU is on */
#endif
	__asm__ volatile("la sp, stack_top\n\ttail start");
}

#else
#error "no startup code for this architecture"
#endif
