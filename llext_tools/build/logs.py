"""What CMake, Ninja and the compilers say in a log: what failed, and of what they warn."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from textwrap import dedent

from llext_tools.build.job import Case, Failure, Job, Step, Warned
from llext_tools.diag import CODES, Diagnostic, Location, Severity

LINES_SHOWN = 14  # of one failure of another program
NINJA_STATUS = re.compile(r"\[(\d+)/(\d+)\] ")


def failures_of_cmake(lines: Sequence[str]) -> tuple[Failure, ...]:
    """The blocks that begin with ``CMake Error``, named by the line of the project that the call stack ends with."""
    found: list[Failure] = []
    head, message, stack = "", list[str](), list[str]()
    for line in (*lines, "end"):
        if head and line and not line[0].isspace() and not line.startswith("Call Stack"):
            where = (
                stack[-1].strip().replace(":DEFERRED", "")
                if stack
                else head.removeprefix("CMake Error").removeprefix(" at ").rstrip(":")
            )
            unwrapped = re.sub(r"(?<=\S)\n  (?=\S)", " ", "\n".join(message))  # CMake breaks lines at 77 columns
            text = re.sub(r"\n{3,}", "\n\n", dedent(unwrapped).strip()).splitlines() or [head]
            what = where.partition(" (")[0].strip(" :") or "cmake"
            found.append(Failure(step=Step.CONFIGURE, what=what, lines=shorten(text), codes=codes_in(*text)))
            head = ""
        if line.startswith("CMake Error"):
            head, message, stack = line, [], []
        elif head and (stack or line.startswith("Call Stack")):
            stack += [line] if line.strip() else []
        elif head:
            message.append(line)
    return tuple(found)


def failures_of_ninja(lines: Sequence[str]) -> tuple[Failure, ...]:
    """The output of each command after ``FAILED:``, without the command itself."""
    found: list[Failure] = []
    for i, line in enumerate(lines):
        if line.startswith("FAILED: "):
            what = re.sub(r"^FAILED: (\[code=\d+\] )?", "", line).split()[0]
            test = re.search(r"CMakeFiles/([^/ ]+)\.dir/(?:[^/ ]+/)?run\.json$", what)
            extension = re.search(r"([^/ ]+)\.debug\.elf$", what)
            what = (test or extension or ("", re.sub(r"CMakeFiles/[^/ ]+\.dir/", "", what)))[1]
            output = []
            for following in lines[i + 2 :]:
                if NINJA_STATUS.match(following) or following.startswith(("FAILED: ", "ninja: ")):
                    break
                output.append(following)
            lines_shown = shorten(output) or ("the command printed nothing",)
            step = Step.TEST if test else Step.BUILD
            found.append(Failure(step=step, what=what, lines=lines_shown, codes=codes_in(*output)))
    return tuple(found)


def configures_again(lines: Sequence[str]) -> bool:
    """Whether what failed is the run of CMake that Ninja begins with when a CMakeLists.txt has changed."""
    return any(
        re.match(r"FAILED: (\[code=\d+\] )?build\.ninja|ninja: error: rebuilding 'build\.ninja'", s) for s in lines
    )


def never_ends(lines: Iterable[str]) -> bool:
    """Whether Ninja has given up running CMake: ``build.ninja`` was not up to date after 100 times."""
    return any(line.startswith("ninja: error: manifest 'build.ninja' still dirty") for line in lines)


NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
LEAST_ROOM = 64 * 1024  # bytes: nothing can be built in less


def on_full_disk(failures: tuple[Failure, ...], job: Job) -> tuple[Failure, ...]:
    """The failures; where no room is left, that is said first: CMake takes it for a compiler that does not work."""
    if not failures:
        return ()
    text = ""
    with suppress(OSError):
        text = job.log.read_text(encoding="utf-8", errors="replace")
    if not NO_ROOM.search(text) and shutil.disk_usage(job.build).free >= LEAST_ROOM:
        return failures
    why = f"no room is left on the disk of {job.build}: make room, or build elsewhere, `--build-dir FOLDER`"
    return (replace(failures[0], lines=(why, *failures[0].lines)), *failures[1:])


OUR_ERROR = re.compile(r"^\s*error\[([a-z-]+)\]: ", re.MULTILINE)


def unexplained(step: Step, tool: str, code: int, lines: Sequence[str]) -> tuple[Failure, ...]:
    what = f"{tool} was ended by signal {-code}" if code < 0 else f"{tool} gave exit code {code}"
    return (Failure(step=step, what=what, lines=shorten(lines[-LINES_SHOWN:])),)


def shorten(lines: Sequence[str]) -> tuple[str, ...]:
    """At most ``LINES_SHOWN`` lines, from the first one that looks like an error; our own errors in full."""
    text = [line.rstrip() for line in lines]
    while text and not text[-1]:
        text.pop()
    if len(text) <= LINES_SHOWN:
        return tuple(text)
    ours = [i for i, line in enumerate(text) if OUR_ERROR.match(line)]
    if ours:
        return tuple(text[ours[0] :])
    text = text[next((i for i, line in enumerate(text) if re.search(r"\berror\b|\bundefined\b", line)), 0) :]
    more = len(text) - LINES_SHOWN
    return (*text[:LINES_SHOWN], f"... and {more} more lines") if more > 0 else tuple(text)


def codes_in(*text: str) -> tuple[str, ...]:
    """The codes of our own diagnostics in a text, each once."""
    found = OUR_ERROR.findall("\n".join(text))
    return tuple(dict.fromkeys(code for code in found if code in CODES))


COMPILER_WARNING = re.compile(r"(?:.*: )?warning: ")
PLACED = r"(.*?):(\d+):(?:\d+:)? "
PLACED_WARNING = re.compile(rf"{PLACED}warning: (.*)")
PLACED_ERROR = re.compile(rf"{PLACED}(?:fatal )?error: (.*)")
"""File, line and text of what a compiler says of a source."""
OUR_FINDING = re.compile(r"(warning|error)\[([a-z-]+)\]: (.*)")
OUR_ITEM = re.compile(r"  (-->)|   (\||= note:|= help:) ?")


def compiler_warnings(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that begin a warning of GCC, Clang or their linkers, each once: a header has it for each source."""
    return tuple(dict.fromkeys(line for line in lines if COMPILER_WARNING.match(line)))


