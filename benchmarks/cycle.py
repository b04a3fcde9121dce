"""Time one life of an extension on a runtime that is up: load, bringup, a call, teardown, unload.

Takes turns with ``python -c pass``, and prints the medians of both in seconds: ``cycle.py FILE ROUNDS``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from llext_tools.llext import BufLoader, Runtime

data, rounds = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])


def life(rt: Runtime) -> float:
    start = perf_counter()
    ext = rt.load(BufLoader(data), "hello")[1]
    rt.bringup(ext)
    rt.call_fn(ext, "hello")
    rt.teardown(ext)
    left = rt.unload(ext)
    seconds = perf_counter() - start
    assert not left
    return seconds


def start_python() -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return perf_counter() - start


with Runtime.on("cortex-m4f") as runtime:
    life(runtime)
    start_python()
    turns = [(life(runtime), start_python()) for _ in range(rounds)]
    assert runtime.output == "hello 3\n" * (rounds + 1), runtime.output
print(*(median(column) for column in zip(*turns, strict=True)))
