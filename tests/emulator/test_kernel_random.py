"""Random scripts and long runs: the kernel model against a second one, and against invariants that C code computes."""

from __future__ import annotations

import random

import pytest

from emulator.conftest import Build
from emulator.kernel_model import Model
from emulator.kernel_runs import START
from llext_tools import arch
from llext_tools.run import Limits, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

INTERPRETER = r"""
static struct k_sem semaphores[3];
static struct k_mutex mutexes[2];
K_MSGQ_DEFINE(queue, 1, 2, 1);
static void interpret(void *script, void *name, void *c)
{
    for (const char *s = script; *s != 0 && *s != ' '; s += 2) {
        int n = s[1] - '0', code = 0;
        char message = s[1];
        switch (s[0]) {
        case 'g': k_sem_give(&semaphores[n]); break;
        case 't': code = k_sem_take(&semaphores[n], K_MSEC(4)); break;
        case 'l': code = k_mutex_lock(&mutexes[n], K_MSEC(3)); break;
        case 'u': code = k_mutex_unlock(&mutexes[n]); break;
        case 'p': code = k_msgq_put(&queue, &message, K_MSEC(2)); break;
        case 'r': code = k_msgq_get(&queue, &message, K_MSEC(n)); break;
        case 's': k_msleep(n); break;
        case 'y': k_yield(); break;
        case 'b': k_busy_wait(n * 1000); break;
        case 'c': k_thread_priority_set(k_current_get(), n); break;
        }
        printk("%c%c%c:%d ", (int)(intptr_t)name, s[0], s[1], code);
    }
}
int test(const char *scripts)
{
    int count = 0;
    for (int i = 0; i < 3; i++) { k_sem_init(&semaphores[i], 0, 2); }
    k_mutex_init(&mutexes[0]); k_mutex_init(&mutexes[1]);
    k_msgq_purge(&queue);
    k_thread_priority_set(k_current_get(), -16);
    for (const char *s = scripts; *s != 0; count++) {
        int priority = *s++ - 'h';
        k_thread_create(&threads[count], stacks[count], sizeof(stacks[0]), interpret, (void *)s,
                        (void *)(intptr_t)('a' + count), NULL, priority, 0, K_NO_WAIT);
        while (*s != 0 && *s++ != ' ') { }
    }
    k_thread_priority_set(k_current_get(), 14);
    for (int i = 0; i < count; i++) { k_thread_join(&threads[i], K_FOREVER); }
    k_thread_priority_set(k_current_get(), 0);
    printk("\n");
    return 0;
}
EXPORT_SYMBOL(test);
"""
STEPS = [f"{kind}{n}" for kind, numbers in
         (("g", "012"), ("t", "012"), ("l", "01"), ("u", "01"), ("p", "12"), ("r", "123"), ("s", "0125"), ("y", "0"),
          ("b", "13"), ("c", "2459")) for n in numbers]  # fmt: skip
WEIGHTS = {"g": 3, "t": 3, "l": 4, "u": 5, "p": 4, "r": 2, "s": 2, "y": 3, "b": 1, "c": 1}
ROUNDS = 70


@pytest.mark.parametrize("target", ["cortex-m33", "rv32imac"])
def test_random_scripts_run_as_in_a_second_model(target: str, build: Build) -> None:
    """Up to five threads of cooperative and preemptible priorities; all that they do, in its order, with its codes."""
    pick = random.Random(target)
    cases = []
    for _ in range(ROUNDS):
        weights = [WEIGHTS[step[0]] for step in STEPS]
        cases.append(
            [
                (pick.choice([-3, -1, 1, 3, 3, 5, 7]), "".join(pick.choices(STEPS, weights, k=pick.randint(3, 14))))
                for _ in range(pick.randint(2, 5))
            ]
        )
    cpu = arch.target(target)
    images = load([build(START + INTERPRETER, target, "gcc", "-Wno-unused")], cpu)
    texts = [" ".join(chr(ord("h") + priority) + script for priority, script in case) for case in cases]
    result = run(images, [f'test("{text}")' for text in texts], Setup(cpu, limits=Limits(seconds=60)))
    assert result.fault is None, result.fault
    for case, printed in zip(cases, result.output.splitlines(), strict=True):
        assert printed.split() == Model(case).run(), case


