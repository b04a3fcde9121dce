"""No message without a test: what the CMake files can say is compared with what the tests of this folder expect.

A message counts as tested if its longest part without variables stands in a string of a test. That the test provokes it
is the test's business.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llext_tools import cmake_dir

CMAKE = Path(cmake_dir())
FILES = sorted([*CMAKE.rglob("*.cmake"), *CMAKE.rglob("*.cmake.in")])
MESSAGE = re.compile(
    r"message\((?:FATAL_ERROR|SEND_ERROR|WARNING|AUTHOR_WARNING|DEPRECATION)\s+\"((?:[^\"\\]|\\.)*)\""
    r"|set\(\S*(?:_NOT_FOUND_MESSAGE|_MISSING|_problems)\s+\"((?:[^\"\\]|\\.)+)\""
)
VARIABLE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}|\\n|\\t|@\w+@")
STARTS = ("${who}: ", "${llext_who}: ", "toolchains/llext.cmake: ", "llext_", "include(LlextZephyr): ")


def messages() -> Iterator[tuple[str, str, str]]:
    """File, call and text of each message."""
    for path in FILES:
        text = re.sub(r"#\[=+\[.*?\]=+\]", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for match in MESSAGE.finditer(text):
            yield path.relative_to(CMAKE).as_posix(), match[0].partition('"')[0], match[1] or match[2]


def literal(message: str) -> str:
    """The longest part without a variable."""
    parts = VARIABLE.split(message.replace('\\"', '"').replace("\\\\", "\\").replace("\\$", "$"))
    return max((" ".join(part.split()).strip(" :;,.'()") for part in parts), key=len)


def expected() -> str:
    """All strings of the tests, with something between them that is in no message."""
    found = []
    for path in Path(__file__).parent.glob("test_*.py"):
        if path.name != Path(__file__).name:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(" ".join(node.value.split()))
    return "\0".join(found)


MESSAGES = [row for row in messages() if literal(row[2])]


def test_there_are_messages() -> None:
    """Each call of message() that can end a configuration was found by the pattern, whatever its text is made of."""
    calls = sum(
        len(re.findall(r"^\s*message\((?:FATAL_ERROR|SEND_ERROR|WARNING)", path.read_text(encoding="utf-8"), re.M))
        for path in FILES
    )
    assert calls == sum("message(" in call for _, call, _ in messages())
    assert calls > 50


@pytest.mark.parametrize(("file", "text"), sorted({(file, text) for file, _, text in MESSAGES}))
def test_every_message_has_a_test(file: str, text: str) -> None:
    assert literal(text) in expected(), f"{file}: no test in tests/cmake expects this"


@pytest.mark.parametrize(("file", "text"), sorted({(f, text) for f, call, text in MESSAGES if "message(" in call}))
def test_every_message_names_its_command(file: str, text: str) -> None:
    """The command with its target, or the toolchain file."""
    assert text.startswith(STARTS)