def our_findings(lines: Sequence[str], severity: Severity) -> tuple[Diagnostic, ...]:
    """The errors or the warnings that ``cli.render`` has written to a wide page."""
    found: list[Diagnostic] = []
    for i, line in enumerate(lines):
        head = OUR_FINDING.match(line)
        if head is None or head[1] != severity or head[2] not in CODES:
            continue
        items: dict[str, list[str]] = {"-->": [], "|": [], "= note:": [], "= help:": []}
        for following in lines[i + 1 :]:
            item = OUR_ITEM.match(following)
            if item is None:
                break
            items[item[1] or item[2]].append(following[item.end() :].strip())
        at = Location(file=items["-->"][0]) if items["-->"] else None
        found.append(
            Diagnostic(
                code=head[2],
                message=head[3],
                severity=severity,
                location=at,
                detail=tuple(items["|"]),
                notes=tuple(items["= note:"]),
                help=" ".join(items["= help:"]),
            )
        )
    return tuple(found)


def warnings_of(lines: Sequence[str], tests: Iterable[Case], failures: Iterable[Failure]) -> tuple[Warned, ...]:
    """Our warnings in a build and in its tests that passed; those beside an error are shown with it.

    What ``llext_import_edk()`` warns of is indented by four: by two there, and by two in CMake's message().
    """
    beside = {line for failure in failures for line in failure.lines}
    left = [line.removeprefix("    ") for line in lines if line not in beside]
    found = [Warned(diagnostic=each) for each in our_findings(left, "warning")]
    for test in tests:
        if test.passed:
            found += [
                Warned(diagnostic=each, test=test.name) for each in our_findings(test.output.splitlines(), "warning")
            ]
    return tuple(found)
