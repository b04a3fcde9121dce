"""The command line as a whole: help, usage errors, exit codes, colours, pipes. What it prints is in tests/golden."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from llext_tools import __version__, cli, errors
from llext_tools.cli import EVERY
from llext_tools.cli.parser import parser_for
from llext_tools.cli.render import Paint, columns, count, diagnostics_to_json, render, report, wrap
from llext_tools.diag import CODES, Diagnostic, Location
from llext_tools.paths import samples_dir
from transcript import llext

RANGE_ERROR = Diagnostic(
    code="reloc-out-of-range",
    message="`R_ARM_THM_CALL` cannot reach `printk`",
    location=Location(file="blink.llext", section=".text", offset=0x1C, function="blink_start"),
    detail=("place 0x20001a1c, target 0x08004c10: -402,640,396 bytes apart, at most 16,777,216",),
    notes=("referenced from 3 more places in this extension",),
    help="compile the extension with `-mlong-calls`",
)
WARNING = Diagnostic(code="bss-misaligned", message="`.bss` is not aligned", severity="warning")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LLEXT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


# ---- help


def test_help_fits_a_screen() -> None:
    code, text = llext("--help")
    assert code == 0
    assert text == llext("-h")[1] == llext("help")[1]
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for name in EVERY:
        assert name in text


LONG = ("run", "debug", "build")  # what an extension runs on, or is built for: on a screen of today, at least


@pytest.mark.parametrize("name", EVERY)
def test_help_of_each_command_fits_a_screen_and_shows_an_example(name: str) -> None:
    code, text = llext("help", name)
    assert code == 0
    assert text == llext(name, "--help")[1] == llext(name, "-h")[1]
    lines = text.rstrip("\n").splitlines()
    assert lines[0].startswith(f"usage: llext {name}")
    assert len(lines) <= (48 if name in LONG else 24), text
    assert max(map(len, lines)) <= 80, text
    assert f"llext {name}" in text.partition("example:")[2]


@pytest.mark.parametrize("name", EVERY)
def test_examples_of_the_help_can_be_parsed(name: str) -> None:
    for line in parser_for(name).example.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["llext"]:
            parser_for(words[1]).parse(words[2:])


@pytest.mark.parametrize("name", ["", *EVERY])
def test_examples_of_the_help_are_about_the_samples(name: str) -> None:
    """Oracle: the samples' CMakeLists.txt and their exported names."""
    example = parser_for(name).example if name else cli.overview().split("example:")[1]
    files = [path for path in Path(samples_dir()).rglob("*") if path.suffix in (".txt", ".c", ".cpp")]
    sources = "".join(path.read_text() for path in files)
    extensions = set(re.findall(r"llext_add_extension\((\w+)", sources))
    functions = set(re.findall(r"(?:EXPORT|LL_EXTENSION)_SYMBOL\((\w+)\)", sources))
    assert set(re.findall(r"([\w-]+)(?:\.debug\.elf|\.llext)\b", example)) <= extensions
    assert set(re.findall(r"--call '(\w+)", example)) <= functions
    assert set(re.findall(r"llext build ([a-z_]+)", example)) <= extensions


@pytest.mark.parametrize("code", [0, 130, 141])
def test_exit_codes_without_a_class_are_explained(code: int) -> None:
    assert llext("explain", str(code))[1].startswith(f"exit code {code}: ")


def test_version() -> None:
    assert llext("--version") == (0, f"llext {__version__}\n") == llext("-V")


def test_nothing_given_is_a_usage_error() -> None:
    assert llext() == (2, llext("--help")[1])


# ---- failures


def test_exit_codes_differ_and_are_not_those_of_the_shell() -> None:
    kinds = errors.LlextError.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert sorted(codes) == sorted(set(codes))
    assert all(0 < code < 126 for code in codes)
    assert {row.error for row in CODES.values()} == set(kinds), "a class of failure without a code"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chek"], "llext check"),
        (["exprots"], "llext exports"),
        (["--halp"], "llext --help"),
        (["check", "--profil=abi", "x"], "--profile"),
        (["exports", "x", "--format", "tonl"], "toml"),
        (["check", "x", "--firmware", "zephyr.elf"], "--exports"),
        (["inspect", "x", "--memory", "--protection", "mpu"], "mpu-pow2` or `mpu-32"),
        (["check", "--werror", "no-exports", "x"], "--werror=no-exports"),
        (["check", "x", "--config", "CONFIG_LLEXT_HEAP_SZE=1"], "CONFIG_LLEXT_HEAP_SIZE"),
    ],
)
def test_a_slip_brings_what_was_meant(arguments: list[str], hint: str) -> None:
    code, text = llext(*arguments)
    assert code == 2
    assert f"did you mean `{hint}`?" in text


