"""``llext toolchain``: a target's compiler and flags (low level), which ``toolchains/llext.cmake`` includes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from llext_tools import __version__, arch, toolchains
from llext_tools.arch.base import Target
from llext_tools.toolchains import Toolchain

DESCRIPTION = "Print the compiler and the flags for a target, as the CMake toolchain file needs them."
EXAMPLE = "llext toolchain --target cortex-m4 --toolchain gcc --format cmake"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, metavar="TARGET", help="see `llext targets`")
    parser.add_argument("--toolchain", default="auto", metavar="NAME", help="gcc, zig or auto (default)")
    parser.add_argument("--format", choices=("cmake", "json"), default="json", help="default: json")


def run(args: argparse.Namespace) -> int:
    target = arch.target(args.target)
    toolchain = toolchains.find(target, args.toolchain)
    if args.format == "json":
        print(
            json.dumps(
                {
                    "target": target.name,
                    "toolchain": toolchain.name,
                    "version": toolchain.version,
                    "cc": toolchain.cc,
                    "cxx": toolchain.cxx,
                    "ld": toolchain.ld,
                    "ar": toolchain.ar,
                    "flags": {lang: toolchains.flags(target, toolchain.name, lang) for lang in toolchains.LANGUAGES},
                },
                indent=2,
            )
        )
    else:
        print(to_cmake(target, toolchain), end="")
    return 0


def to_cmake(target: Target, toolchain: Toolchain) -> str:
    """The part of a CMake toolchain file that depends on the machine and the target."""
    lines = [f"# {target.name} with {toolchain.name} {toolchain.version}; written by llext-tools {__version__}"]
    lines += [
        f"set(CMAKE_SYSTEM_PROCESSOR {target.clang_target.partition('-')[0]})",
        f"set(LLEXT_TOOLCHAIN_FOUND {toolchain.name})",
        f"set(LLEXT_TOOLCHAIN_VERSION {toolchain.version})",
        f"set(LLEXT_TOOLCHAIN_MAPS {_list(f'{old}={new}' for old, new in toolchains.prefix_maps(toolchain).items())})",
        f"set(LLEXT_TOOLCHAIN_PROGRAM {_quoted(toolchain.path)})",
    ]
    for language in toolchains.LANGUAGES:
        compiler = toolchain.cxx if language == "CXX" else toolchain.cc
        flags = toolchains.flags(target, toolchain.name, language)
        lines += [
            f"set(CMAKE_{language}_COMPILER {_list(compiler)})",
            f"set(CMAKE_{language}_FLAGS_INIT {_quoted(' '.join(flags))})",
        ]
    if toolchain.name == "gcc":
        lines.append('set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostdlib")')
    else:
        lines += [f"set({tool} {_quoted(toolchain.path)})" for tool in ("CMAKE_LINKER", "CMAKE_AR", "CMAKE_RANLIB")]
        lines += ["set(CMAKE_ASM_COMPILER_ID Clang)", f"set(CMAKE_ASM_COMPILER_VERSION {toolchain.version})"]
    return "\n".join(lines) + "\n"


def _list(words: Iterable[str]) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(text: str) -> str:
    """A CMake string; backslashes only separate folders here, and CMake wants slashes."""
    text = text.replace("\\", "/").replace('"', '\\"').replace("$", "\\$").replace(";", "\\;")
    return f'"{text}"'
