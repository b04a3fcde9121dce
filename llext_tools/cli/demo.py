"""``llext demo``: the sample extensions, copied, built, checked and run."""

from __future__ import annotations

import argparse
import shlex
import shutil
import time
from pathlib import Path

from llext_tools import __version__
from llext_tools.cli import matrix
from llext_tools.cli.results import print_end, print_wrapped
from llext_tools.cli.signals import ends_like_ctrl_c
from llext_tools.diag import fail
from llext_tools.files import reason, write_cure
from llext_tools.paths import BUILD, OUTPUT, samples_dir

DESCRIPTION = (
    "Copy the sample extensions to a folder, build and check them for each target, and run them in the emulator.\n\n"
    + matrix.EXIT_CODES
)
EXAMPLE = """
llext demo                          # into ./llext-demo
llext demo --toolchain gcc --target cortex-m4
"""

MARK = ".llext-demo"  # tells our folder from any other, and of which version its samples are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", nargs="?", default="llext-demo", metavar="DIR", help="the folder to make; default: llext-demo"
    )
    matrix.add_arguments(parser)


@ends_like_ctrl_c()
def run(args: argparse.Namespace) -> int:
    folder = Path(args.dir).absolute()
    jobs, notes = matrix.choose_jobs(args, folder / BUILD, folder / OUTPUT)
    kept = copy_samples(folder, args.dir)
    names = sorted(path.name for path in folder.iterdir() if (path / "CMakeLists.txt").is_file())
    print_wrapped(f"{len(names)} samples in {args.dir}{' (already there)' if kept else ''}: {', '.join(names)}")
    print(flush=True)
    start = time.monotonic()
    results, code = matrix.run_jobs(jobs, args, matrix.options_of(args, folder))
    print_end(results, time.monotonic() - start, notes)
    good = next((result for result in results if result.passed), None)
    if good is not None:
        again = f"--target {good.job.target} --toolchain {good.job.toolchain}"
        which = f"--llext-target {good.job.target}"
        if sum(result.job.target == good.job.target for result in results) > 1:
            which += f" --llext-build-dir build/{good.job.name}"
        again += f" --profile {args.profile}" if args.profile else ""
        print(
            f"\nnext:\n"
            f"  cd {shlex.quote(args.dir)}\n"
            f"  llext run dist/{good.job.name}/hello.llext --call 'greet(\"you\")'\n"
            f"  llext inspect dist/{good.job.name}/cpp.llext\n"
            f"  llext build {again}  # after a change\n"
            f"  pytest {which}  # their tests\n"
        )
    return code


def copy_samples(folder: Path, name: str) -> bool:
    """Copy the samples, or find that they are there from an earlier call, perhaps edited: those are kept.

    Raises:
        UsageError: the folder has something else in it, or samples of another version.
    """
    mark = folder / MARK
    if mark.is_file():
        version = mark.read_text(encoding="utf-8").strip()
        if version != __version__:
            fail(
                "usage",
                f"`{name}` holds the samples of llext {version}, this is {__version__}",
                help="remove it, or name another folder: `llext demo DIR`",
            )
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail("usage", f"`{name}` is there already and not empty", help="name another folder: `llext demo DIR`")
    try:
        copy_tree(Path(samples_dir()), folder)
        mark.write_text(f"{__version__}\n", encoding="utf-8")
    except OSError as error:
        text = f"cannot copy the samples to `{name}`: {reason(error)}"
        fail("file-unwritable", text, help=write_cure(error, name))
    return False


def copy_tree(source: Path, folder: Path) -> None:
    """Copy files without their permissions: an installed package may be read-only, the copy is there to be edited."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name in (BUILD, OUTPUT, "__pycache__", ".pytest_cache"):  # of work in a checkout
            continue
        if path.is_dir():
            copy_tree(path, folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)
