"""``llext cmake-dir``: where CMake finds the package. Without arguments ``cli.dispatch()`` answers by itself."""

from __future__ import annotations

import argparse

from llext_tools.paths import cmake_dir, cmake_prefix

DESCRIPTION = "Print the folder that holds LlextToolsConfig.cmake."
EXAMPLE = """
cmake -S . -B build -DLlextTools_DIR="$(llext cmake-dir)" \\
  -DCMAKE_TOOLCHAIN_FILE="$(llext cmake-dir)/toolchains/llext.cmake" \\
  -DLLEXT_TARGET=cortex-m4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", action="store_true", help="print the folder for CMAKE_PREFIX_PATH instead")


def run(args: argparse.Namespace) -> int:
    print(cmake_prefix() if args.prefix else cmake_dir())
    return 0
