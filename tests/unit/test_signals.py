"""Signals that end a command. Oracle: the status that the system gives of a process, and what children print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SCRIPT = """
import signal, subprocess, sys
from llext_tools.cli.signals import ends_like_ctrl_c

@ends_like_ctrl_c()
def command(word):
    try:
        if word == "child":
            print_handler = "import signal; print(signal.getsignal(signal.SIGINT))"
            subprocess.run([sys.executable, "-c", print_handler], check=True)
        else:
            signal.raise_signal(getattr(signal, word))
        print("goes on")
    finally:
        print("ends")
        if len(sys.argv) > 2:
            signal.raise_signal(getattr(signal, sys.argv[2]))
        print("in order")

command(sys.argv[1])
"""


def run(*words: str, ignored: int | None = None) -> tuple[int, list[str]]:
    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # tests may run behind `nohup` or a `&`
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    command = [sys.executable, "-c", SCRIPT, *words]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=ignore, env=buffered)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order(number: signal.Signals) -> None:
    """With all that it has printed, for a pipe is written when a buffer is full."""
    assert run(number.name) == (-number, ["ends", "in order"])


def test_a_second_signal_cuts_the_ending_short() -> None:
    """Whoever waits in vain for a child can make an end of it; the caller sees the first one."""
    assert run("SIGTERM", "SIGHUP") == (-signal.SIGTERM, ["ends"])
    assert run("SIGHUP", "SIGHUP") == (-signal.SIGHUP, ["ends"])


def test_what_is_ignored_stays_so() -> None:
    assert run("SIGHUP", ignored=signal.SIGHUP) == (0, ["goes on", "ends", "in order"])


def test_children_hear_ctrl_c_where_the_command_does_not() -> None:
    code, (handler, *lines) = run("child", ignored=signal.SIGINT)
    assert "default_int_handler" in handler
    assert (code, lines) == (0, ["goes on", "ends", "in order"])
    assert run("SIGINT", ignored=signal.SIGINT) == (0, ["goes on", "ends", "in order"])
