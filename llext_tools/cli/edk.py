"""``llext edk``: what extensions are compiled with for an EDK (low level), which ``llext_import_edk()`` includes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from llext_tools import arch, quote, toolchains
from llext_tools.cli.cflags import add_target
from llext_tools.cli.render import report
from llext_tools.diag import Location, Reporter, fail
from llext_tools.edk import Adapted, Edk, adapt, read_edk, targets_of
from llext_tools.edk.read import PLAIN

DESCRIPTION = """\
Read an EDK, the headers and flags of one firmware that Zephyr's `west build -t llext-edk` packs, and
print what extensions are compiled with. An archive is unpacked once, in the user's cache. Flags
that the compiler does not know are warnings."""
EXAMPLE = "llext edk llext-edk.tar.xz --toolchain gcc --format cmake"

SPECIAL = {">": "$<ANGLE-R>", ",": "$<COMMA>"}
"""What means something in CMake's generator expressions, and how it is written there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("edk", metavar="EDK", help="its folder, or the archive: .tar.xz, .tar.Z, .tar.gz, .zip")
    add_target(parser, "by the EDK's flags")
    parser.add_argument("--strict", action="store_true", help="take warnings for errors")
    parser.add_argument("--format", choices=("cmake", "json"), default="json", help="default: json")
    parser.add_argument("-o", "--output", default="", metavar="DIR", help="unpack an archive below this folder")


def run(args: argparse.Namespace) -> int:
    wanted = arch.target(args.target) if args.target else None
    edk = read_edk(args.edk, args.output)
    target = wanted or arch.target(_target(edk))
    toolchain = toolchains.find(target, args.toolchain)
    adapted = adapt(edk, target, toolchain)
    reporter = Reporter()
    reporter.add(each._replace(severity="error") if args.strict else each for each in adapted.findings)
    reporter.checkpoint()
    if reporter.diagnostics:
        report(reporter.diagnostics)
    print(to_json(edk, target.name, adapted) if args.format == "json" else to_cmake(edk, adapted))
    return 0


def _target(edk: Edk) -> str:
    """The target that fits, or the first that does."""
    suited = targets_of(edk)
    if not suited:
        text = "the flags of the EDK name no CPU"
        fail("edk-target", text, at=Location(edk.file), help="give --target: `llext targets` lists them")
    return suited[0]


def to_json(edk: Edk, target: str, adapted: Adapted) -> str:
    return json.dumps(
        {
            "folder": edk.folder,
            "board": edk.board,
            "target": target,
            "definitions": adapted.defines,
            "include_directories": adapted.includes,
            "files": [{"option": option, "file": file} for option, file in adapted.files],
            "options": adapted.options,
            "dropped": [{"flag": word, "why": why} for word, why in adapted.dropped],
            "unknown": adapted.unknown,
        },
        indent=2,
    )


def to_cmake(edk: Edk, adapted: Adapted) -> str:
    """Variables: each is a list of words, as properties take them."""
    every = [f"-isystem{folder}" for folder in adapted.includes]
    every += [option + file for option, file in adapted.files]
    passed_on = [each for each in adapted.defines if PLAIN.fullmatch(each)]
    every += [f"-D{each}" for each in adapted.defines if each not in passed_on]
    lines = [
        f"set(LLEXT_EDK_FOLDER {quote.cmake(edk.folder)})",
        f"set(LLEXT_EDK_BOARD {quote.cmake(edk.board)})",
        f"set(LLEXT_EDK_DEPENDS {quote.cmake_list(edk.depends)})",
        f"set(LLEXT_EDK_DEFINITIONS {_words(passed_on)})",
        f"set(LLEXT_EDK_OPTIONS {_words(every)})",
    ]
    # The folder of the headers is another one on each machine: no name of it gets into an extension.
    # Compilers would take the first equals sign in it for its end.
    maps = [] if "=" in edk.folder else [f"-ffile-prefix-map={edk.folder}=edk"]
    lines += [f"set(LLEXT_EDK_OPTIONS_{name} {_words([*flags, *maps])})" for name, flags in adapted.options.items()]
    return "\n".join(lines)


def _words(words: Iterable[str]) -> str:
    """A list of words that come through generator expressions as they are."""
    return quote.cmake_list("".join(SPECIAL.get(letter, letter) for letter in word) for word in words)
