"""Many files by several processes: the same answers in the same order, whatever becomes of a process.

The tests run in processes of their own: pytest's has threads, with which nothing is forked.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cases import files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

SLOW = """
import os, signal, sys, time
from llext_tools.cli import workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background of a shell
workers.WORTH = workers.PAUSE = 0

def work(n):
    {work}
    return n, os.getpid()

found = list(workers.each(work, range(40)))
assert [n for n, _ in found] == list(range(40)), found
print(len({{pid for _, pid in found}}))
"""


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(("jobs", "expected"), [("1", 1), ("2", 3), ("5", 6)])
def test_order_is_kept(jobs: str, expected: int) -> None:
    """The first process does the first two items: what all need is loaded then."""
    done = python(SLOW.format(work="time.sleep(0.001 * (n % 3))"), LLEXT_JOBS=jobs)
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


def test_an_exception_is_raised_as_if_one_process_did_it_all() -> None:
    done = python(SLOW.format(work="time.sleep(0.001); assert n != 17, 'seventeen'"), LLEXT_JOBS="3")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "AssertionError: seventeen"
    assert done.stderr.count("AssertionError") == 1


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.close(pipe)"])
def test_what_a_process_leaves_undone_is_done_by_the_first(end: str) -> None:
    first = "first = os.getpid()\n"
    work = f"""time.sleep(0.001)
    if n == 17 and os.getpid() != first:
        pipe = max(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{{{{fd}}}}'))
        {end}"""
    done = python(SLOW.format(work=work).replace("def work", f"{first}def work"), LLEXT_JOBS="3")
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_threads_keep_it_to_one_process() -> None:
    program = "import threading, time\nthreading.Thread(target=time.sleep, args=(2,), daemon=True).start()\n"
    assert python(program + SLOW.format(work="time.sleep(0.001)"), LLEXT_JOBS="3").stdout == "1\n"


def test_nothing_is_forked_for_little_work() -> None:
    program = SLOW.replace("workers.WORTH = workers.PAUSE = 0", "workers.WORTH = 1e9")
    assert python(program.format(work="pass"), LLEXT_JOBS="3").stdout == "1\n"


def test_an_interrupt_ends_all_processes() -> None:
    work = "os.write(1, b'%d\\n' % os.getpid()); time.sleep(0.01 if n < 2 else 60)"
    command = [sys.executable, "-c", SLOW.format(work=work)]
    environment = {**os.environ, "LLEXT_JOBS": "2"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout
        pids = {int(process.stdout.readline()) for _ in range(4)}  # two by the first process, one by each other one
        os.kill(process.pid, signal.SIGINT)  # the first one alone: it ends the others
        _, errors = process.communicate(timeout=60)
    assert len(pids) == 3
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Good files and bad ones, of several machines, some of them twice."""
    folder = tmp_path_factory.mktemp("many")
    names = []
    for i, (name, data) in enumerate(sorted(files().items())[:120]):
        names.append(str(folder / f"{i:03}-{name.replace('/', '-')}"))
        Path(names[-1]).write_bytes(data if i % 7 else data[: len(data) // 2])
    return [*names, *names[:10], str(folder / "missing.llext")]


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_output_is_that_of_one_process(form: str, many: list[str], tmp_path: Path) -> None:
    """Oracle: the same command with one process."""
    (tmp_path / "table.toml").write_text("[exports]\nprintk = 0x1001\n")
    program = "import sys\nfrom llext_tools.cli import main, workers\nworkers.WORTH = 0\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "check", *many, "--exports", "table.toml", "--format", form]
    one, three = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "LLEXT_JOBS": jobs})
        for jobs in ("1", "3")
    )
    assert one.returncode
    assert (one.returncode, one.stdout, one.stderr) == (three.returncode, three.stdout, three.stderr)
    if form == "json":
        assert [file["file"] for file in json.loads(one.stdout)["files"]] == many
