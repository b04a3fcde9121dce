/*
 * far_call: an extension in RAM calls a base image in flash. On many boards that is a long way (RAM at 0x20000000, flash
 * at 0x08000000), and a Thumb BL instruction reaches 16 MiB only: llext_load() then fails with -ENOEXEC.
 *
 * -mlong-calls makes the compiler load the address of the function into a register first. RISC-V's pair of auipc and
 * jalr reaches 2 GiB either way. CMakeLists.txt builds this file twice, with and without long calls, and shows that the
 * near variant works next to the host and is refused far from it.
 */

#include <llext/host.h>
#include <llext/symbol.h>

/* noinline: a call to a function of the extension itself, which is near wherever the extension is. */
__attribute__((noinline)) static int twice(int x)
{
	return 2 * x;
}

int far_call(int x)
{
	int result = twice(x);

	printk("the host heard about %d\n", result);
	return result;
}
EXPORT_SYMBOL(far_call);
