"""Scripted sessions of gdb-multiarch. Oracle: GDB itself, which prints the values that the C source has."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from gdb.sessions import SECONDS, TARGETS, Extension, build, debugged, gdb, session
from needs import need

SOURCE = """\
struct point { int x; short y; char name[4]; };
static struct point here = {3, -4, "abc"};
static int total = 10;
static int add(int n)
{
    int twice = n * 2;
    total += twice; // added
    return total; // sum
}
int run(int a, int b)
{
    int sum = a + b; // start
    printk("sum %d\\n", sum); // print
    sum += add(sum); // call
    here.x = sum;
    printk("now %d\\n", sum); // end
    return sum;
}
LL_EXTENSION_SYMBOL(run);
int spin(int n)
{
    volatile int going = n;
    while (going) { // loop
        total++; // in loop
    }
    return 7;
}
LL_EXTENSION_SYMBOL(spin);
int broken(int *p)
{
    total++;
    *p = total; // fault
    return 1;
}
LL_EXTENSION_SYMBOL(broken);
void give_up(void)
{
    abort(); // abort
}
LL_EXTENSION_SYMBOL(give_up);
void shout(void)
{
    printk("\\033]0;title\\a\\033[1mloud\\033[0m\\n");
}
LL_EXTENSION_SYMBOL(shout);
int wipe(void)
{
    memset(&here, 0, sizeof(here)); // wipes
    return here.x; // wiped
}
LL_EXTENSION_SYMBOL(wipe);
double mix(double a, float b)
{
    double c = a * 2 + b;
    return c; // mixed
}
LL_EXTENSION_SYMBOL(mix);
"""


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Extension]:
    need("gdb-multiarch")
    targets = (*TARGETS, "cortex-m4f", "rv32imafc")
    return {target: build(tmp_path_factory.mktemp(target), SOURCE, target) for target in targets}


@pytest.fixture(params=TARGETS)
def extension(request: pytest.FixtureRequest, extensions: dict[str, Extension]) -> Extension:
    return extensions[request.param]


@pytest.fixture(params=TARGETS[:2])
def narrow(request: pytest.FixtureRequest, extensions: dict[str, Extension]) -> Extension:
    """The same for 32 bits only: where another width makes no difference."""
    return extensions[request.param]


def test_breakpoint_shows_frames_and_variables(extension: Extension) -> None:
    commands = ["break " + extension.at("added"), "continue", "backtrace", "info args", "print twice", "print total"]
    commands += ["print here", "finish", "compare-sections .text", "continue"]
    done = session(extension, commands, "--call", "run(1, 2)")
    where = f"at {extension.source}"
    assert f"Breakpoint 1, add (n=3) {where}:{extension.line('added')}" in done.gdb
    assert re.search(rf"^#0  add \(n=3\) {where}:{extension.line('added')}$", done.gdb, re.MULTILINE)
    assert re.search(rf"^#1  0x[0-9a-f]+ in run \(a=1, b=2\) {where}:{extension.line('call')}$", done.gdb, re.MULTILINE)
    assert '\nn = 3\n$1 = 6\n$2 = 10\n$3 = {x = 3, y = -4, name = "abc"}\n' in done.gdb
    assert "Value returned is $4 = 16" in done.gdb
    assert "matched." in done.gdb
    assert "exited normally" in done.gdb
    assert done.llext == "sum 3\nnow 19\nrun(1, 2) = 19\n"
    assert done.code == 0


def test_next_steps_over_a_call_of_the_host_and_step_goes_into_one_of_the_extension(extension: Extension) -> None:
    commands = ["tbreak " + extension.at("print"), "continue", "next", "step", "set var n = 100", "continue"]
    done = session(extension, commands, "--call", "run(1, 2)")
    assert f'\n{extension.line("print")}\t    printk("sum %d\\n", sum); // print\n' in done.gdb
    assert f"\n{extension.line('call')}\t    sum += add(sum); // call\n" in done.gdb
    assert re.search(r"^add \(n=3\) at ", done.gdb, re.MULTILINE)
    assert done.llext == "sum 3\nnow 213\nrun(1, 2) = 213\n", "3 + 10 + 2 * 100"


def test_watchpoint_reports_the_old_and_the_new_value(extension: Extension) -> None:
    done = session(extension, ["watch total", "continue", "info line", "continue"], "--call", "run(1, 2)")
    assert "\nOld value = 10\nNew value = 16\n" in done.gdb
    assert re.search(
        rf"^add \(n=3\) at .*:({extension.line('added')}|{extension.line('sum')})$", done.gdb, re.MULTILINE
    )
    assert "exited normally" in done.gdb


def test_watchpoint_sees_what_the_host_writes(narrow: Extension) -> None:
    done = session(narrow, ["watch here.x", "continue", "continue"], "--call", "wipe()")
    assert "\nOld value = 3\nNew value = 0\n" in done.gdb
    lines = {narrow.line("wipes"), narrow.line("wiped")}
    assert re.search(rf"wipe \(\) at .*:({'|'.join(map(str, lines))})\n", done.gdb)
    assert done.llext == "wipe() = 0\n"


def test_interrupt_ends_in_the_endless_loop(extension: Extension) -> None:
    with debugged(extension, "--call", "spin(1)") as (process, script):
        command = [*gdb(script), "-iex", "set confirm off", "-ex", "break spin", "-ex", "continue"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as person:
            assert person.stdin
            assert person.stdout
            person.stdin.write("echo it runs\\n\ncontinue\n")
            person.stdin.flush()
            for text in ("it runs", "Continuing."):
                assert any(text in line for line in person.stdout), f"GDB has ended before `{text}`"
            person.send_signal(signal.SIGINT)
            text = "backtrace 1\nprint total > 10\nset var going = 0\nfinish\ncontinue\nquit\n"
            out, _ = person.communicate(text, timeout=SECONDS)
        rest, _ = process.communicate(timeout=SECONDS)
    assert "received signal SIGINT" in out
    assert re.search(rf"#0 .* spin \(n=1\) at .*:({extension.line('loop')}|{extension.line('in loop')})\n", out)
    assert "$1 = 1\n" in out
    assert "Value returned is $2 = 7" in out
    assert rest == "spin(1) = 7\n"


def test_fault_is_a_signal_at_its_line(narrow: Extension) -> None:
    done = session(narrow, ["continue", "print p", "print total", "continue"], "--call", "broken(0)")
    assert "Program received signal SIGSEGV" in done.gdb
    assert done.gdb.count("error[run-fault]: `broken` writes 4 bytes at 0x00000000, where there is no memory") == 1
    assert re.search(rf"in broken \(p=0x0\) at .*:{narrow.line('fault')}\n", done.gdb)
    assert "$1 = (int *) 0x0\n$2 = 11\n" in done.gdb
    assert "exited with code 010" in done.gdb, "8, the exit code of a fault"
    assert "error[run-fault]" in done.llext
    assert done.code == 8


def test_run_goes_on_from_a_fault_where_the_person_says(narrow: Extension) -> None:
    commands = ["continue", "set var p = &total", f"jump {narrow.line('fault')}"]
    done = session(narrow, commands, "--call", "broken(0)")
    assert "SIGSEGV" in done.gdb
    assert "exited normally" in done.gdb
    assert done.llext == "broken(0) = 1\n"


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imafc", "rv64gc"])
def test_floats_are_in_the_registers_of_the_fpu(target: str, extensions: dict[str, Extension]) -> None:
    extension = extensions[target]
    register = {"cortex-m4f": "$d0", "rv32imafc": "$fa0", "rv64gc": "$fa0"}[target]
    value = {"cortex-m4f": "1.5", "rv32imafc": "2.25", "rv64gc": "1.5"}[target]
    shown = f"print {register}.double" if target == "rv64gc" else f"print {register}"
    commands = [shown, "break " + extension.at("mixed"), "continue", "info args", "finish"]
    done = session(extension, [*commands, "continue"], "--call", "mix(1.5, 2.25)")
    assert f"$1 = {value}\n" in done.gdb
    assert "a = 1.5\nb = 2.25\n" in done.gdb
    assert "Value returned is $2 = 5.25" in done.gdb
    assert done.llext == "mix(1.5, 2.25) = 5.25\n"


def test_orders_to_a_terminal_are_spelt_out(narrow: Extension) -> None:
    done = session(narrow, ["continue"], "--call", "shout()")
    assert "\\x1b]0;title\\x07\x1b[1mloud\x1b[0m\n" in done.gdb, "colours pass"
    assert "\x1b]" not in done.gdb


def test_abort_is_a_signal(narrow: Extension) -> None:
    done = session(narrow, ["continue", "backtrace", "continue"], "--call", "give_up()")
    assert "Program received signal SIGABRT" in done.gdb
    assert re.search(r"^#0  0x[0-9a-f]+ in abort \(\)$", done.gdb, re.MULTILINE)
    assert re.search(r"^#1  0x[0-9a-f]+ in give_up \(\) at ", done.gdb, re.MULTILINE)
    assert done.gdb.count("\n#") == 3, "the last one is the host, which nobody has called"
    assert done.gdb.count("error[run-abort]") == 1
    assert "error[run-abort]" in done.llext
