"""Threads of an extension in GDB. Oracle: GDB, which prints the values that the C source has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdb.sessions import TARGETS, build, session

SOURCE = """\
K_THREAD_STACK_DEFINE(stack, 1024);
static struct k_thread thread;
K_SEM_DEFINE(work, 0, 1);
K_SEM_DEFINE(done, 0, 1);
static int result;
static void worker(void *first, void *second, void *third)
{
    int times = (int)(intptr_t)first;
    for (int i = 0; i < times; i++) {
        k_sem_take(&work, K_FOREVER); // worker waits
        result += 10 + i; // works
        k_sem_give(&done);
    }
}
int run(int times)
{
    k_tid_t id = k_thread_create(&thread, stack, sizeof(stack), worker, (void *)(intptr_t)times, NULL, NULL, 1, 0,
                                 K_NO_WAIT);
    k_thread_name_set(id, "helper"); // created
    for (int i = 0; i < times; i++) {
        k_sem_give(&work); // gives
        k_sem_take(&done, K_FOREVER); // main waits
    }
    k_thread_join(id, K_FOREVER); // joins
    return result;
}
LL_EXTENSION_SYMBOL(run);
"""


@pytest.mark.parametrize("target", TARGETS)
def test_threads_have_names_frames_and_variables(target: str, tmp_path: Path) -> None:
    extension = build(tmp_path, SOURCE, target)
    commands = ["break " + extension.at("works"), "break " + extension.at("gives"), "continue", "info threads"]
    commands += ["thread apply all backtrace", "continue", "info threads", "thread apply all backtrace", "print i"]
    commands += ["thread 1", "frame function run", "print times", "print i", "delete", "continue"]
    done = session(extension, commands, "--call", "run(2)")
    first, second = re.findall(r"^  Id   Target Id .*\n((?:[* ] .*\n)+)", done.gdb, re.MULTILINE)
    line = extension.line
    assert re.search(rf'^\* 1 .*"main" .*\bruns\b.* run \(times=2\) at .*:{line("gives")}$', first, re.MULTILINE)
    assert re.search(r'^  2 .*"helper" .*ready to run.* worker \(first=', first, re.MULTILINE)
    assert re.search(r'^  1 .*"main" .*waits in `k_sem_take` for the semaphore `done`', second, re.MULTILINE)
    assert re.search(rf'^\* 2 .*"helper" .*\bruns\b.* worker \(first=0x2, .*:{line("works")}$', second, re.MULTILINE)
    frames = re.findall(r"^#\d +(?:0x\w+ in )?(\w+) \(.*\)(?: at .*:(\d+))?$", done.gdb, re.MULTILINE)
    host = ("llext_host", "")
    helper, main = ("worker", str(line("works"))), ("run", str(line("main waits")))
    assert frames[-7:-2] == [helper, host, ("k_sem_take", ""), main, host]
    assert re.search(r"^\$1 = 0\n(.*\n)+\$2 = 2\n\$3 = 0\n", done.gdb, re.MULTILINE)
    assert "exited normally" in done.gdb
    assert done.llext == "run(2) = 21\n"


@pytest.mark.parametrize("target", TARGETS[:2])
def test_next_goes_over_a_wait_in_which_the_other_thread_works(target: str, tmp_path: Path) -> None:
    extension = build(tmp_path, SOURCE, target)
    commands = ["tbreak " + extension.at("main waits"), "continue", "next", "print result", "print i", "continue"]
    done = session(extension, commands, "--call", "run(1)")
    shown = re.findall(r"^(\d+)\t", done.gdb, re.MULTILINE)
    loop = next(i for i, text in enumerate(SOURCE.splitlines(), 1) if "i < times; i++" in text and i > 15)
    assert shown[-2:] == [str(extension.line("main waits")), str(loop)]
    assert "$1 = 10\n$2 = 0\n" in done.gdb
    assert done.llext == "run(1) = 10\n"


FAILS = """\
K_THREAD_STACK_DEFINE(stack, 1024);
static struct k_thread thread;
static void worker(void *first, void *second, void *third)
{
    char *text = malloc(4);
    free(text);
    free(text); // twice
}
int run(void)
{
    k_tid_t id = k_thread_create(&thread, stack, sizeof(stack), worker, NULL, NULL, NULL, 1, 0, K_NO_WAIT);
    k_thread_name_set(id, "helper");
    return k_thread_join(id, K_FOREVER); // joins
}
LL_EXTENSION_SYMBOL(run);
"""


def test_failure_is_shown_in_the_thread_that_fails(tmp_path: Path) -> None:
    extension = build(tmp_path, FAILS, "cortex-m4")
    done = session(extension, ["continue", "thread", "backtrace", "continue"], "--call", "run()")
    assert 'Thread 2 "helper" received signal SIGABRT' in done.gdb
    assert "[Current thread is 2 (Thread 2)]" in done.gdb
    assert re.search(rf"^#1  .* worker \(.* at .*:{extension.line('twice')}$", done.gdb, re.MULTILINE)
    assert done.llext.startswith("error[run-heap]")
