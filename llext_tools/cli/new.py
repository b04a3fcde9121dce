"""``llext new``: a project with one extension that builds, passes its tests and makes a wheel, as it is."""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llext_tools import __version__, quote, templates
from llext_tools import arch as archs
from llext_tools.bundle.index import DEVICE
from llext_tools.diag import fail
from llext_tools.files import reason, write_all, write_cure

DESCRIPTION = (
    "Make a project: an extension, tests that call it from Python, a wheel that carries it for all targets, "
    "continuous integration. It builds and passes as it is."
)
EXAMPLE = """
llext new blink                   # then: cd blink; llext build
llext new filter --cpp --firmware build/zephyr/zephyr.elf
"""

TARGETS = ("cortex-m4", "cortex-m33", "rv32imac")
"""Of a project that says nothing else: one of each kind that boards have most."""

FOR_FIRMWARE = """
[[build.firmware]] # what the extension is checked against, and what its tests run on; there may be several
name = "board"
file = {}
"""
"""Behind ``llext.toml``, for a project with ``--firmware``."""

GOOD = re.compile(r"[a-z](_?[a-z0-9]+)*")
LONGEST = 40
TAKEN = frozenset(
    # words of C and C++, which Python has not as keywords; targets that CMake makes itself, and folders of the project;
    # packages that the project, llext and what it needs use, and what pytest calls its own
    """
    auto bool break case catch char class const constexpr default delete do double enum explicit export extern false
    float for friend goto if inline int long mutable namespace new nullptr operator private protected public register
    restrict return short signed sizeof static struct switch template this throw true try typedef typename union
    unsigned using virtual void volatile while
    all board build clean depend dist edit_cache help install main package printk python rebuild_cache src test tests
    cmake llext llext_tools ninja pip pytest request setuptools tox wheel ziglang
    bcrypt boolean cffi cryptography cyclonedx defusedxml elftools greenlet license_expression markdown_it mdurl numpy
    packageurl pycparser pycxxfilt pygments rich serializable sortedcontainers unicorn zstandard
    """.split()  # noqa: SIM905 - one line for each word would fill the page
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the extension and of the folder to make")
    parser.add_argument("--cpp", action="store_true", help="in C++ instead of C")
    parser.add_argument("--edk", metavar="EDK", help="compile with a firmware's headers: a folder or an archive")
    parser.add_argument("--firmware", metavar="ELF", help="check against this firmware, and run on its code")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="T",
        help=f"a CPU of `llext targets`; may be repeated; default: the firmware's, else {', '.join(TARGETS)}",
    )


def run(args: argparse.Namespace) -> int:
    check_name(args.name)
    folder = Path(args.name)
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        fail("usage", f"`{args.name}` is there already and not empty", help="choose another name, or remove it")
    if args.firmware:
        check_firmware(args.firmware)
    targets = list(dict.fromkeys(args.target)) or guess_targets(args.firmware, args.edk)
    for target in targets:
        archs.target(target)
    files = templates.fill(words(args, folder, targets))
    write_project(folder, files)
    print(f"{args.name}: {len(files)} files for {', '.join(targets)}")
    print(
        f"\nnext:\n"
        f"  cd {shlex.quote(args.name)}\n"
        f"  llext build  # {_of_all(targets)}\n"
        f"  pytest  # its tests, on {targets[0]}\n"
        f"  tox  # build and test, in an environment {'for each target' if targets[1:] else 'of its own'}\n"
        f"  pip wheel --no-deps .  # what others install"
    )
    return 0


def _of_all(targets: list[str]) -> str:
    if len(targets) == 1:
        return f"for {targets[0]}"
    return "for both targets" if len(targets) == 2 else f"for all {len(targets)} targets"


def check_name(name: str) -> None:
    """Refuse a name that C, CMake, Python or the Python Package Index would not take.

    Raises:
        UsageError: ``usage``, with one that all take.
    """
    taken = _is_taken(name)
    if GOOD.fullmatch(name) and len(name) <= LONGEST and not taken:
        return
    why = "it has a meaning of its own in C, CMake, Python or Windows"
    if not taken:
        why = f"a name has small letters, digits and single `_`, begins with a letter, and ends within {LONGEST}"
    near = proposal(name)
    fail("usage", f"llext new: `{name}` cannot be the name: {why}", help=f"how about `llext new {near}`?")


