"""Where in the lists of a project a test is defined: CTest knows the calls that led to it."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from llext_tools.build.process import environment, find_tool
from llext_tools.errors import LlextError

OURS = "llext_add_test"


def place_of_test(build: Path, name: str) -> tuple[str, int] | None:
    """File and line of the call of ``llext_add_test()``, of ``add_test()`` where a project calls that itself.

    None of a test that is a step of the build, of which CTest knows nothing.
    """
    return _places(build).get(name)


@lru_cache(maxsize=64)
def _places(build: Path) -> dict[str, tuple[str, int]]:
    """Of all tests in a build folder; none where CTest does not tell."""
    found = {}
    with suppress(LlextError, OSError, ValueError, KeyError, TypeError, IndexError):
        command = [find_tool("ctest"), "--test-dir", str(build), "--show-only=json-v1"]
        done = subprocess.run(command, capture_output=True, check=False, env=environment())
        document = json.loads(done.stdout)
        for test in document["tests"]:
            calls = _calls(document["backtraceGraph"], test.get("backtrace"))
            if calls:
                found[test["name"]] = next((at for command, at in calls if command == OURS), calls[0][1])
    return found


def _calls(graph: dict[str, Any], index: int | None) -> list[tuple[str, tuple[str, int]]]:
    """The calls that led to a node of CTest's graph, the innermost first: the command, its file and line."""
    found = []
    while index is not None:
        node = graph["nodes"][index]
        if "command" in node:
            found.append((graph["commands"][node["command"]], (graph["files"][node["file"]], node["line"])))
        index = node.get("parent")
    return found
