"""``llext run``: load extensions into an emulated CPU, call functions, compare with what is expected."""

from __future__ import annotations

import argparse
import codecs
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llext_tools.c.call import Argument, parse_value, show_value, value_of
from llext_tools.c.types import encode
from llext_tools.c.values import pack
from llext_tools.c.view import Held, View, plain
from llext_tools.cli import host, measure
from llext_tools.cli.cmake_words import in_cmake
from llext_tools.cli.record import Record
from llext_tools.cli.render import diagnostics_to_json, exit_code, report
from llext_tools.diag import Diagnostic, Location, Reporter, fail, number
from llext_tools.errors import LlextError, UsageError
from llext_tools.files import write_all
from llext_tools.link.image import Image
from llext_tools.run import Returned, RunResult, Setup
from llext_tools.run import run as run_extensions
from llext_tools.run.proof import MOST
from llext_tools.run.proof import prove as differs_elsewhere

DESCRIPTION = """\
Load an extension into an emulated CPU with its regions' permissions, run its constructors, call
functions, run its destructors. Types come from --prototype, else from debug information (EXT or
<stem>.debug.elf), else from literals."""
EXAMPLE = """\
llext run math.llext --call 'fahrenheit(37.5)' --expect-return 99.5
llext run sensor.llext --extension logbook.llext --call 'sensor_sample(2048)'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    host.add_arguments(parser)
    parser.add_argument("--expect-return", metavar="VALUE", help="a literal: what the last call must return")
    parser.add_argument(
        "--expect-output", metavar="REGEX", help="to be found in the output; ^ and $ match at each line"
    )
    parser.add_argument(
        "--placements", metavar="N", default="1", help="run at N places and compare (default %(default)s)"
    )
    measure.add_arguments(parser)
    parser.add_argument("--registers", action="store_true", help="show the registers at a fault")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; `-` is stdout")
    parser.add_argument("--record", metavar="FILE", help="if all passed, say so there, as of the test --test NAME")
    parser.add_argument("--test", metavar="NAME", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    record = Record(args) if args.record is not None else None
    quiet = args.json == "-"
    screen = Screen(None if quiet else sys.stdout)
    words: Callable[[Diagnostic], Diagnostic] = in_cmake if args.test else lambda d: d
    found: list[Diagnostic] = []
    result: RunResult | None = None
    target = ""
    try:
        expected = expectations(args)
        target, result = execute(args, screen.write, found)
        found += judge(args, expected, result)
    except LlextError as error:
        if not args.json:
            raise type(error)(tuple(map(words, error.diagnostics))) from None
        found += error.diagnostics
    found = [*map(words, found)]
    show_result(args, screen, result)
    for line in measure.lines(args, result) if result else ():
        screen.print(line)
    if args.json:
        text = json.dumps(to_json(args, target, result, found), indent=2)
        if quiet:
            print(text)
        else:
            write_all({args.json: text + "\n"})
    sys.stdout.flush()
    if found and not quiet:
        report(found)
    code = exit_code(found)
    if record and code == 0:
        record.write()
    return code


def show_result(args: argparse.Namespace, screen: Screen, result: RunResult | None) -> None:
    screen.end_line()
    for returned in result.returned if result else ():
        screen.print(str(returned))
    if result and not result.fault and not args.call:
        screen.print(f"{args.extension}: {'loaded' if args.no_bringup else 'brought up and torn down'}")


def execute(args: argparse.Namespace, sink: Callable[[bytes], None], found: list[Diagnostic]) -> tuple[str, RunResult]:
    """Link and run; warnings go to ``found``.

    Raises:
        LlextError: nothing was run.
    """
    places = placements(args.placements)
    measures = measure.Measures(args)
    images, setup, warnings = host.prepare(args, "llext run", sink)
    setup = setup._replace(limits=measures.limits(setup.limits))
    measuring = setup._replace(measure=measures.wanted)
    result = run_extensions(images, args.call, measuring, prototypes=args.prototype, bringup=not args.no_bringup)
    measures.write(result.measured)
    found += warnings
    found += result.diagnostics
    if result.fault is not None:
        found.append(with_registers(result) if args.registers else result.fault)
    elif places > 1:
        found += prove(images, args, setup, result)
    return setup.target.name, result


def placements(text: str) -> int:
    """Raises:
    UsageError: it is no such number."""
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST:
        fail("usage", f"llext run: `--placements {text}` is not a number of places", help=f"give 1 to {MOST}")
    return int(text)


def prove(images: Sequence[Image], args: argparse.Namespace, setup: Setup, result: RunResult) -> list[Diagnostic]:
    """What is otherwise where the extensions are at other places."""
    found = differs_elsewhere(
        images,
        args.call,
        setup,
        result,
        placements=placements(args.placements),
        profile=args.profile,
        prototypes=args.prototype,
        bringup=not args.no_bringup,
        fresh=lambda setup: host.furnished(args, images, setup),
    )
    return [found] if found else []


class Expected(NamedTuple):
    """What ``--expect-return`` and ``--expect-output`` ask for."""

    value: Argument | None
    output: re.Pattern[str] | None


def expectations(args: argparse.Namespace) -> Expected:
    """Raises:
    UsageError: ``usage``: one of them can never be met."""
    value = output = None
    if args.expect_return is not None:
        try:
            value = parse_value(args.expect_return)
        except UsageError:
            pass
        if value is None or value.kind == "symbol":
            text = f"llext run: `--expect-return {args.expect_return}` is not a literal"
            fail("usage", text, help="""for example `-5`, `0x10`, `2.5`, `true`, `'c'` or `"text"`""")
    if args.expect_output is not None:
        try:
            output = re.compile(args.expect_output, re.MULTILINE)
        except re.error as error:
            fail("usage", f"llext run: `{args.expect_output}` is not a regular expression: {error}")
    return Expected(value, output)


def judge(args: argparse.Namespace, expected: Expected, result: RunResult) -> list[Diagnostic]:
    """What differs from the expectations. A fault is worse: then nothing is compared."""
    if result.fault is not None:
        return []
    reporter = Reporter()
    at = Location(args.extension)
    if expected.value is not None:
        if not result.returned:
            reporter.error(
                "expect-return", "a return value is expected, but nothing is called", at=at, help="use `--call`"
            )
        elif not equals(result.returned[-1], expected.value):
            last = result.returned[-1]
            text = f"`{last.call}` returned {last.text or 'nothing'}, expected {shown(last, expected.value)}"
            reporter.error("expect-return", text, at=at)
    if expected.output is not None and not expected.output.search(result.output):
        text = f"the output does not contain `{args.expect_output}`"
        lines = result.output.splitlines()
        more = (f"... and {number(len(lines) - 20, 'more line')}",) if len(lines) > 20 else ()
        reporter.error("expect-output", text, at=at, detail=(*lines[:20], *more) or ("there was no output",))
    return list(reporter.diagnostics)


def equals(returned: Returned, expected: Argument) -> bool:
    """Whether a literal, converted to the returned type, is what was returned."""
    value, ctype = expected.value, returned.type
    if expected.kind == "braces" or ctype.kind == "record":
        try:
            data = pack(ctype, value_of(expected, lambda _name: 0))
        except (TypeError, OverflowError, AttributeError):
            return False
        return bool(View(Held(data), ctype, 0) == returned.value)
    if isinstance(value, bytes):
        return returned.string == value
    if isinstance(value, str | tuple) or returned.value is None:
        return False
    if isinstance(value, float) and returned.type.kind != "float":
        return False
    return encode(returned.type, value) == encode(returned.type, returned.value)


def shown(returned: Returned, expected: Argument) -> str:
    """The expected value in the spelling of the returned one, where that can be."""
    if isinstance(expected.value, int | float) and not returned.type.is_void and returned.type.kind != "record":
        as_float = isinstance(expected.value, float) and returned.type.kind != "float"
        return expected.text if as_float else show_value(returned.type, expected.value)
    return expected.text


def with_registers(result: RunResult) -> Diagnostic:
    assert result.fault is not None
    cells = [f"{name:>3} {value:08x}" for name, value in result.registers.items()]
    lines = tuple("  ".join(cells[i : i + 4]) for i in range(0, len(cells), 4))
    return result.fault._replace(detail=(*result.fault.detail, *lines))


def to_json(
    args: argparse.Namespace, target: str, result: RunResult | None, found: Sequence[Diagnostic]
) -> dict[str, Any]:
    document: dict[str, Any] = {"extension": args.extension, "target": target}
    if result is not None:
        document |= {
            "calls": [
                {"call": r.call, "type": r.type.name, "value": in_json(r.value), "text": r.text}
                for r in result.returned
            ],
            "output": result.output,
            "host_calls": [
                {"name": c.name, "arguments": [in_json(a) for a in c.arguments], "result": in_json(c.result)}
                for c in result.calls
            ],
            "backtrace": [frame.to_json() for frame in result.backtrace],
            "registers": dict(result.registers),
            "clock_us": result.clock_us,
            **measure.to_json(result),
            "heap": {"used": result.heap_used, "peak": result.heap_peak},
            "seconds": round(result.seconds, 6),
        }
    return document | {"diagnostics": diagnostics_to_json(found)}


def in_json(value: Any) -> Any:
    """JSON has neither infinities nor bytes nor structures."""
    value = plain(value)
    if isinstance(value, dict):
        return {name: in_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [in_json(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


class Screen:
    """The extension's output as text, as it comes; knows whether a line is open. ``stream`` None: shows nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._open = False

    def write(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        if self._stream and text:
            self._open = not text.endswith("\n")
            print(text, end="", file=self._stream)

    def end_line(self) -> None:
        if self._open:
            self.print("")

    def print(self, line: str) -> None:
        self._open = False
        if self._stream:
            print(line, file=self._stream)
