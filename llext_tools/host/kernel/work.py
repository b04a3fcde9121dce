"""Work queues: a thread that calls one function after the other, as they are submitted or become due.

The system's queue starts when something is submitted to it; its thread is cooperative, with priority -1. The state of a
work item is in the target's memory, in its flags.
Source: Zephyr 4.2, "Workqueue Threads".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llext_tools.host.areas import Area
from llext_tools.host.faults import explain_access
from llext_tools.host.guest import Guest
from llext_tools.host.kernel.contexts import Context
from llext_tools.host.kernel.kernel import FOREVER, KERNEL_AT, Kernel, kernel_of
from llext_tools.host.kernel.sched import Wait
from llext_tools.host.kernel.table import Row
from llext_tools.host.kernel.threads import prepare
from llext_tools.host.memory import AccessError
from llext_tools.mem import Perm

EBUSY, EINVAL, ENODEV = 16, 22, 19
RUNNING, QUEUED, DELAYED = 1, 4, 8
"""Bits of the flags: what ``k_work_busy_get()`` returns."""

SYSTEM_PRIORITY = -1
SYSTEM_STACK = 4096
IDLE = "k_work_queue_run"
SYSTEM = 0
"""In the place of the address of a ``struct k_work_q``."""


@dataclass(eq=False, slots=True)
class Delay:
    """A work item that will be submitted: the key of its entry in the agenda."""

    work: int
    queue: int


@dataclass(eq=False, slots=True)
class Queue:
    """``key`` is what its thread waits for. ``item`` is the work that runs, 0 for none."""

    key: int
    thread: Context
    items: list[int] = field(default_factory=list)
    item: int = 0


class Works:
    """The work queues of a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.queues: dict[int, Queue] = {}
        self.delays: dict[int, Delay] = {}

    def start(self, address: int, stack: Area, priority: int, name: str, key: int) -> None:
        """A queue whose thread waits for work; ``key`` is the address of its struct k_thread, too."""
        kernel = self.kernel
        context = Context(name=name, priority=priority, stack=stack, address=key, service=key, started=True)
        queue = self.queues[address] = Queue(key, context)
        context.work = lambda: self.serve(queue)
        kernel.create(context)
        kernel.sched.pend(context, Wait(IDLE, "work queue", key))

    def system(self) -> Queue:
        if SYSTEM not in self.queues:
            memory = self.kernel.guest.memory
            stack = memory.add("stack of sysworkq", SYSTEM_STACK, Perm.R | Perm.W, KERNEL_AT)
            prepare(self.kernel, 0, stack.start, SYSTEM_STACK, SYSTEM_PRIORITY)
            self.start(SYSTEM, stack, SYSTEM_PRIORITY, "sysworkq", self.kernel.reserve(16))
        return self.queues[SYSTEM]

    def serve(self, queue: Queue) -> None:
        """What the thread of a queue does."""
        kernel = self.kernel
        guest = kernel.guest
        guest.frames.inside.append("k_work_submit")
        try:
            while True:
                while not queue.items:
                    kernel.wait(IDLE, "work queue", queue.key, FOREVER)
                queue.item = queue.items.pop(0)
                (handler, flags) = kernel.records.get("k_work", queue.item, "handler", "flags")
                kernel.records.put("k_work", queue.item, flags=(flags & ~QUEUED) | RUNNING)
                guest.call_plain(handler, queue.item)
                self._done(queue)
        except AccessError as error:
            explain_access(guest, error)

    def _done(self, queue: Queue) -> None:
        item, queue.item = queue.item, 0
        self.flag(item, take=RUNNING)
        while self.kernel.wake_first(item):
            pass
        self.kernel.sched.yields(queue.thread)
        self.kernel.reschedule(willing=True)

    def flags(self, work: int) -> int:
        return self.kernel.records.get("k_work", work, "flags")[0]

    def flag(self, work: int, *, give: int = 0, take: int = 0) -> int:
        flags = (self.flags(work) & ~take) | give
        self.kernel.records.put("k_work", work, flags=flags)
        return flags

    def submit(self, address: int, work: int) -> int:
        flags = self.flags(work)
        if flags & QUEUED:
            return 0
        running = next((queue for queue in self.queues.values() if queue.item == work), None)
        queue = running or (self.system() if address == SYSTEM else self.queues.get(address))
        if queue is None:
            return -ENODEV
        queue.items.append(work)
        self.flag(work, give=QUEUED, take=DELAYED)
        self.kernel.records.put("k_work", work, queue=queue.key)
        self.kernel.wake_first(queue.key)
        return 2 if running else 1

    def delay(self, address: int, work: int, ticks: int) -> int:
        """Submit it later; it is neither submitted nor about to be."""
        if not ticks:
            return self.submit(address, work)
        if address == SYSTEM:
            self.system()
        delay = self.delays[work] = Delay(work, address)
        kernel = self.kernel
        self.flag(work, give=DELAYED)
        if ticks != FOREVER:
            kernel.agenda.add(delay, kernel.now + kernel.microseconds(ticks), lambda: self._due(delay))
        return 1

    def _due(self, delay: Delay) -> None:
        self.delays.pop(delay.work, None)
        try:
            self.submit(delay.queue, delay.work)
        except AccessError:
            pass  # its memory is gone, with the extension that had it

    def undelay(self, work: int) -> bool:
        """Whether it was about to be submitted."""
        delay = self.delays.pop(work, None)
        if delay is None:
            return False
        self.kernel.agenda.cancel(delay)
        self.flag(work, take=DELAYED)
        return True

    def cancel(self, work: int) -> int:
        """Take it out of its queue; what it is then: running, or nothing."""
        self.undelay(work)
        for queue in self.queues.values():
            if work in queue.items:
                queue.items.remove(work)
        return self.flag(work, take=QUEUED)

    def due(self) -> list[tuple[int, int]]:
        """What will be submitted: the work items, and what each calls."""
        return [(work, self.kernel.records.get("k_work", work, "handler")[0]) for work in self.delays]

    def state(self) -> object:
        """Between two calls from outside."""
        queues = [(at, queue, tuple(queue.items), queue.thread.idle) for at, queue in self.queues.items()]
        return queues, dict(self.delays)

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``: threads that had nothing to do begin anew."""
        queues, delays = state
        self.queues, self.delays = {}, dict(delays)
        for address, queue, items, idle in queues:
            if idle:
                thread = queue.thread
                assert thread.stack is not None
                self.start(address, thread.stack, thread.priority, thread.name, queue.key)
            else:
                self.queues[address] = queue
                queue.items[:] = items

    def finish(self, call: str, work: int) -> bool:
        """Wait until it is neither queued nor runs; whether it was."""
        waits = False
        while self.flags(work) & (RUNNING | QUEUED):
            waits = True
            self.kernel.wait(call, "work item", work, FOREVER)
        return waits


def works(guest: Guest) -> Works:
    kernel = kernel_of(guest)
    if kernel.works is None:
        kernel.works = Works(kernel)
    return kernel.works


def k_work_init(guest: Guest, work: int, handler: int) -> None:
    kernel_of(guest).records.fresh("k_work", work, handler=handler)


def k_work_init_delayable(guest: Guest, work: int, handler: int) -> None:
    kernel = kernel_of(guest)
    guest.memory.write(work, bytes(kernel.records.of("k_work_delayable").size))
    k_work_init(guest, work, handler)


def k_work_submit(guest: Guest, work: int) -> int:
    return k_work_submit_to_queue(guest, SYSTEM, work)


def k_work_submit_to_queue(guest: Guest, queue: int, work: int) -> int:
    result = works(guest).submit(queue, work)
    kernel_of(guest).reschedule()
    return result


def k_work_schedule_for_queue(guest: Guest, queue: int, work: int, ticks: int) -> int:
    model = works(guest)
    if model.flags(work) & (QUEUED | DELAYED):
        return 0
    result = model.delay(queue, work, ticks)
    model.kernel.reschedule()
    return result


def k_work_schedule(guest: Guest, work: int, ticks: int) -> int:
    return k_work_schedule_for_queue(guest, SYSTEM, work, ticks)


def k_work_reschedule_for_queue(guest: Guest, queue: int, work: int, ticks: int) -> int:
    model = works(guest)
    model.undelay(work)
    result = model.delay(queue, work, ticks)
    model.kernel.reschedule()
    return result


def k_work_reschedule(guest: Guest, work: int, ticks: int) -> int:
    return k_work_reschedule_for_queue(guest, SYSTEM, work, ticks)


def k_work_busy_get(guest: Guest, work: int) -> int:
    model = works(guest)
    model.kernel.look()
    return model.flags(work)


def k_work_cancel(guest: Guest, work: int) -> int:
    return works(guest).cancel(work)


def k_work_flush(guest: Guest, work: int, _: int) -> int:
    return works(guest).finish("k_work_flush", work)


def k_work_flush_delayable(guest: Guest, work: int, _: int) -> int:
    """What is due later is submitted now."""
    model = works(guest)
    delay = model.delays.get(work)
    if delay is not None and model.undelay(work):
        model.submit(delay.queue, work)
    return model.finish("k_work_flush_delayable", work)


def k_work_cancel_sync(guest: Guest, work: int, _: int) -> int:
    model = works(guest)
    pending = model.flags(work) != 0
    model.cancel(work)
    model.finish("k_work_cancel_sync", work)
    return pending


def k_work_queue_init(guest: Guest, queue: int) -> None:
    guest.memory.write(queue, bytes(kernel_of(guest).records.of("k_work_q").size))


def k_work_queue_start(guest: Guest, queue: int, stack: int, size: int, priority: int, config: int) -> None:
    kernel = kernel_of(guest)
    guest.memory.check_write(queue, kernel.records.of("k_work_q").size)
    name = "workq"
    if config:
        (text,) = kernel.records.get("k_work_queue_config", config, "name")
        name = guest.memory.text(text, 31).decode("utf-8", "backslashreplace") if text else name
    area = Area(stack, stack + size, f"stack of {name}", Perm.R | Perm.W)
    prepare(kernel, queue, stack, size, priority)
    works(guest).start(queue, area, priority, name, queue)


ROWS: tuple[Row, ...] = (
    Row("void k_work_init(struct k_work *work, void *handler)", k_work_init),
    Row("void k_work_init_delayable(struct k_work_delayable *work, void *handler)", k_work_init_delayable),
    Row("int k_work_submit(struct k_work *work)", k_work_submit),
    Row("int k_work_submit_to_queue(struct k_work_q *queue, struct k_work *work)", k_work_submit_to_queue),
    Row("int k_work_schedule(struct k_work_delayable *work, k_timeout_t delay)", k_work_schedule),
    Row(
        "int k_work_schedule_for_queue(struct k_work_q *queue, struct k_work_delayable *work, k_timeout_t delay)",
        k_work_schedule_for_queue,
    ),
    Row("int k_work_reschedule(struct k_work_delayable *work, k_timeout_t delay)", k_work_reschedule),
    Row(
        "int k_work_reschedule_for_queue(struct k_work_q *queue, struct k_work_delayable *work, k_timeout_t delay)",
        k_work_reschedule_for_queue,
    ),
    Row("int k_work_busy_get(const struct k_work *work)", k_work_busy_get),
    Row("int k_work_delayable_busy_get(const struct k_work_delayable *work)", k_work_busy_get),
    Row("int k_work_cancel(struct k_work *work)", k_work_cancel),
    Row("int k_work_cancel_delayable(struct k_work_delayable *work)", k_work_cancel),
    Row("bool k_work_cancel_sync(struct k_work *work, struct k_work_sync *sync)", k_work_cancel_sync),
    Row(
        "bool k_work_cancel_delayable_sync(struct k_work_delayable *work, struct k_work_sync *sync)", k_work_cancel_sync
    ),
    Row("bool k_work_flush(struct k_work *work, struct k_work_sync *sync)", k_work_flush),
    Row("bool k_work_flush_delayable(struct k_work_delayable *work, struct k_work_sync *sync)", k_work_flush_delayable),
    Row("void k_work_queue_init(struct k_work_q *queue)", k_work_queue_init),
    Row(
        "void k_work_queue_start(struct k_work_q *queue, void *stack, size_t size, int priority, const void *config)",
        k_work_queue_start,
    ),
)
