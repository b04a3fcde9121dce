"""``llext build``: a CMake project, built, checked and run for each target."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from llext_tools.build import Firmware, Job, honoured_presets, keep_presets
from llext_tools.build.cache import variable
from llext_tools.build.folders import check_own
from llext_tools.cli import matrix, settings, settings_build
from llext_tools.cli.annotate import annotate
from llext_tools.cli.github import at_work
from llext_tools.cli.parser import choice_help
from llext_tools.cli.results import print_end
from llext_tools.cli.settings_build import BuildSettings
from llext_tools.cli.signals import ends_like_ctrl_c
from llext_tools.diag import fail
from llext_tools.errors import LlextError
from llext_tools.files import is_utf8
from llext_tools.paths import BUILD, OUTPUT, shown

DESCRIPTION = (
    "Build the extensions of a CMake project, check them, and run their tests in the emulator, for each target and "
    "firmware. What the command line does not say, the table [build] of llext.toml may say.\n\n" + matrix.EXIT_CODES
)
EXAMPLE = """
llext build                                        # all targets, into dist/
llext build hello --target cortex-m4 --toolchain zig
llext build --firmware release=v1.elf --firmware next=v2.elf
llext build --preset debug --preset release        # of CMakePresets.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", nargs="?", default=".", metavar="DIR", help="the project; default: this folder")
    matrix.add_arguments(parser)
    parser.add_argument(
        "--preset",
        action="append",
        metavar="NAME",
        help="a configure preset of the project, in place of targets; may be repeated",
    )
    parser.add_argument(
        "--firmware",
        action="append",
        metavar="FILE",
        help="what the extensions are for: an ELF file, a table, or NAME=FILE; may be repeated: each name is a build",
    )
    parser.add_argument("--heap", metavar="HEAP", help="the heap of extensions, for their check, such as 8K")
    parser.add_argument(
        "--no-run", dest="run_tests", action="store_false", default=None, help="build and check, run no tests"
    )
    parser.add_argument("--rerun", action="store_true", help="run also tests that have passed with the same files")
    parser.add_argument(
        "--summary", metavar="FILE", help="write the results as Markdown; $GITHUB_STEP_SUMMARY gets them anyway"
    )
    parser.add_argument("--run", dest="run_tests", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", metavar="FOLDER", help="where the extensions go; default: DIR/dist")
    parser.add_argument("--build-dir", metavar="FOLDER", help="where to build, with the logs; default: DIR/build")
    parser.add_argument(
        "-D",
        dest="define",
        action="append",
        type=definition,
        default=[],
        metavar="NAME=VALUE",
        help="a variable for CMake",
    )
    parser.add_argument("--settings", metavar="FILE", help="not the nearest llext.toml; `--no-settings`: none")
    parser.add_argument("--no-settings", action="store_true", help=argparse.SUPPRESS)


def definition(text: str) -> str:
    """What CMake takes after ``-D``: ``NAME=VALUE`` or ``NAME:TYPE=VALUE``."""
    if not re.match(r"[^\s=:]+(:(BOOL|PATH|FILEPATH|STRING|INTERNAL|UNINITIALIZED))?=", text):
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE or NAME:TYPE=VALUE")
    if not is_utf8(text):  # a file of presets is written in UTF-8
        raise argparse.ArgumentTypeError(f"`{text}` is no text in UTF-8")
    return text


@ends_like_ctrl_c()
def run(args: argparse.Namespace) -> int:
    source = matrix.project(args.dir)
    path = args.settings or ("" if args.no_settings else settings.find(str(source)))
    chosen = settings_build.read(path) if path else BuildSettings()
    elsewhere = bool(args.build_dir)  # for this time: a preset would lead there for good
    chosen_here = (args.target, args.toolchain, args.firmware, args.preset, args.settings, args.no_settings)
    said = variables_said(args)
    firmware = merge(args, chosen)
    output = Path(args.output).absolute() if args.output else source / OUTPUT
    build_dir = Path(args.build_dir).absolute() if args.build_dir else source / BUILD
    notes: tuple[str, ...] = ()
    if args.preset:
        jobs = preset_jobs(args.preset, source, build_dir, output)
    else:
        jobs, notes = matrix.choose_jobs(args, build_dir, output, firmware)
        jobs = with_presets(jobs, source)
    check_own(source, jobs)
    check_defined(jobs, args.define)
    check_firmware(jobs)
    start = time.monotonic()
    checked_by = os.path.abspath(args.settings) if args.settings else "OFF" if args.no_settings else ""
    options = replace(matrix.options_of(args, source, args.define), said=said, settings=checked_by)
    results, code = matrix.run_jobs(jobs, args, options)
    try:
        if not elsewhere:
            keep_presets(results, options, every=not any(chosen_here))
    except LlextError as error:  # the build is what was asked for
        notes = (*notes, *(f"no presets for CMake: {found.message}" for found in error.diagnostics))
    print_end(results, time.monotonic() - start, notes)
    if any(result.passed and result.artifacts for result in results):
        print(f"extensions: {shown(output)}{'/*' if len(jobs) > 1 else '/' + jobs[0].name}/")
    if at_work() and (found := annotate(results, source)):
        print("\n".join(["", *found]))
    return code


def check_defined(jobs: Sequence[Job], define: Sequence[str]) -> None:
    """Say of a variable that zig would not go by it.

    Raises:
        UsageError: ``usage``.
    """
    name = next((name for name in map(variable, define) if name in settings_build.OF_ZIG), "")
    zig = next((job.name for job in jobs if job.toolchain == "zig"), "")
    if name and zig:
        text = f"`{name}` is for `llext build` to set where zig compiles, as for {zig}"
        fail("usage", text, help="build for gcc alone: `--toolchain gcc`")


def check_firmware(jobs: Sequence[Job]) -> None:
    """Say once, before anything is built, of a file that it is no firmware; of an image the jobs say what they find.

    Raises:
        ExportsError: ``exports-syntax``, ``exports-missing``: it is neither an image nor a table.
        FormatError: ``file-unreadable``.
    """
    for path in dict.fromkeys(path for job in jobs if job.firmware for path in job.firmware.files):
        start = b""
        with suppress(OSError), open(path, "rb") as file:
            start = file.read(18)
        if start[:4] != b"\x7fELF" or start[16:18] in (b"\1\0", b"\0\1"):  # ET_REL
            from llext_tools.host.firmware import read_firmware

            read_firmware([path])


def preset_jobs(names: Sequence[str], source: Path, build_dir: Path, output: Path) -> tuple[Job, ...]:
    """A job for each preset of the project.

    Raises:
        UsageError: ``usage``: CMake does not offer one of them.
    """
    there = sorted(honoured_presets(source))
    for name in names:
        if name not in there:
            others = choice_help(name, there) if there else "`cmake --list-presets` shows what there is"
            note = "CMake offers none that is hidden or whose condition does not hold"
            fail("usage", f"--preset: there is no configure preset `{name}` to use", notes=(note,), help=others)
        if not settings_build.NAME.fullmatch(name):
            fail("usage", f"--preset: `{name}` cannot be the name of a job: it names folders")
    folders = {name: (build_dir / name, output / name) for name in names}
    return tuple(
        Job(target="", toolchain="", build=build, output=out, preset=name) for name, (build, out) in folders.items()
    )


def with_presets(jobs: Sequence[Job], source: Path) -> tuple[Job, ...]:
    """The jobs; of those whose name a preset of the project has, it is the preset that is configured."""
    there = frozenset[str]()
    with suppress(LlextError):  # when they are written, it is said what is wrong with them
        there = honoured_presets(source)
    return tuple(replace(job, preset=job.name) if job.name in there else job for job in jobs)


def variables_said(args: argparse.Namespace) -> frozenset[str]:
    """The variables for CMake that the command line itself gives.

    Raises:
        UsageError: ``usage``: options that do not go together, or variables that are ours.
    """
    if args.preset and (args.target or args.toolchain or args.firmware):
        fail("usage", "--preset: the preset says what is built for; leave out --target, --toolchain and --firmware")
    for name in map(variable, args.define):
        if name in settings_build.OURS and not (args.preset and name in settings_build.OF_PRESETS):
            fail("usage", f"-D: `{name}` is for `llext build` to set", help=settings_build.OURS[name])
    options = {"LLEXT_PROFILE": args.profile, "LLEXT_HEAP": args.heap, "LLEXT_FIRMWARE": args.firmware}
    options["LLEXT_SETTINGS"] = args.settings or args.no_settings
    return frozenset(name for name, value in options.items() if value) | frozenset(map(variable, args.define))


def merge(args: argparse.Namespace, chosen: BuildSettings) -> tuple[Firmware, ...]:
    """Fill the arguments with what the settings say where the command line does not, and return the firmwares.

    Raises:
        UsageError: ``usage``.
    """
    args.target = args.target or chosen.targets
    args.toolchain = args.toolchain or chosen.toolchains
    args.define = [*chosen.define, *args.define]  # of two alike CMake takes the last one
    for name in ("profile", "heap", "jobs", "output", "build_dir"):
        setattr(args, name, getattr(args, name) or getattr(chosen, name))
    args.keep_going = chosen.keep_going if args.keep_going is None else args.keep_going
    args.run_tests = chosen.run if args.run_tests is None else args.run_tests
    return firmware_of(args.firmware) if args.firmware else chosen.firmware


def firmware_of(words: Sequence[str]) -> tuple[Firmware, ...]:
    """``NAME=FILE`` or ``FILE``, which is named by its stem; files of one name belong together.

    Raises:
        UsageError: ``usage``.
    """
    files: dict[str, list[str]] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or os.path.exists(word):
            name, path = Path(word).stem, word
        if not settings_build.NAME.fullmatch(name):
            fail("usage", f"--firmware: `{name}` cannot be the name of a firmware: it names folders")
        if not os.path.isfile(path):
            fail("usage", f"--firmware: there is no file `{path}`")
        files.setdefault(name, []).append(path)
    return tuple(Firmware(name=name, files=tuple(paths)) for name, paths in files.items())