@pytest.mark.parametrize("name", EVERY)
def test_unknown_option_is_one_usage_error(name: str) -> None:
    code, text = llext(name, "--frobnicate")
    assert code == 2
    assert text.startswith("error[usage]: ")
    assert text.count("error[") == 1


def command(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    module = SimpleNamespace(DESCRIPTION="", EXAMPLE="llext fake", add_arguments=lambda _: None, run=run)
    monkeypatch.setitem(sys.modules, "fake_command", module)
    monkeypatch.setitem(EVERY, "fake", ("fake_command", ""))


def raising(error: BaseException) -> object:
    def run(args: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", ("--coverage", "a", "--json", "./a")),
        ("link", ("-o", "a", "--map", "a")),
        ("finish", ("--output", "a", "--manifest", "a")),
        ("slid", ("--listing", "a", "-o", "a")),
        ("build", ("--json", "a", "--summary", "./a")),
    ],
)
def test_two_options_do_not_write_one_file(
    command: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read or written: the object is not there."""
    monkeypatch.chdir(tmp_path)
    code, text = llext(command, "missing.llext", *options)
    assert code == 2
    assert re.match(rf"error\[usage\]: llext {command}: --\S+ and --\S+ would both write `\S*a`\n", text), text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("build", "-o", ""), "--output"),
        (("build", "--json="), "--json"),
        (("build", "--summary", ""), "--summary"),
        (("build", "--build-dir", ""), "--build-dir"),
        (("build", "--firmware", "a.elf", "--firmware", ""), "--firmware"),
        (("build", ""), "DIR"),
        (("check", "a.llext", ""), "FILE"),
        (("check", "a.llext", "--select", ""), "--select"),
        (("finish", "a.elf", "-o", ""), "--output"),
        (("run", "a.llext", "--profile", ""), "--profile"),
        (("run", "a.llext", "--call", "f()", "--call", ""), "--call"),
        (("run", "a.llext", "--coverage="), "--coverage"),
    ],
)
def test_an_empty_word_is_no_value(words: tuple[str, ...], name: str) -> None:
    """As an unset variable of a script leaves it: no option counts as not given because of one."""
    code, text = llext(*words)
    assert code == 2
    assert text.startswith(f"error[usage]: llext {words[0]}: {name} is an empty word\n"), text


def test_words_that_may_be_empty() -> None:
    """Any output is as expected; and CMake gives a target where it knows none."""
    args = parser_for("run").parse(["a.llext", "--expect-output=", "--target", ""])
    assert (args.expect_output, args.target) == ("", "")


def test_options_may_share_the_terminal() -> None:
    parser_for("run").parse(["a.llext", "--json", "-", "--trace"])


def test_our_own_mistake_is_said_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, raising(KeyError("oh")))
    code, text = llext("fake")
    assert code == 1
    assert text.startswith("error[internal]: ")
    assert "Traceback" not in text
    monkeypatch.setenv("LLEXT_DEBUG", "1")
    assert "Traceback" in llext("fake")[1]


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, raising(KeyboardInterrupt()))
    assert llext("fake") == (130, "")


def test_file_that_slips_through_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, raising(PermissionError(13, "Permission denied", "x.elf")))
    assert llext("fake") == (3, "error[file-unreadable]: cannot use `x.elf`: permission denied\n")


def test_failure_as_json(tmp_path: Path) -> None:
    code, text = llext("check", str(tmp_path / "a"), "--exports", str(tmp_path / "b"), "--json")
    assert code == 3
    (found,) = json.loads(text)["diagnostics"]
    assert (found["code"], found["exit_code"], found["severity"]) == ("file-unreadable", 3, "error")


# ---- pipes and terminals

LLEXT = (sys.executable, "-m", "llext_tools")


def environment() -> dict[str, str]:
    """Streams are buffered as they are by default: what a buffer still holds at the end is part of what is tested."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return buffered | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGPIPE is not")
