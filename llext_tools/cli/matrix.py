"""How ``llext build`` and ``llext demo`` choose their jobs, run them and show them."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from llext_tools.build import (
    Firmware,
    Job,
    Options,
    Result,
    build,
    cores,
    diagnose,
    diagnose_warnings,
    exit_code,
)
from llext_tools.build.folders import alone, check_files, check_folders
from llext_tools.build.output import read_text
from llext_tools.cli.render import report
from llext_tools.cli.results import JSON_KIND, summary, to_json
from llext_tools.cli.rows import view
from llext_tools.cli.summary import PAGE_KIND, append_to, to_markdown
from llext_tools.diag import fail
from llext_tools.errors import LlextError, ToolError
from llext_tools.files import spare_other, write_atomically
from llext_tools.jobs import job_name

EXIT_CODES = "The exit code is that of the class which all failures share, 12 if their classes differ."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both commands take."""
    parser.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="a CPU of `llext targets`; may be repeated; default: all that a toolchain is installed for",
    )
    parser.add_argument(
        "--toolchain",
        action="append",
        metavar="C",
        help="gcc, zig or auto (gcc if it is installed, else zig); may be repeated; default: auto",
    )
    parser.add_argument("--profile", metavar="NAME", help="the loader (`llext profiles`); default: the project's")
    parser.add_argument(
        "-j", "--jobs", type=_positive, metavar="N", help="processes at a time; default: one for each core"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results of all targets, as JSON")
    parser.add_argument(
        "-k",
        "--keep-going",
        action=argparse.BooleanOptionalAction,
        help="go on after a failure, to see all failures of a target",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive number")
    return int(text)


def choose_jobs(
    args: argparse.Namespace, build_dir: Path, output: Path, firmware: Sequence[Firmware] = ()
) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """The jobs that the arguments ask for, and lines about targets that are left out for want of a toolchain.

    Raises:
        UsageError: there is no such target, toolchain or loader profile.
        ToolError: a target that was asked for has no toolchain, or no target has one.
    """
    from llext_tools import profile as profiles
    from llext_tools import toolchains
    from llext_tools.arch import target, targets

    if args.profile:
        profiles.load(args.profile)
    wanted = [target(name) for name in args.target] if args.target else list(targets().values())
    jobs: dict[str, Job] = {}
    missing: dict[str, list[str]] = {}  # how to install -> targets
    error: ToolError | None = None
    for name in args.toolchain or ["auto"]:
        for each in wanted:
            try:
                found = toolchains.find(each, name)
            except ToolError as absent:
                if args.target:
                    raise
                error = error or absent
                missing.setdefault(absent.diagnostics[0].help, []).append(each.name)
                continue
            for image in suiting(each.name, firmware):
                folder = job_name(each.name, found.name, image.name if image else "")
                job = Job(
                    target=each.name,
                    toolchain=found.name,
                    build=build_dir / folder,
                    output=output / folder,
                    firmware=image,
                    programs=found.programs,
                )
                jobs.setdefault(folder, job)
    if error is not None and not jobs:
        raise error
    if not jobs:
        names = ", ".join(each.name for each in wanted)
        fail("usage", f"no firmware is for {names}", help="the key `target` of each firmware says which it is for")
    notes = (f"not built: {', '.join(names)}; to build them: {how}" for how, names in missing.items())
    return tuple(jobs.values()), tuple(notes)


def suiting(target: str, firmware: Sequence[Firmware]) -> Sequence[Firmware | None]:
    """The firmwares for a target; None stands for none at all."""
    return [each for each in firmware if not each.targets or target in each.targets] if firmware else [None]


def options_of(args: argparse.Namespace, source: Path, define: Sequence[str] = ()) -> Options:
    return Options(
        source=source,
        cores=args.jobs or cores(),
        keep_going=bool(args.keep_going),
        run=getattr(args, "run_tests", None) is not False,
        rerun=getattr(args, "rerun", False),
        heap=getattr(args, "heap", None) or "",
        profile=args.profile or "",
        define=tuple(define),
    )


def run_jobs(jobs: Sequence[Job], args: argparse.Namespace, options: Options) -> tuple[list[Result], int]:
    """Build all jobs and show them; then write the files that were asked for, and print what failed on stderr.

    Returns:
        The results, and the exit code: if nothing else failed, that of a file that cannot be written.
    Raises:
        UsageError: ``usage``: CMake cannot use a folder or file, or another build is at work there, or a file to be
            written is there and none of ours.
    """
    check_folders([options.source, *(folder for job in jobs for folder in (job.build, job.output))])
    check_files(os.path.abspath(path) for job in jobs if job.firmware for path in job.firmware.paths)
    page_file = getattr(args, "summary", None) or ""  # `llext demo` has none
    spare_other(args.json or "", JSON_KIND, "result of a build", "--json")
    spare_other(page_file, PAGE_KIND, "page of a build's results", "--summary")
    start = time.monotonic()
    with alone(dict.fromkeys(job.build for job in jobs)), view(jobs) as table:
        results = list(build(jobs, options, table.observe))
    took = time.monotonic() - start
    page = to_markdown(results, summary(results, took))
    problems = [*diagnose_warnings(results), *diagnose(results)]
    try:
        append_to(os.environ.get("GITHUB_STEP_SUMMARY", ""), page)
    except LlextError as error:  # the service has named it, and the build is what was asked for
        problems += [each._replace(severity="warning") for each in error.diagnostics]
    code = exit_code(results)
    for path, text in ((args.json, to_json(results, took)), (page_file, page)):
        try:
            if path:
                write_atomically(path, text)
        except LlextError as error:
            problems += error.diagnostics
            code = code or error.exit_code
    sys.stdout.flush()
    if problems:
        print(file=sys.stderr)
        report(problems)
    return results, code


def project(folder: str) -> Path:
    """The folder of a CMake project.

    Raises:
        UsageError: it has no CMakeLists.txt.
    """
    source = Path(folder).resolve()
    if not source.is_dir():
        fail("usage", f"there is no folder `{folder}`", help="`llext new NAME` makes a project")
    if not (source / "CMakeLists.txt").is_file():
        above = next(filter(_is_project, source.parents), None)
        cure = "`llext new NAME` makes a project, `llext demo` a folder of samples"
        if above:
            where = shlex.quote(os.path.relpath(above))
            cure = "the project is above: `llext build" + ("`" if where == "." else f" {where}`")
        fail("usage", f"`{folder}` is not a CMake project: it has no CMakeLists.txt", help=cure)
    return source


def _is_project(folder: Path) -> bool:
    text = read_text(folder / "CMakeLists.txt") or ""
    return re.search(r"^\s*project\s*\(", text, re.IGNORECASE | re.MULTILINE) is not None
