"""Threads: making and ending them, their priorities and names; locks of scheduler and interrupts.

Source: Zephyr 4.2, "Threads" and "Scheduling".
"""

from __future__ import annotations

from typing import NoReturn

from llext_tools.host import stacks
from llext_tools.host.areas import Area
from llext_tools.host.guest import Guest
from llext_tools.host.kernel import report
from llext_tools.host.kernel.contexts import Context
from llext_tools.host.kernel.kernel import FOREVER, Kernel, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row
from llext_tools.mem import Perm

EBUSY, EINVAL, EDEADLK, ENOSPC = 16, 22, 45, 28
HIGHEST, LOWEST = -16, 15
SMALLEST_STACK = 64
LONGEST_NAME = 32
"""Bytes with the NUL: CONFIG_THREAD_MAX_NAME_LEN."""

CREATE = """void *k_thread_create(struct k_thread *thread, void *stack, size_t stack_size, void *entry,
              void *first, void *second, void *third, int priority, uint32_t options, k_timeout_t delay)"""


def k_thread_create(
    guest: Guest,
    address: int,
    stack: int,
    size: int,
    entry: int,
    first: int,
    second: int,
    third: int,
    priority: int,
    options: int,  # noqa: ARG001 - K_ESSENTIAL, K_FP_REGS and the like change nothing here
    delay: int,
) -> int:
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_thread_create")
    guest.memory.check_write(address, kernel.records.of("k_thread").size)
    prepare(kernel, address, stack, size, priority)
    name = guest.name_of(entry)
    thread = Context(
        name=name,
        address=address,
        priority=priority,
        entry=entry,
        arguments=(first, second, third),
        stack=Area(stack, stack + size, f"stack of {name}", Perm.R | Perm.W),
    )
    kernel.create(thread)
    if delay == 0:
        kernel.start(thread)
    elif delay != FOREVER:
        kernel.agenda.add(thread, kernel.now + kernel.microseconds(delay), lambda: kernel.sched.start(thread))
    return address


def prepare(kernel: Kernel, address: int, stack: int, size: int, priority: int) -> None:
    """Look at what a thread is to be made of, and fill its stack."""
    guest = kernel.guest
    if not HIGHEST <= priority < LOWEST:
        wrong(kernel, f"with the priority {priority}", f"priorities are {HIGHEST} to {LOWEST - 1}")
    if kernel.thread_at(address) is not None:
        wrong(kernel, "in a struct k_thread whose thread is not over", "k_thread_join() waits for its end")
    guest.memory.check_write(stack, size)
    if size < SMALLEST_STACK:
        wrong(kernel, f"with a stack of {size:,} bytes", "give it a K_THREAD_STACK_DEFINE() of 512 bytes or more")
    if len(kernel.contexts) > guest.limits.threads:
        report.too_many(kernel, guest.limits.threads)
    stacks.fill(guest.memory, stack, size)


def wrong(kernel: Kernel, what: str, help: str) -> NoReturn:
    guest = kernel.guest
    guest.fail("run-fault", f"{guest.caller()} creates a thread {what}", guest.where_now(), help=help)


def known(kernel: Kernel, address: int) -> Context | None:
    """The thread at an address; the running one gets its address by asking for it."""
    if address == kernel.current_address:
        return kernel.current
    return kernel.thread_at(address)


def k_thread_start(guest: Guest, address: int) -> None:
    kernel = kernel_of(guest)
    thread = kernel.thread_at(address)
    if thread is not None and not thread.started:
        kernel.start(thread)


def k_thread_join(guest: Guest, address: int, ticks: int) -> int:
    kernel = kernel_of(guest)
    if ticks:
        kernel.no_interrupt("k_thread_join")
    guest.memory.read(address, kernel.records.of("k_thread").size)
    thread = known(kernel, address)
    if thread is None:
        return 0
    if thread is kernel.current or (thread.wait and thread.wait.object == kernel.current_address):
        return -EDEADLK
    if not ticks:
        kernel.look()
        return -EBUSY
    return kernel.wait("k_thread_join", "thread", address, ticks)


def k_thread_abort(guest: Guest, address: int) -> None:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if thread is kernel.main:
        text = f"{guest.caller()} aborts the thread in which the extension was called"
        guest.fail("run-abort", text, guest.where_now(), help="return from the function instead")
    if thread is not None:
        kernel.abort(thread)


def k_thread_suspend(guest: Guest, address: int) -> None:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if thread is not None:
        kernel.sched.suspend(thread)
        kernel.reschedule()


def k_thread_resume(guest: Guest, address: int) -> None:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if thread is not None and thread.suspended:
        kernel.sched.resume(thread)
        kernel.reschedule()


def k_wakeup(guest: Guest, address: int) -> None:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if thread is not None and not thread.started:
        kernel.start(thread)
    elif thread is not None and thread.wait is not None and thread.wait.is_sleep:
        kernel.wake(thread)
        kernel.reschedule()


def k_thread_priority_set(guest: Guest, address: int, priority: int) -> None:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if not HIGHEST <= priority < LOWEST:
        text = f"{guest.caller()} gives a thread the priority {priority}"
        guest.fail("run-fault", text, guest.where_now(), help=f"priorities are {HIGHEST} to {LOWEST - 1}")
    if thread is not None:
        kernel.sched.prioritise(thread, priority)
        kernel.reschedule(willing=thread is kernel.current)


