"""A Zephyr image whose kernel nobody has booted: the kernel model takes its place, the rest is the image's code.

The image is a stand-in: it has the symbols of one, kernel objects in an order of its own, and functions that would
trap. Oracle: what C says of the values; that no trap is reached.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.compiled import compile_c
from llext_tools import arch, toolchains
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import ToolError
from llext_tools.host.firmware import read_firmware
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.zephyr import is_zephyr
from llext_tools.paths import include_dir
from llext_tools.run import RunResult, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

KERNEL = r"""
#include <stddef.h>
#include <stdint.h>
typedef struct { int64_t ticks; } k_timeout_t;
typedef struct { void *head, *tail; } _wait_q_t;
struct k_thread { char base[100]; int errno_var; char rest[60]; };
struct k_sem { uint32_t spare[3]; unsigned int limit; unsigned int count; _wait_q_t wait_q; };
struct k_mutex { int owner_orig_prio; unsigned int lock_count; struct k_thread *owner; _wait_q_t wait_q; };
struct _cpu { uint32_t nested; char *irq_stack; struct k_thread *current; int more; };
struct z_kernel { struct _cpu cpus[1]; int more[10]; };
"""
IMAGE = (
    "#include <llext/symbol.h>\n"
    + KERNEL
    + r"""
#define KEEP __attribute__((noipa, used))
#define TRAP(function) KEEP function { __builtin_trap(); }
struct z_kernel _kernel;
struct k_thread z_main_thread;
struct k_sem ready = {{1, 2, 3}, 4, 1, {&ready.wait_q, &ready.wait_q}};
__asm__(".globl CONFIG_SYS_CLOCK_TICKS_PER_SEC\n .set CONFIG_SYS_CLOCK_TICKS_PER_SEC, 100\n"
        ".globl CONFIG_SYS_CLOCK_HW_CYCLES_PER_SEC\n .set CONFIG_SYS_CLOCK_HW_CYCLES_PER_SEC, 64000000");
TRAP(int z_impl_k_sem_take(struct k_sem *sem, k_timeout_t timeout))
TRAP(void z_impl_k_sem_give(struct k_sem *sem))
TRAP(int z_impl_k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout))
TRAP(int z_impl_k_mutex_unlock(struct k_mutex *mutex))
TRAP(int32_t z_impl_k_sleep(k_timeout_t timeout))
TRAP(int64_t z_impl_k_uptime_ticks(void))
TRAP(uint32_t sys_clock_cycle_get_32(void))
TRAP(struct k_thread *z_impl_k_thread_create(struct k_thread *t, void *stack, size_t size, void *entry, void *p1,
     void *p2, void *p3, int priority, uint32_t options, k_timeout_t delay))
TRAP(int z_impl_k_thread_join(struct k_thread *t, k_timeout_t timeout))
TRAP(void printk(const char *format, ...))
TRAP(void *k_malloc(size_t size))
TRAP(void k_free(void *block))
KEEP int wait_ready(int64_t ticks) { printk("%s;", __func__); return z_impl_k_sem_take(&ready, (k_timeout_t){ticks}); }
KEEP unsigned int sum(const uint8_t *data, int n) { unsigned s = 0; while (n--) { s = s * 31 + *data++; } return s; }
TRAP(int z_pend_curr(void *lock, int key, void *queue, k_timeout_t timeout))
TRAP(void z_reschedule_unlocked(void))
KEEP int z_impl_k_poll(int now) { z_reschedule_unlocked(); return now ? 1 : z_pend_curr(0, 0, 0, (k_timeout_t){-1}); }
EXPORT_SYMBOL(z_impl_k_poll);
KEEP int *z_impl_z_errno(void) { return &_kernel.cpus[0].current->errno_var; }
EXPORT_SYMBOL(z_impl_k_sem_take); EXPORT_SYMBOL(z_impl_k_sem_give); EXPORT_SYMBOL(z_impl_k_mutex_lock);
EXPORT_SYMBOL(z_impl_k_mutex_unlock); EXPORT_SYMBOL(z_impl_k_sleep); EXPORT_SYMBOL(z_impl_k_uptime_ticks);
EXPORT_SYMBOL(sys_clock_cycle_get_32); EXPORT_SYMBOL(z_impl_k_thread_create); EXPORT_SYMBOL(z_impl_k_thread_join);
EXPORT_SYMBOL(printk); EXPORT_SYMBOL(k_malloc); EXPORT_SYMBOL(k_free); EXPORT_SYMBOL(wait_ready); EXPORT_SYMBOL(sum);
EXPORT_SYMBOL(ready); EXPORT_SYMBOL(z_impl_z_errno);
void _start(void) {}
"""
)
EXTENSION = r"""
void printk(const char *format, ...);
void *k_malloc(size_t size); void k_free(void *block);
int z_impl_k_sem_take(struct k_sem *sem, k_timeout_t timeout); void z_impl_k_sem_give(struct k_sem *sem);
int z_impl_k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout); int z_impl_k_mutex_unlock(struct k_mutex *mutex);
int32_t z_impl_k_sleep(k_timeout_t timeout); int64_t z_impl_k_uptime_ticks(void); uint32_t sys_clock_cycle_get_32(void);
struct k_thread *z_impl_k_thread_create(struct k_thread *t, void *stack, size_t size, void *entry, void *p1,
     void *p2, void *p3, int priority, uint32_t options, k_timeout_t delay);
