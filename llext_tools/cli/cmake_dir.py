"""``llext cmake-dir``: where CMake finds the package. Without arguments ``cli.dispatch()`` answers by itself."""

from __future__ import annotations

import argparse

from llext_tools.paths import cmake_dir, cmake_prefix, include_dir

DESCRIPTION = "Print the folder that holds LlextToolsConfig.cmake."
EXAMPLE = """
cmake -S . -B build -DLlextTools_DIR="$(llext cmake-dir)" \\
  -DCMAKE_TOOLCHAIN_FILE="$(llext cmake-dir)/toolchains/llext.cmake" \\
  -DLLEXT_TARGET=cortex-m4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", action="store_true", help="print the folder for CMAKE_PREFIX_PATH instead")
    parser.add_argument("--include", action="store_true", help="print the folder of <llext/symbol.h> instead")


def run(args: argparse.Namespace) -> int:
    print(include_dir() if args.include else cmake_prefix() if args.prefix else cmake_dir())
    return 0