def k_thread_priority_get(guest: Guest, address: int) -> int:
    thread = known(kernel_of(guest), address)
    return thread.priority if thread else 0


def k_yield(guest: Guest) -> None:
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_yield")
    kernel.give_way()


def k_current_get(guest: Guest) -> int:
    return kernel_of(guest).current_address


def k_thread_name_set(guest: Guest, address: int, name: int) -> int:
    kernel = kernel_of(guest)
    thread = known(kernel, address) if address else kernel.current
    text = guest.memory.text(name, LONGEST_NAME - 1)
    if thread is None:
        return -EINVAL
    thread.text = thread.text or kernel.reserve(LONGEST_NAME)
    guest.memory.poke(thread.text, text.ljust(LONGEST_NAME, b"\0"))
    thread.name = thread.frames.name = text.decode("utf-8", "backslashreplace")
    return 0


def k_thread_name_get(guest: Guest, address: int) -> int:
    kernel = kernel_of(guest)
    thread = known(kernel, address)
    if thread is not None and not thread.text:
        thread.text = kernel.reserve(LONGEST_NAME)
    return thread.text if thread else 0


def k_thread_name_copy(guest: Guest, address: int, buffer: int, size: int) -> int:
    thread = known(kernel_of(guest), address)
    if thread is None:
        return -EINVAL
    name = guest.memory.text(thread.text) if thread.text else b""
    if len(name) + 1 > size:
        return -ENOSPC
    guest.memory.write(buffer, name + b"\0")
    return 0


def k_thread_stack_space_get(guest: Guest, address: int, unused: int) -> int:
    thread = known(kernel_of(guest), address)
    if thread is None or thread.stack is None:
        return -EINVAL
    space = thread.stack.end - thread.stack.start - stacks.used(guest.memory, thread.stack)
    guest.memory.write(unused, space.to_bytes(guest.model.word, "little"))
    return 0


def k_thread_custom_data_set(guest: Guest, value: int) -> None:
    kernel_of(guest).current.custom = value


def k_thread_custom_data_get(guest: Guest) -> int:
    return kernel_of(guest).current.custom


def k_is_in_isr(guest: Guest) -> int:
    return kernel_of(guest).in_interrupt


def k_is_preempt_thread(guest: Guest) -> int:
    kernel = kernel_of(guest)
    return not (kernel.in_interrupt or kernel.current.cooperative)


def k_sched_lock(guest: Guest) -> None:
    kernel_of(guest).current.locks += 1


def k_sched_unlock(guest: Guest) -> None:
    kernel = kernel_of(guest)
    if kernel.current.locks:
        kernel.current.locks -= 1
    kernel.reschedule()


def irq_lock(guest: Guest) -> int:
    """Returns what irq_unlock() makes it again."""
    kernel = kernel_of(guest)
    before, kernel.current.masked = kernel.current.masked, True
    return before


def irq_unlock(guest: Guest, key: int) -> None:
    kernel = kernel_of(guest)
    kernel.current.masked = bool(key)
    kernel.pass_time(0)


ROWS: tuple[Row, ...] = (
    Row(CREATE, k_thread_create, SYSCALL),
    Row("void k_thread_start(void *thread)", k_thread_start, SYSCALL),
    Row("int k_thread_join(struct k_thread *thread, k_timeout_t timeout)", k_thread_join, SYSCALL),
    Row("void k_thread_abort(void *thread)", k_thread_abort, SYSCALL),
    Row("void k_thread_suspend(void *thread)", k_thread_suspend, SYSCALL),
    Row("void k_thread_resume(void *thread)", k_thread_resume, SYSCALL),
    Row("void k_wakeup(void *thread)", k_wakeup, SYSCALL),
    Row("void k_thread_priority_set(void *thread, int priority)", k_thread_priority_set, SYSCALL),
    Row("int k_thread_priority_get(void *thread)", k_thread_priority_get, SYSCALL),
    Row("void k_yield(void)", k_yield, SYSCALL),
    Row("void *k_current_get(void)", k_current_get),
    Row("void *k_sched_current_thread_query(void)", k_current_get, SYSCALL),
    Row("void *z_current_get(void)", k_current_get, SYSCALL),
    Row("int k_thread_name_set(void *thread, const char *name)", k_thread_name_set, SYSCALL),
    Row("const char *k_thread_name_get(void *thread)", k_thread_name_get),
    Row("int k_thread_name_copy(void *thread, char *buffer, size_t size)", k_thread_name_copy, SYSCALL),
    Row(
        "int k_thread_stack_space_get(const struct k_thread *thread, size_t *unused)", k_thread_stack_space_get, SYSCALL
    ),
    Row("void k_thread_custom_data_set(void *value)", k_thread_custom_data_set, SYSCALL),
    Row("void *k_thread_custom_data_get(void)", k_thread_custom_data_get, SYSCALL),
    Row("bool k_is_in_isr(void)", k_is_in_isr),
    Row("int k_is_preempt_thread(void)", k_is_preempt_thread, SYSCALL),
    Row("void k_sched_lock(void)", k_sched_lock),
    Row("void k_sched_unlock(void)", k_sched_unlock),
    Row("unsigned int irq_lock(void)", irq_lock),
    Row("void irq_unlock(unsigned int key)", irq_unlock),
)