def proposal(name: str) -> str:
    """The nearest name that all take."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", os.path.basename(name.rstrip("/\\")))
    near = "_".join(re.findall(r"[a-z0-9]+", apart.lower()))
    near = near if near[:1].isalpha() else f"ext_{near}" if near else "blink"
    near = near[:LONGEST].rstrip("_")
    return f"{near[: LONGEST - 4]}_ext" if _is_taken(near) else near


def _is_taken(name: str) -> bool:
    known = name in TAKEN or keyword.iskeyword(name) or name in sys.stdlib_module_names
    return known or DEVICE.fullmatch(name) is not None


def check_firmware(path: str) -> None:
    """Refuse what a project cannot be checked against and run on.

    Raises:
        LlextError: it is no ELF file, an extension, or without exports.
    """
    from llext_tools.elf.read import load_object
    from llext_tools.host.firmware import require_image
    from llext_tools.host.tables import exports_of

    require_image(path, "tests run on its code: give its image, `zephyr.elf`; a table is for llext.toml")
    exports_of(load_object(path))


def guess_targets(firmware: str | None, edk: str | None) -> list[str]:
    """The targets that fit what the project is for.

    Raises:
        LlextError: the firmware or the EDK cannot be read, or no target fits.
    """
    if firmware:
        from llext_tools.elf.read import load_object
        from llext_tools.run import guess_target

        return [guess_target(load_object(firmware)).name]
    if edk:
        from llext_tools.edk import read_edk, targets_of

        return list(targets_of(read_edk(edk))[:1]) or list(TARGETS)
    return list(TARGETS)


def words(args: argparse.Namespace, folder: Path, targets: list[str]) -> dict[str, str]:
    """What stands for each word of the templates."""
    name = args.name
    board = ""
    if args.edk:
        board += f"\nllext_import_edk({_cmake(from_project(args.edk, folder))})"
    header = "#include <llext/host.h>\n#include <llext/symbol.h>"
    if args.edk:
        header = "#include <zephyr/kernel.h>\n#include <zephyr/llext/symbol.h>"
    # A firmware's printk() writes to a device, which not every emulation has: there the extension calls nobody.
    alone = bool(args.firmware)
    say = "" if alone else f'\t\tprintk("{name}: %d\\n", {"counter.count()" if args.cpp else "count"});\n'
    said = f'\n\ndef test_says_so({name}):\n    {name}.{name}_run(1)\n    assert {name}.host.output == "{name}: 1\\n"\n'
    firmware = from_project(args.firmware, folder) if args.firmware else ""
    return {
        "NAME": name,
        "PROJECT": name.replace("_", "-"),
        "VERSION": __version__,
        "LANGUAGE": "CXX" if args.cpp else "C",
        "SUFFIX": "cpp" if args.cpp else "c",
        "FEATURES": f"target_compile_features({name} PRIVATE cxx_std_17)\n" if args.cpp else "",
        "BOARD": board.removeprefix("\n") + "\n" if board else "",
        "IMAGES": FOR_FIRMWARE.format(quote.toml(firmware)) if firmware else "",
        "HEADERS": header,
        "SAY": say,
        "TESTS": "" if alone else said,
        "FIRMWARE": f", firmware={quote.python(firmware)}" if firmware else "",
        "FOR": f", checked against the firmware `{os.path.basename(firmware)}`" if firmware else "",
        "TARGET": targets[0],
        "TARGETS": ", ".join(targets),
        "QUOTED": ", ".join(f'"{target}"' for target in targets),
    }


def from_project(path: str, folder: Path) -> str:
    """A path as the project's files name it: from its folder on, so that both can be moved; in full from elsewhere.

    Elsewhere is where nothing above the project but the root, or a drive, is above the file, too.
    """
    whole, top = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    near = len(whole.parts) > 1 and whole.parts[:2] == top.parts[:2]
    return Path(os.path.relpath(whole, top) if near else whole).as_posix()


def _cmake(path: str) -> str:
    """A path as an argument for CMake, which makes variables and escapes of some characters."""
    return quote.cmake(path) if re.search(r"[^\w./+-]", path) else path


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files or none; folders that were made for them go again.

    Args:
        folder: it is empty, or not there.
    Raises:
        FormatError: ``file-unwritable``.
    """
    paths = [folder / name for name in files]
    above = {each for path in paths for each in path.parents if each == folder or folder in each.parents}
    missing = sorted(each for each in above if not each.exists())
    made: list[Path] = []
    try:
        for each in missing:
            each.mkdir()
            made.append(each)
        write_all(dict(zip(paths, files.values(), strict=True)))
    except BaseException as error:
        with suppress(OSError):  # what stays then could not be removed
            for path in paths:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            for each in reversed(made):
                each.rmdir()
        if isinstance(error, OSError):
            text = f"cannot write `{error.filename}`: {reason(error)}"
            fail("file-unwritable", text, help=write_cure(error, error.filename))
        raise
