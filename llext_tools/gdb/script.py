"""What a debugger is told to begin with: a script for GDB, and an entry for Visual Studio Code.

The files with symbols are executables with final addresses: GDB takes them as they are, without an address.
Source: the GDB manual, "Commands to Specify Files"; "Configure C/C++ debugging" of Visual Studio Code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from llext_tools.diag import fail

PROGRAM = "gdb-multiarch"


class Program(NamedTuple):
    """What is debugged.

    Args:
        symbols: paths of ELF files, the one that the program is called by last.
        folders: where sources are whose names are relative.
    """

    architecture: str
    symbols: Sequence[str]
    folders: Sequence[str] = ()


def commands(program: Program) -> list[str]:
    """What makes GDB know the program."""
    *others, main = map(quoted, program.symbols)
    folders = [f"directory {quoted(path)}" for path in reversed(program.folders)]  # the last one is searched first
    more = [f"add-symbol-file {path}" for path in others]
    return [f"set architecture {program.architecture}", *folders, f"file {main}", *more]


def script(program: Program, address: str) -> str:
    """A GDB script that ends in front of the first instruction."""
    silently = ["set confirm off", *commands(program), "set confirm on"]
    return "\n".join([*silently, f"target remote {address}", ""])


def quoted(path: str) -> str:
    """A path as one word of a GDB command."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configuration(name: str, program: Program, address: str) -> dict[str, Any]:
    """An entry of ``launch.json`` for the debugger of Microsoft's C/C++ extension."""
    first = [text for text in commands(program) if not text.startswith("file ")]
    return {
        "name": name,
        "type": "cppdbg",
        "request": "launch",
        "program": program.symbols[-1],
        "cwd": "${workspaceFolder}",
        "MIMode": "gdb",
        "miDebuggerPath": PROGRAM,
        "miDebuggerServerAddress": address,
        "setupCommands": [{"text": text} for text in first],
    }


def with_configuration(text: str, path: str, entry: dict[str, Any]) -> str:
    """A ``launch.json`` with an entry more, or with another one under its name; everything else stays.

    Args:
        text: of the file, empty if there is none.
        path: for messages.
    Raises:
        UsageError: ``usage``: it is not plain JSON; comments would be lost.
    """
    try:
        document: Any = json.loads(text) if text.strip() else {"version": "0.2.0"}
        entries = document.setdefault("configurations", [])
        at = next((i for i, each in enumerate(entries) if each.get("name") == entry["name"]), len(entries))
        entries[at : at + 1] = [entry]
    except (ValueError, AttributeError, TypeError):
        what = f"llext debug: `{path}` is not plain JSON: comments would be lost"
        fail("usage", what, help="add this to its `configurations`: " + json.dumps(entry))
    return json.dumps(document, indent=4) + "\n"