@pytest.mark.parametrize("arguments", [("--help",), ("explain",)])
def test_reader_that_goes_away(arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*LLEXT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["explain"], ["help", "build"], ["--help"], ["run", "--help"]])
def test_full_disk(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*LLEXT, *words], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(b"error[file-unwritable]: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_for_errors() -> None:
    """Nothing can be said then, but the exit code is that of a file that cannot be written."""
    with open("/dev/full", "w") as full:
        command = [*LLEXT, "explain", "nothing-of-ours"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, env=environment(), check=False)
    assert done.returncode == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_stream_changes_no_exit_code(closed: str) -> None:
    for arguments, code in (("explain usage", 0), ("explain nothing-of-ours", 2)):
        command = ["sh", "-c", f'"$@" {arguments} {closed}', "sh", *LLEXT]
        done = subprocess.run(command, capture_output=True, env=environment(), check=False)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr


def test_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.llext")
    assert llext("check", name)[0] == 3
    command = [*LLEXT, "check", name, "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour(
    stream: io.StringIO, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream.truncate(0)
    report([RANGE_ERROR, WARNING], stream)
    assert ("\x1b[" in stream.getvalue()) == coloured


def test_colour_changes_nothing_but_colour() -> None:
    import re

    plain, coloured = io.StringIO(), Terminal()
    report([RANGE_ERROR, WARNING], plain)
    report([RANGE_ERROR, WARNING], coloured)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured.getvalue()) == plain.getvalue()


def test_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert columns(io.StringIO()) == 80
    for chosen, width in (("132", 132), ("7", 40), ("x", 80), ("0", 80)):
        monkeypatch.setenv("COLUMNS", chosen)
        assert columns(io.StringIO()) == width


# ---- diagnostics


def test_diagnostic_looks_like_the_style_guide() -> None:
    """Oracle: the example of the style guide, in docs/development/style.md where that is kept."""
    assert render(RANGE_ERROR, Paint(io.StringIO()), 100).splitlines() == [
        "error[reloc-out-of-range]: `R_ARM_THM_CALL` cannot reach `printk`",
        "  --> blink.llext: .text+0x1c, in `blink_start`",
        "   | place 0x20001a1c, target 0x08004c10: -402,640,396 bytes apart, at most 16,777,216",
        "   = note: referenced from 3 more places in this extension",
        "   = note: on the board, llext_load() fails here with -ENOEXEC",
        "   = help: compile the extension with `-mlong-calls`",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_keep_to_the_width(width: int) -> None:
    for line in render(RANGE_ERROR, Paint(io.StringIO()), width).splitlines():
        assert len(line) <= width or " " not in line[10:].strip() or "-->" in line


def test_wrap_keeps_words_and_what_is_quoted() -> None:
    assert wrap("a bb ccc dddd", 6, "  ") == ["a bb", "  ccc", "  dddd"]
    assert wrap("run `llext help check` now", 12, "") == ["run", "`llext help check`", "now"]
    assert wrap("", 10, "") == [""]
    assert wrap("unclosed ` and on and on", 10, "") == ["unclosed", "` and on and on"]


@pytest.mark.parametrize(
    ("errors_found", "warnings", "text"),
    [(1, 0, "1 error"), (2, 1, "2 errors, 1 warning"), (0, 3, "3 warnings"), (0, 0, "")],
)
def test_summary_counts(errors_found: int, warnings: int, text: str) -> None:
    assert count([RANGE_ERROR] * errors_found + [WARNING] * warnings) == text


def test_summary_only_where_there_are_several() -> None:
    one, two = io.StringIO(), io.StringIO()
    report([RANGE_ERROR], one)
    report([RANGE_ERROR, WARNING], two)
    assert not one.getvalue().endswith("1 error\n")
    assert two.getvalue().endswith("\n\n1 error, 1 warning\n")


def test_json_has_everything_and_nothing_empty() -> None:
    error, warning = diagnostics_to_json([RANGE_ERROR, WARNING])
    assert error == {
        "code": "reloc-out-of-range",
        "severity": "error",
        "message": "`R_ARM_THM_CALL` cannot reach `printk`",
        "location": {"file": "blink.llext", "section": ".text", "offset": 28, "function": "blink_start"},
        "detail": list(RANGE_ERROR.detail),
        "notes": list(RANGE_ERROR.notes),
        "help": "compile the extension with `-mlong-calls`",
        "errno": "ENOEXEC",
        "exit_code": 6,
    }
    assert warning == {
        "code": "bss-misaligned",
        "severity": "warning",
        "message": "`.bss` is not aligned",
        "exit_code": 0,
    }


def test_command_tables_name_modules_that_exist() -> None:
    for module, summary in EVERY.values():
        assert find_spec(module), module
        assert summary[0].islower()
        assert not summary.endswith(".") or summary.endswith("...")
    assert cli.overview()