int z_impl_k_thread_join(struct k_thread *t, k_timeout_t timeout);
int wait_ready(int64_t ticks); unsigned int sum(const uint8_t *data, int n); int *z_impl_z_errno(void);
extern struct k_sem ready;
static struct k_mutex mutex = {0, 0, NULL, {&mutex.wait_q, &mutex.wait_q}};
static struct k_thread thread;
static char stack[512] __attribute__((aligned(16)));
static void work(void *a, void *b, void *c)
{
    *z_impl_z_errno() = 7;
    printk("busy%d;", z_impl_k_mutex_lock(&mutex, (k_timeout_t){0}));
    z_impl_k_sleep((k_timeout_t){5});
    z_impl_k_sem_give(&ready);
    z_impl_k_sem_give(&ready);
}
int test(void)
{
    uint32_t cycles = sys_clock_cycle_get_32();
    z_impl_k_mutex_lock(&mutex, (k_timeout_t){-1});
    *z_impl_z_errno() = 3;
    z_impl_k_thread_create(&thread, stack, sizeof(stack), work, 0, 0, 0, 5, 0, (k_timeout_t){0});
    printk("%d;", wait_ready(-1)); printk("%d;", wait_ready(1)); printk("%d;", wait_ready(-1));
    printk("join%d;", z_impl_k_thread_join(&thread, (k_timeout_t){-1}));
    printk("ticks%d;", (int)z_impl_k_uptime_ticks());
    printk("cycles%d;", (sys_clock_cycle_get_32() - cycles) / 64000000.0 > 0.05);
    printk("own%d;", mutex.owner != NULL && mutex.lock_count == 1 && z_impl_k_mutex_unlock(&mutex) == 0);
    printk("count%u/%u/%u;", ready.count, ready.limit, ready.spare[2]);
    printk("errno%d/%d;", *z_impl_z_errno(), thread.errno_var);
    uint8_t *block = k_malloc(3); block[0] = 1; block[1] = 2; block[2] = 3;
    unsigned int s = sum(block, 3); k_free(block);
    return (int)s;
}
EXPORT_SYMBOL(test);
"""
TARGETS = ("cortex-m4", "rv32imac", "rv64gc")


def link(folder: Path, target: str, source: str = IMAGE) -> ElfObject:
    cpu = arch.target(target)
    try:
        tools = toolchains.find(cpu, "gcc")
    except ToolError as error:
        pytest.skip(str(error))
    text, data = ("0x08000000", "0x20000000") if cpu.arch == "arm" else ("0x20000000", "0x21000000")
    (folder / "image.c").write_text(source)
    flags = [*toolchains.flags(cpu, tools.name, "C"), f"-I{include_dir()}", "-w", "-nostdlib", "-nostartfiles"]
    place = [f"-Wl,-Ttext={text}", f"-Wl,-Tdata={data}", "-Wl,--no-gc-sections"]
    command = [*tools.cc, *flags, *place, str(folder / "image.c"), "-o", str(folder / "image.elf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load_object(str(folder / "image.elf"))


def go(
    folder: Path, target: str, image: str = IMAGE, overrides: tuple[HostFunction, ...] = (), source: str = EXTENSION
) -> RunResult:
    cpu = arch.target(target)
    firmware = (link(folder, target, image),)
    exports = read_firmware([firmware[0].path]).exports
    obj = compile_c(source, cpu, "gcc", folder, "-w", prelude=f"{KERNEL}#include <llext/symbol.h>")
    images = load([obj], cpu, exports=exports, firmware=firmware)
    setup = Setup(cpu, exports=exports, firmware=firmware, overrides={f.name: f for f in overrides})
    return run(images, "test()", setup)


@pytest.mark.parametrize("target", TARGETS)
def test_the_model_stands_in_for_the_kernel_of_an_image(target: str, tmp_path: Path) -> None:
    """Its own function `wait_ready` calls the kernel, too. It gets the first one, and waits for a tick in vain.

    5 ticks of 100 to the second are 50 ms: 64 MHz make 3,200,000 cycles of them. What is given at the end stays.
    """
    result = go(tmp_path, target)
    assert result.fault is None, result.fault
    assert result.output.split(";")[:-1] == [
        "wait_ready", "0", "wait_ready", "busy-16", "-11", "wait_ready", "0", "join0", "ticks5", "cycles1", "own1",
        "count1/4/3", "errno3/7",
    ]  # fmt: skip
    assert result.value == (1 * 31 + 2) * 31 + 3
    assert "wait_ready" not in {call.name for call in result.calls}


def test_what_the_user_overrides_stays_overridden(tmp_path: Path) -> None:
    told: list[bytes] = []

    def tell(guest: Guest, text: int, _: object) -> None:
        told.append(guest.memory.text(text))

    mine = HostFunction("printk", "void printk(const char *format, ...)", tell)
    result = go(tmp_path, "cortex-m4", overrides=(mine,))
    assert (result.fault, result.output) == (None, "")
    assert told[0] == b"%s;"


def test_the_kernel_of_another_image_is_its_own(tmp_path: Path) -> None:
    """Without the symbols of Zephyr its functions are run, whatever they are called."""
    other = IMAGE.replace("_kernel", "my_kernel")
    assert is_zephyr(link(tmp_path, "cortex-m4"))
    assert not is_zephyr(link(tmp_path, "cortex-m4", other))
    fault = go(tmp_path, "cortex-m4", other).fault
    assert fault is not None
    assert fault.message == "`sys_clock_cycle_get_32` executes an undefined instruction"


def test_an_extension_of_a_zephyr_tree_brings_its_layouts(tmp_path: Path) -> None:
    """On the built-in host: it calls the code of system calls, and its debug information says where the count is."""
    source = r"""
    int z_impl_k_sem_take(struct k_sem *sem, k_timeout_t timeout); void z_impl_k_sem_give(struct k_sem *sem);
    static struct k_sem sem = {{1, 2, 3}, 4, 0, {&sem.wait_q, &sem.wait_q}};
    int test(void)
    {
        for (int i = 0; i < 6; i++) { z_impl_k_sem_give(&sem); }
        return z_impl_k_sem_take(&sem, (k_timeout_t){0}) * 1000 + sem.count * 100 + sem.limit * 10 + sem.spare[2];
    }
    EXPORT_SYMBOL(test);
    """
    cpu = arch.target("cortex-m4")
    obj = compile_c(source, cpu, "gcc", tmp_path, "-w", prelude=f"{KERNEL}#include <llext/symbol.h>")
    result = run(load([obj], cpu), "test()", Setup(cpu))
    assert (result.fault, result.value) == (None, 343)


def test_what_has_no_stand_in_runs_until_it_needs_the_scheduler(tmp_path: Path) -> None:
    source = r"""
    int z_impl_k_poll(int now);
    __attribute__((noinline)) int inner(int now) { return z_impl_k_poll(now) + 1; }
    int test(void) { return inner(1) + inner(0) + 1; }
    EXPORT_SYMBOL(test);
    """
    fault = go(tmp_path, "cortex-m4", source=source).fault
    assert fault is not None
    assert fault.code == "run-missing-code"
    assert fault.message == "`z_impl_k_poll` needs the scheduler of the image, which nobody has booted"
    assert fault.detail[0] == "it calls `z_pend_curr`"


LOG = r"""
#include <stdarg.h>
struct descriptor {
    uint32_t valid : 1, busy : 1, type : 1, domain : 3, level : 3, package_len : 11, data_len : 12;
};
struct package { void *header; const char *format; int first; char pad[4]; double second; const char *third; };
void z_impl_z_log_msg_static_create(const void *source, const struct descriptor d, uint8_t *package, const void *data);
void z_impl_z_log_msg_runtime_vcreate(uint8_t domain, const void *source, uint8_t level, const void *data, size_t size,
                                      uint32_t flags, const char *format, va_list args);
