"""An up-to-date `llext build` of 10 extensions for all targets, against the same `cmake --build` calls."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

EXTENSIONS = 10


def project(folder: Path) -> None:
    """A project of ten extensions, with a test of each."""
    folder.mkdir()
    lists = ["cmake_minimum_required(VERSION 3.25)", "project(ten LANGUAGES C)", "find_package(LlextTools REQUIRED)"]
    for i in range(EXTENSIONS):
        text = f"#include <llext/symbol.h>\nint f{i}(void) {{ return {i}; }}\nEXPORT_SYMBOL(f{i});\n"
        (folder / f"e{i}.c").write_text(text, encoding="utf-8")
        lists.append(f"llext_add_extension(e{i} SOURCES e{i}.c)")
        lists.append(f'llext_add_test(e{i}_runs EXTENSION e{i} CALL "f{i}()" EXPECT_RETURN {i})')
    (folder / "CMakeLists.txt").write_text("\n".join(lists) + "\n", encoding="utf-8")


def cmake_calls(folder: Path, at_a_time: int) -> list[str]:
    """`cmake --build` for each build folder that is there, in a loop of the shell or so many at a time."""
    cmake = Path(sys.executable).with_name("cmake")
    tool = shlex.quote(str(cmake) if cmake.exists() else shutil.which("cmake") or "cmake")
    names = " ".join(shlex.quote(str(path)) for path in sorted((folder / "build").iterdir()) if path.is_dir())
    if at_a_time == 1:
        return ["sh", "-c", f"set -e; for folder in {names}; do {tool} --build $folder >/dev/null; done"]
    return ["sh", "-c", f"printf '%s\\n' {names} | xargs -P {at_a_time} -n 1 {tool} --build >/dev/null"]
