"""What is said of all jobs of ``llext build`` when they have ended: a sentence, what else is to be known, JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from llext_tools.artifact import manifest_path
from llext_tools.build import Result, diagnose, diagnose_warnings, exit_code, noun, show_compiler_warnings
from llext_tools.cli.render import GREEN, RED, Paint, columns, diagnostics_to_json, wrap
from llext_tools.cli.rows import MARK, cells
from llext_tools.diag import number

WITHOUT_FIRMWARE = (
    "what they import is looked up once a firmware is named: EXPORTS of llext_add_extension(), "
    "or [[build.firmware]] of llext.toml"
)

JSON_KIND = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"exit_code"\s*:')
"""How the JSON begins."""


def summary(results: Sequence[Result], seconds: float) -> str:
    """One sentence over all rows."""
    passed = sum(result.passed for result in results)
    what = noun(results)
    plural = "" if len(results) == 1 else "s"
    took = f"in {seconds:.0f} s" if seconds >= 10 else f"in {seconds:.1f} s"
    if passed == len(results):
        built = sum(len(result.artifacts) for result in results)
        run = sum(len(result.tests) for result in results)
        held = sum(len(result.up_to_date) for result in results)
        made = f"{number(built, 'extension')} for {passed} {what}{plural} built and checked"
        if bare := sum(result.without_firmware for result in results):
            made += " without a firmware" if bare == built else f" ({bare:,} without a firmware)"
        tests = [f"{number(run, 'test')} run"] if run or not held else []
        tests += [f"{held if tests else number(held, 'test')} up to date"] if held else []
        return f"{made}, {', '.join(tests)} {took}"
    return f"{len(results) - passed} of {len(results)} {what}{plural} failed {took}" if passed else f"failed {took}"


def to_json(results: Sequence[Result], seconds: float) -> str:
    import json

    value = {
        "version": 1,
        "exit_code": exit_code(results),
        "seconds": round(seconds, 3),
        "jobs": [
            {
                "target": result.job.target,
                "toolchain": result.job.toolchain,
                "firmware": result.job.firmware.name if result.job.firmware else "",
                "preset": result.job.preset,
                "passed": result.passed,
                "seconds": {step.value: round(took, 3) for step, took in result.seconds.items()},
                "extensions": [
                    {
                        "name": path.stem,
                        "file": str(path),
                        "size": path.stat().st_size,
                        "checked_against": list(result.against.get(path, ())),
                        "manifest": manifest_path(path),
                    }
                    for path in result.artifacts
                    if path.exists()
                ],
                "tests": [
                    {"name": test.name, "passed": test.passed, "seconds": round(test.seconds, 3)}
                    for test in result.tests
                ],
                "up_to_date": list(result.up_to_date),
                "not_run": list(result.not_run),
                "compiler_warnings": list(result.compiler_warnings),
                "failures": [
                    {"step": f.step.value, "what": f.what, "codes": list(f.codes), "lines": list(f.lines)}
                    for f in result.failures
                ],
                "log": str(result.job.log),
            }
            for result in results
        ],
        "diagnostics": diagnostics_to_json([*diagnose_warnings(results), *diagnose(results)]),
    }
    return json.dumps(value, indent=1) + "\n"


def print_end(results: Sequence[Result], seconds: float, notes: Sequence[str]) -> None:
    """The sentence over all rows, then what else is to be known: warnings, tests that were not run, the notes."""
    print(f"\n{paint_summary(results, seconds)}")
    if any(cell.endswith(MARK) for result in results for cell in cells(result)):
        print_wrapped(f"{MARK} {WITHOUT_FIRMWARE}")
    for line in (*show_compiler_warnings(results), *tests_not_run(results), *notes):
        print_wrapped(line)


def tests_not_run(results: Sequence[Result]) -> list[str]:
    """With ``--keep-going``: how many tests there were for what was built, and which were left out."""
    return [
        f"{result.job.name}: {number(len(result.tests), 'test')} run, {len(result.not_run)} not, "
        f"for their extensions were not built: {', '.join(result.not_run)}"
        for result in results
        if result.not_run
    ]


def print_wrapped(text: str) -> None:
    """A line of prose, broken between words where the screen ends; what follows stands deeper."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    print("\n".join(wrap(text, columns(), indent)))


def paint_summary(results: Sequence[Result], seconds: float) -> str:
    """The sentence in the colour of its news, in two lines where it needs them."""
    text = summary(results, seconds)
    lines = [text] if len(text) <= columns() else text.replace(", ", ",\n  ", 1).split("\n")
    paint, colour = Paint(sys.stdout), GREEN if all(r.passed for r in results) else RED
    return "\n".join(paint(line, colour) for line in lines)
