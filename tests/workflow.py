"""What GitHub Actions reads of an output: its workflow commands, with the escapes undone that its runner undoes."""

from __future__ import annotations

import re


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Kind, properties and message of each workflow command, as the runner reads them."""
    found = []
    for line in text.splitlines():
        command = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
        if command:
            pairs = dict(pair.split("=", 1) for pair in command[2].split(","))
            found.append((command[1], {k: unescaped(v) for k, v in pairs.items()}, unescaped(command[3])))
    return found


def unescaped(text: str) -> str:
    return re.sub("%(25|0D|0A|3A|2C)", lambda found: chr(int(found[1], 16)), text)