BANK = r"""
#define WORKERS 4
#define ROUNDS 1000
K_MUTEX_DEFINE(mutex);
K_SEM_DEFINE(tokens, 3, 3);
K_MSGQ_DEFINE(queue, sizeof(uint32_t), 5, 4);
static uint32_t seeds[WORKERS] = {1, 22, 333, 4444};
static int inside, holders, worst, errors;
static uint32_t sent, received, sum_sent, sum_received, last[WORKERS];
static uint32_t next(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u, *seed >> 16; }
static void use_mutex(uint32_t r)
{
    if (k_mutex_lock(&mutex, r & 1 ? K_FOREVER : K_MSEC(1)) != 0) { return; }
    errors += inside++ != 0;
    if (r & 2) { errors += k_mutex_lock(&mutex, K_NO_WAIT) != 0; k_yield(); errors += k_mutex_unlock(&mutex) != 0; }
    if (r & 4) { k_usleep(r & 1023); }
    inside--;
    errors += k_mutex_unlock(&mutex) != 0;
}
static void use_token(uint32_t r)
{
    if (k_sem_take(&tokens, r & 1 ? K_FOREVER : K_NO_WAIT) != 0) { return; }
    holders++;
    worst = holders > worst ? holders : worst;
    errors += holders > 3 || k_sem_count_get(&tokens) > 3 - (unsigned)holders;
    if (r & 2) { k_yield(); } else { k_usleep(r & 255); }
    holders--;
    k_sem_give(&tokens);
}
static void work(void *index, void *b, void *c)
{
    uintptr_t i = (uintptr_t)index;
    for (uint32_t n = 0; n < ROUNDS; n++) {
        uint32_t r = next(&seeds[i]), message = i << 24 | n;
        switch (r & 3) {
        case 0: use_mutex(r >> 2); break;
        case 1: use_token(r >> 2); break;
        case 2:
            if (k_msgq_put(&queue, &message, r & 4 ? K_MSEC(1) : K_NO_WAIT) == 0) { sent++; sum_sent += message; }
            break;
        default:
            if (k_msgq_get(&queue, &message, r & 4 ? K_MSEC(1) : K_NO_WAIT) == 0) {
                received++; sum_received += message;
                uint32_t from = message >> 24, number = (message & 0xffffff) + 1;
                errors += from >= WORKERS || number > ROUNDS || number == last[from];
                last[from] = number;
            }
        }
    }
}
int test(void)
{
    uint32_t message;
    for (int i = 0; i < WORKERS; i++) { spawn(i, i == 3 ? -1 : 3 + i / 2, work, i); }
    for (int i = 0; i < WORKERS; i++) { errors += k_thread_join(&threads[i], K_FOREVER) != 0; }
    while (k_msgq_get(&queue, &message, K_NO_WAIT) == 0) { received++; sum_received += message; }
    errors += sent != received || sum_sent != sum_received || queue.used_msgs != 0;
    errors += mutex.owner != NULL || tokens.count != 3 || inside || holders;
    printk("%d", worst);
    return errors;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_a_long_run_keeps_what_c_code_checks(target: str, build: Build) -> None:
    """No two owners of the mutex, no more than three tokens out, each message once: 4,000 steps of four threads."""
    cpu = arch.target(target)
    images = load([build(START + BANK, target, "gcc", "-Wno-unused")], cpu)
    result = run(images, "test()", Setup(cpu, limits=Limits(seconds=60)))
    assert (result.fault, result.value, result.output) == (None, 0, "3")
