"""``llext toolchain``: a target's compiler and flags, in the words of each build system (low level).

``toolchains/llext.cmake`` includes the answer for CMake; a Meson project takes that for Meson as its cross file, and a
makefile includes that for make.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Iterable

from llext_tools import __version__, arch, quote, toolchains
from llext_tools.arch.model import Target
from llext_tools.cli.cflags import add_root, add_target, root
from llext_tools.diag import fail
from llext_tools.files import write_atomically
from llext_tools.paths import atexit_source, merge_script
from llext_tools.toolchains import Toolchain

DESCRIPTION = """\
Print the compiler and the flags for a target, as a build system wants to read them: a
part of CMake's toolchain file, a cross file for Meson, variables for a makefile, or JSON."""
EXAMPLE = "llext toolchain --target cortex-m4 --root . --format meson -o cortex-m4.ini"
ROOTED = ("make", "meson")
"""The formats that --root is for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--format", choices=FORMATS, default="json", help="default: json")
    add_root(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of to the terminal")


def run(args: argparse.Namespace) -> int:
    target = arch.target(args.target)
    if args.root is not None and args.format not in ROOTED:
        cure = "CMake's toolchain file maps the folders by itself" if args.format == "cmake" else "add `--format make`"
        fail("usage", f"llext toolchain: --root is for --format {' and '.join(ROOTED)}", help=cure)
    text = FORMATS[args.format](target, toolchains.find(target, args.toolchain), root("toolchain", args))
    if args.output:
        write_atomically(args.output, text)
    else:
        print(text, end="")
    return 0


def to_json(target: Target, toolchain: Toolchain, _root: str) -> str:
    """Everything, for other programs."""
    answer = {
        "target": target.name,
        "toolchain": toolchain.name,
        "version": toolchain.version,
        "cc": toolchain.cc,
        "cxx": toolchain.cxx,
        "ld": toolchain.ld,
        "ar": toolchain.ar,
        "flags": {language: toolchains.flags(target, toolchain.name, language) for language in toolchains.LANGUAGES},
        "link": _link(target, toolchain),
    }
    return json.dumps(answer, indent=2) + "\n"


def to_make(target: Target, toolchain: Toolchain, root: str) -> str:
    """Variables for GNU make. In names of files a backslash is before each space: so make and shells read them."""
    words = {
        "LLEXT_CC": toolchain.cc,
        "LLEXT_CXX": toolchain.cxx,
        "LLEXT_AR": toolchain.ar,
        "LLEXT_LINK": _link(target, toolchain, root),
    }
    names: dict[toolchains.Language, str] = {"C": "LLEXT_CFLAGS", "CXX": "LLEXT_CXXFLAGS", "ASM": "LLEXT_ASFLAGS"}
    words |= {names[language]: toolchains.extension_flags(target, toolchain, language, root) for language in names}
    files = {"LLEXT_MERGE_SCRIPT": merge_script(), "LLEXT_ATEXIT": atexit_source()}
    values = {name: quote.make(shlex.join(value)) for name, value in words.items()}
    values |= {name: quote.make_file(path) for name, path in files.items()}
    return "\n".join([_head(target, toolchain), *(f"{name} := {value}" for name, value in values.items()), ""])


def to_meson(target: Target, toolchain: Toolchain, root: str) -> str:
    """A cross file. Meson links extensions by a command of their own, so it is among the programs."""
    family = target.clang_target.partition("-")[0]
    lines = [_head(target, toolchain), "[binaries]"]
    programs = {
        "c": toolchain.cc,
        "cpp": toolchain.cxx,
        "ar": toolchain.ar,
        "llext-link": _link(target, toolchain, root),
    }
    lines += [f"{name} = {quote.meson_list(words)}" for name, words in programs.items()]
    lines.append("[built-in options]")
    options: dict[str, toolchains.Language] = {"c_args": "C", "cpp_args": "CXX"}
    for name, language in options.items():
        more = toolchains.extension_flags(target, toolchain, language, root)
        if toolchain.name == "zig":
            more += (toolchains.UNUSED_FLAGS,)  # Meson assembles with the flags for C
        lines.append(f"{name} = {quote.meson_list(more)}")
    lines += [
        "buildtype = 'plain'",
        "b_staticpic = false",
        "b_pie = false",
        "[properties]",
        "skip_sanity_check = true",  # it would link a program
        f"llext_target = {quote.meson(target.name)}",
        f"llext_toolchain = {quote.meson(toolchain.name)}",
        f"llext_merge_script = {quote.meson(merge_script())}",
        "[host_machine]",
        "system = 'none'",
        f"cpu_family = {quote.meson(family)}",
        f"cpu = {quote.meson(target.name)}",
        "endian = 'little'",
    ]
    return "\n".join(lines) + "\n"


def to_cmake(target: Target, toolchain: Toolchain, _root: str) -> str:
    """The part of a CMake toolchain file that depends on the machine and the target.

    The flags are arguments of the compiler, where nothing that a project sets can replace them. CMake splits those at
    spaces, so the one that names a folder is an option of what is compiled.
    """
    lines = [_head(target, toolchain)]
    folders = [word for word in toolchain.cc if word.startswith(toolchains.RESOURCES)]
    lines += [
        f"set(CMAKE_SYSTEM_PROCESSOR {target.clang_target.partition('-')[0]})",
        f"set(LLEXT_TOOLCHAIN_FOUND {toolchain.name})",
        f"set(LLEXT_TOOLCHAIN_VERSION {toolchain.version})",
        f"set(LLEXT_TOOLCHAIN_MAPS {_list(f'{old}={new}' for old, new in toolchains.prefix_maps(toolchain).items())})",
        f"set(LLEXT_TOOLCHAIN_FOLDERS {_list(folders)})",
        f"set(LLEXT_TOOLCHAIN_PROGRAM {_path(toolchain.path)})",
        f"set(LLEXT_LINK_OPTIONS {_list(toolchains.link_options(toolchain.name))})",
    ]
    for language in toolchains.LANGUAGES:
        words = toolchain.cxx if language == "CXX" else toolchain.cc
        compiler = [word for word in words if word not in folders]
        flags = toolchains.flags(target, toolchain.name, language)
        lines += [
            f"set(CMAKE_{language}_COMPILER {_list((*compiler, *flags))})",
            f"set(LLEXT_{language}_FLAGS {quote.cmake(' '.join(flags))})",
        ]
    if toolchain.name == "gcc":
        lines.append('set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostdlib")')
    else:
        lines += [f"set({tool} {_path(toolchain.path)})" for tool in ("CMAKE_LINKER", "CMAKE_AR", "CMAKE_RANLIB")]
        lines += ["set(CMAKE_ASM_COMPILER_ID Clang)", f"set(CMAKE_ASM_COMPILER_VERSION {toolchain.version})"]
    return "\n".join(lines) + "\n"


def _head(target: Target, toolchain: Toolchain) -> str:
    return f"# {target.name} with {toolchain.name} {toolchain.version}; written by llext-tools {__version__}"


def _link(target: Target, toolchain: Toolchain, root: str = "") -> tuple[str, ...]:
    """The command of the partial link, but for its files. With -flto GCC compiles once more."""
    flags = toolchains.link_flags(target, toolchain.name, merge_script())
    maps = toolchains.map_options(toolchain, root) if root and toolchain.name == "gcc" else ()
    return (*toolchains.link_command(toolchain), *flags, *maps)


def _list(words: Iterable[str]) -> str:
    return quote.cmake_list(map(_slashes, words))


def _path(path: str) -> str:
    return quote.cmake(_slashes(path))


def _slashes(text: str) -> str:
    """Backslashes only separate folders here, and CMake wants slashes."""
    return text.replace("\\", "/")


FORMATS: dict[str, Callable[[Target, Toolchain, str], str]] = {
    "cmake": to_cmake,
    "json": to_json,
    "make": to_make,
    "meson": to_meson,
}
