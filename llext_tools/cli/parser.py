"""The argument parser of one command. Imported only when a command is chosen."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from llext_tools.cli import COMMANDS, LOW_LEVEL
from llext_tools.cli.render import diagnostics_to_json
from llext_tools.diag import fail
from llext_tools.errors import LlextError


class Parser(argparse.ArgumentParser):
    """argparse, with errors as diagnostics: an unknown option brings the nearest one.

    Options must be spelt out: an abbreviation in a build script would break when a new option makes it ambiguous.
    """

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"llext {name}",
            description=description,
            epilog=f"example:\n{_indented(example)}",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse everything.

        Raises:
            UsageError: an argument is unknown, missing or malformed.
            SystemExit: ``--help`` was printed.
        """
        args, unknown = self.parse_known_args(arguments)
        if unknown:
            self._refuse(unknown)
        return args

    def error(self, message: str) -> NoReturn:
        message = message.replace("the following arguments are required: ", "missing argument: ")
        fail("usage", f"{self.prog}: {message}", help=f"`llext help {self.prog.split()[-1]}` shows the arguments")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's hook for ``choices``, whose wording differs between Python versions."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            near = nearest(str(value), choices)
            fail(
                "usage",
                f"{self.prog}: {'/'.join(action.option_strings) or action.dest} cannot be `{value}`",
                help=f"did you mean `{near}`?" if near else f"it is one of {', '.join(choices)}",
            )

    def _refuse(self, unknown: list[str]) -> NoReturn:
        option = next((u for u in unknown if u.startswith("-")), "")
        if not option:
            self.error(f"one argument too many: `{unknown[0]}`")
        option = option.partition("=")[0]
        near = nearest(option, self._option_string_actions)
        command = self.prog.split()[-1]
        fail(
            "usage",
            f"{self.prog}: there is no option `{option}`",
            help=f"did you mean `{near}`?" if near else f"`llext help {command}` lists the options",
        )


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's layout, narrower on the left, with a lower-case heading and the example left as it is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)


def parser_for(name: str) -> Parser:
    """The parser of a command.

    Raises:
        UsageError: there is no such command.
    """
    module = import_module(_table_row(name)[0])
    parser = Parser(name, module.DESCRIPTION, module.EXAMPLE)
    module.add_arguments(parser)
    return parser


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Parse and run; ``--help`` prints and gives 0. With ``--json`` a failure is JSON on stdout, too.

    Raises:
        LlextError: from parsing or from the command.
    """
    parser = parser_for(name)
    try:
        args = parser.parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        code: int = import_module(_table_row(name)[0]).run(args)
    except LlextError as error:
        if getattr(args, "json", None) is not True:
            raise
        print(json.dumps({"diagnostics": diagnostics_to_json(error.diagnostics)}, indent=2))
        return error.exit_code
    return code


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar of some words, ``""`` if none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1)), "")


def _table_row(name: str) -> tuple[str, str]:
    everything = {**COMMANDS, **LOW_LEVEL}
    if name not in everything:
        kind = "option" if name.startswith("-") else "command"
        near = nearest(name, ["--help", "--version"] if kind == "option" else list(everything))
        fail(
            "usage",
            f"llext: there is no {kind} `{name}`",
            help=f"did you mean `llext {near}`?" if near else "`llext --help` lists the commands",
        )
    return everything[name]


def _indented(example: str) -> str:
    return "\n".join(f"  {line}" for line in example.strip().splitlines())
