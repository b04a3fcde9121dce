"""`monitor`: what a person asks the host from inside the debugger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """``answer()`` gives whole lines."""

    summary: str
    answer: Callable[[], str]


class Monitor:
    """Carries out `monitor` commands by their names, which may be shortened."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = {"help": Command("list these commands", self._help), **commands}

    def __call__(self, text: str) -> str:
        word = text.strip() or "help"
        found = [command for name, command in self._commands.items() if name.startswith(word)]
        return found[0].answer() if len(found) == 1 else f"there is no `monitor {word}`\n{self._help()}"

    def _help(self) -> str:
        width = max(map(len, self._commands))
        return "".join(f"monitor {name:{width}}  {command.summary}\n" for name, command in self._commands.items())
