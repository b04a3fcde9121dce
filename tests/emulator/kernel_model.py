"""A second model of Zephyr's scheduler, to compare the first one with: it interprets scripts instead of code.

Written from the documentation alone, with other means: a list of ready threads that is always in order, in which the
running one stays, and lists of waiting threads. Threads run scripts of two-letter steps:

    gN give semaphore N     tN take it, for at most 4 ms     lN lock mutex N, for at most 3 ms     uN unlock it
    pN put N in the queue, for at most 2 ms     rN receive, for at most N ms     sN sleep N ms (0: yield)
    bN be busy for N ms     yN yield     cN change the own priority to N
"""

from __future__ import annotations

from dataclasses import dataclass, field

EPERM, EAGAIN, EINVAL = 1, 11, 22
ROOM = 2  # messages in the queue
MOST = 2  # limit of a semaphore
POLL = 10  # microseconds that pass when a thread yields to nobody


@dataclass(eq=False)
class Task:
    name: str
    priority: int
    steps: list[str]
    on: list[Task] | None = None  # the list that it waits in
    code: int = 0
    message: int = 0
    busy: int | None = None  # until when


@dataclass(eq=False)
class Lock:
    owner: Task | None = None
    count: int = 0
    priority: int = 0
    queue: list[Task] = field(default_factory=list)


class Model:
    """``run()`` gives what the threads print."""

    def __init__(self, scripts: list[tuple[int, str]]) -> None:
        self.tasks = [
            Task(chr(ord("a") + i), priority, [text[j : j + 2] for j in range(0, len(text), 2)])
            for i, (priority, text) in enumerate(scripts)
        ]
        self.ready: list[Task] = []
        self.semaphores = [0, 0, 0]
        self.takers: list[list[Task]] = [[], [], []]
        self.locks = [Lock(), Lock()]
        self.queue: list[int] = []
        self.senders: list[Task] = []
        self.receivers: list[Task] = []
        self.sleepers: list[Task] = []
        self.clock: list[tuple[int, Task]] = []  # in the order of being entered
        self.now = 0
        self.out: list[str] = []
        self.gives_way = False

    def run(self) -> list[str]:
        for task in self.tasks:
            put_in_order(self.ready, task)
        running: Task | None = None
        while True:
            if not self.ready:
                if not self.clock:
                    return self.out
                self.tick(min(at for at, _ in self.clock))
                running = None
                continue
            if running not in self.ready or running.priority >= 0 or self.gives_way:
                running = self.ready[0]
            self.gives_way = False
            self.step(running)

    def tick(self, now: int) -> None:
        self.now = max(now, self.now)
        for at, task in sorted((entry for entry in self.clock if entry[0] <= now), key=lambda entry: entry[0]):
            self.clock.remove((at, task))
            assert task.on is not None
            task.on.remove(task)
            for lock in self.locks:  # the owner need not be as urgent as this one any more
                if task.on is lock.queue:
                    task.message = -1
            task.on, task.code = None, -EAGAIN
            put_in_order(self.ready, task)

    def wait(self, task: Task, queue: list[Task], microseconds: int) -> None:
        self.ready.remove(task)
        put_in_order(queue, task)
        task.on = queue
        self.clock.append((self.now + microseconds, task))

    def wake(self, queue: list[Task]) -> Task:
        task = queue.pop(0)
        self.clock = [entry for entry in self.clock if entry[1] is not task]
        task.on, task.code = None, 0
        put_in_order(self.ready, task)
        return task

    def reprioritise(self, task: Task, priority: int) -> None:
        task.priority = priority
        if task in self.ready:
            self.ready.remove(task)
            put_in_order(self.ready, task)
        elif task.on is not None:
            task.on.sort(key=lambda other: other.priority)

    def step(self, task: Task) -> None:
        """Go on with a thread until it gets to the next point at which another one may run."""
        if task.busy is not None:
            self.stay_busy(task)
            return
        if task.message == -1:  # it has waited for a mutex in vain
            task.message = 0
            lock = self.locks[int(task.steps[0][2])]
            if lock.owner is not None:
                wanted = min([lock.priority, *(other.priority for other in lock.queue)])
                if wanted != lock.owner.priority:
                    self.reprioritise(lock.owner, wanted)
                    return
        if task.steps and task.steps[0].startswith("!"):
            self.finish(task)
            return
        if not task.steps:
            self.ready.remove(task)
            return
        kind, n = task.steps[0][0], int(task.steps[0][1])
        task.code = 0
        task.steps[0] = "!" + task.steps[0]
        getattr(self, f"do_{kind}")(task, n)

    def finish(self, task: Task) -> None:
        step = task.steps.pop(0)[1:]
        self.out.append(f"{task.name}{step}:{0 if step[0] == 's' else task.code}")

    def stay_busy(self, task: Task) -> None:
        assert task.busy is not None
        due = [at for at, _ in self.clock if at <= task.busy]
        if due:
            self.tick(min(due))
        else:
            self.now, task.busy = max(self.now, task.busy), None

    def do_g(self, _: Task, n: int) -> None:
        if self.takers[n]:
            self.wake(self.takers[n])
        else:
            self.semaphores[n] = min(self.semaphores[n] + 1, MOST)

    def do_t(self, task: Task, n: int) -> None:
        if self.semaphores[n]:
            self.semaphores[n] -= 1
        else:
            self.wait(task, self.takers[n], 4000)

    def do_l(self, task: Task, n: int) -> None:
        lock = self.locks[n]
        if lock.owner in (None, task):
            if lock.owner is None:
                lock.priority = task.priority
            lock.owner, lock.count = task, lock.count + 1
            return
        assert lock.owner is not None
        if task.priority < lock.owner.priority:
            self.reprioritise(lock.owner, task.priority)
        self.wait(task, lock.queue, 3000)

    def do_u(self, task: Task, n: int) -> None:
        lock = self.locks[n]
        if lock.owner is not task:
            task.code = -EPERM if lock.owner else -EINVAL
            return
        lock.count -= 1
        if lock.count:
            return
        if task.priority != lock.priority:
            self.reprioritise(task, lock.priority)
        lock.owner = None
        if lock.queue:
            lock.owner, lock.count = self.wake(lock.queue), 1
            lock.priority = lock.owner.priority

    def do_p(self, task: Task, n: int) -> None:
        if self.receivers:
            self.wake(self.receivers)
        elif len(self.queue) < ROOM:
            self.queue.append(n)
        else:
            task.message = n
            self.wait(task, self.senders, 2000)

    def do_r(self, task: Task, n: int) -> None:
        if self.queue:
            self.queue.pop(0)
            if self.senders:
                sender = self.senders[0]
                self.queue.append(sender.message)
                self.wake(self.senders).message = 0
        else:
            self.wait(task, self.receivers, 1000 * n)

    def do_s(self, task: Task, n: int) -> None:
        if not n:
            self.do_y(task, n)
            return
        self.wait(task, self.sleepers, 1000 * n)

    def do_y(self, task: Task, _: int) -> None:
        self.ready.remove(task)
        put_in_order(self.ready, task)
        if self.ready[0] is task:
            task.busy = self.now + POLL
        self.gives_way = True

    def do_b(self, task: Task, n: int) -> None:
        task.busy = self.now + 1000 * n

    def do_c(self, task: Task, n: int) -> None:
        self.reprioritise(task, n)
        self.gives_way = True


def put_in_order(queue: list[Task], task: Task) -> None:
    """Behind all that are as urgent."""
    i = len(queue)
    while i and queue[i - 1].priority > task.priority:
        i -= 1
    queue.insert(i, task)
