"""What the tests of threads share: an extension with a few threads, run on the built-in host."""

from __future__ import annotations

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import Diagnostic
from llext_tools.run import Limits, RunResult, Setup, load, run

START = r"""
#define THREADS 5
#define UNUSED_ARGUMENTS (void)b; (void)c
K_THREAD_STACK_ARRAY_DEFINE(stacks, THREADS, 512);
static struct k_thread threads[THREADS];
static k_tid_t later(int i, int priority, void (*entry)(void *, void *, void *), long first, k_timeout_t delay)
{
    return k_thread_create(&threads[i], stacks[i], sizeof(stacks[i]), entry, (void *)first, NULL, NULL, priority, 0,
                           delay);
}
static k_tid_t spawn(int i, int priority, void (*entry)(void *, void *, void *), long first)
{
    return later(i, priority, entry, first, K_NO_WAIT);
}
"""
EVERYWHERE = ("cortex-m0plus", "cortex-m33", "rv32imac", "rv64gc")


def go(build: Build, source: str, *calls: str, target: str = "cortex-m4", limits: Limits | None = None) -> RunResult:
    """Run ``test()`` of an extension, or other calls."""
    cpu = arch.target(target)
    images = load([build(START + source, target, "gcc", "-Wno-unused")], cpu)
    return run(images, calls or ("test()",), Setup(cpu, limits=limits or Limits()))


def words(build: Build, source: str, target: str = "cortex-m4") -> list[str]:
    """What ``test()`` prints."""
    result = go(build, source, target=target)
    assert result.fault is None, result.fault
    return result.output.split()


def fault(build: Build, source: str, limits: Limits | None = None) -> Diagnostic:
    """What ends ``test()``."""
    found = go(build, source, limits=limits).fault
    assert found is not None
    return found