void z_impl_z_log_msg_simple_create_0(const void *source, uint32_t level, const char *format);
void z_impl_z_log_msg_simple_create_2(const void *source, uint32_t level, const char *format, uint32_t a, uint32_t b);
static void later(int level, const void *data, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    z_impl_z_log_msg_runtime_vcreate(0, NULL, level, data, size, 0, format, args);
    va_end(args);
}
int test(void)
{
    static const uint8_t bytes[18] = {1, 2, 0xfe};
    struct package p __attribute__((aligned(8))) = {0, "%d and %.1f by %s", -5, "", 2.5, "package"};
    z_impl_z_log_msg_static_create(NULL, (struct descriptor){0, 0, 0, 0, 2, sizeof(p), 0}, (uint8_t *)&p, NULL);
    z_impl_z_log_msg_static_create(NULL, (struct descriptor){0, 0, 0, 5, 4, 0, 3}, NULL, bytes);
    later(1, bytes, 18, "%s %lld", "runtime", 1ll << 40);
    z_impl_z_log_msg_simple_create_0(NULL, 3, "simple");
    z_impl_z_log_msg_simple_create_2(NULL, 3, "%x %d", 0xbeef, -1);
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", TARGETS)
def test_messages_of_the_other_modes_of_logging(target: str, tmp_path: Path) -> None:
    """As compiled code hands them over. The slots of a package are those of a `va_list`: the double has an even one."""
    cpu = arch.target(target)
    obj = compile_c(LOG, cpu, "gcc", tmp_path, "-w", prelude=f"{KERNEL}#include <llext/symbol.h>")
    result = run(load([obj], cpu), "test()", Setup(cpu))
    assert result.fault is None, result.fault
    assert result.output.splitlines() == [
        "W: -5 and 2.5 by package",
        "D: ", "   01 02 fe",
        "E: runtime 1099511627776", f"   01 02 fe{' 00' * 13}", "   00 00",
        "I: simple",
        "I: beef -1",
    ]  # fmt: skip
