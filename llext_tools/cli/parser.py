"""The argument parser of one command. Imported only when a command is chosen."""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import islice
from typing import Any, NoReturn

from llext_tools.cli import EVERY
from llext_tools.cli.named import advised, find_named, words_of
from llext_tools.cli.render import columns, diagnostics_to_json, wrap
from llext_tools.diag import fail, nearest
from llext_tools.errors import FormatError, LlextError

ADDRESS = re.compile(r"\s*(?:0[xX]0*([0-9a-fA-F]{1,16})|0*([0-9]{1,20}))\s*")


MEANT = {
    **dict.fromkeys(("--firmware", "--table", "--api", "--elf", "--kernel"), "--exports"),
    **dict.fromkeys(("--cpu", "--board", "--mcu"), "--target"),
    **dict.fromkeys(("--loader", "--zephyr"), "--profile"),
    "--kconfig": "--config",
}
"""Options that others would have called so."""


WRITTEN = (
    *("--output", "--json", "--map", "--bin", "--coverage", "--cpu-profile", "--trace", "--record"),
    *("--debug-file", "--manifest", "--listing", "--sbom", "--summary"),
)
"""Options that name a file to be written, in each command that has them."""


MAY_BE_EMPTY = (
    "--expect-output",  # any output
    "--target",  # of CMake, where LLEXT_TARGET is not set
)
"""Options that an empty word may be given to."""


class Parser(argparse.ArgumentParser):
    """argparse, with errors as diagnostics: an unknown option brings the nearest one.

    Options must be spelt out: an abbreviation in a build script would break when a new option makes it ambiguous.
    """

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(prog=f"llext {name}", description=description, add_help=False, allow_abbrev=False)
        self.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
        self.example = example.strip()
        self.interleaved = False
        """Whether operands may stand between options; ``args.before`` then tells each option's position."""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse everything.

        Raises:
            UsageError: an argument is unknown, missing or malformed.
            SystemExit: ``--help`` was printed.
        """
        before: dict[str, list[int]] = {}
        arguments = self._whole(arguments)
        if self.interleaved:
            arguments, before = self._sorted(arguments)
        args, unknown = self.parse_known_args(arguments)
        if unknown:
            self._refuse(unknown)
        args.before = before
        self._check_empty(args)
        self._check_written(args)
        return args

    def format_help(self) -> str:
        """Usage, description, one list of arguments and options, an example: made to fit a screen."""
        shown = [action for action in self._actions if action.help is not argparse.SUPPRESS]
        required = [_synopsis(action) for action in shown if action.required and action.option_strings]
        operands = [_synopsis(action) for action in shown if not action.option_strings]
        some = ["[OPTION...]"] if len(shown) > len(required) + len(operands) else []
        width = columns()
        lines = wrap(" ".join(["usage:", self.prog, *operands, *required, *some]), width, "  ")
        lines += ["", *_paragraphs(self.description or "", width), ""]
        rows = [(_left(action), (action.help or "") % vars(action)) for action in shown]
        margin = min(max((len(left) for left, _ in rows), default=0), 24) + 4
        for left, text in rows:
            first, *rest = wrap(text, width - margin, "")
            fits = len(left) + 4 <= margin
            lines += [f"  {left:{margin - 2}}{first}"] if fits else [f"  {left}", " " * margin + first]
            lines += [" " * margin + line for line in rest]
        lines += ["", "example:", *(f"  {line}" for line in self.example.splitlines())]
        return "\n".join(lines) + "\n"

    def print_help(self, file: Any = None) -> None:
        """As ``print()`` does it: argparse says nothing where the page cannot be written."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        message = message.replace("the following arguments are required: ", "missing argument: ")
        page = f"{self.prog} --help" if len(self.prog.split()) > 2 else self.prog.replace(" ", " help ")
        fail("usage", f"{self.prog}: {message}", help=f"`{page}` shows the arguments")

    def _check_empty(self, args: argparse.Namespace) -> None:
        """Refuse an empty word, as an unset variable of a script leaves it: the option would count as not given."""
        for action in self._actions:
            value = getattr(args, action.dest, None)
            given = value if isinstance(value, list) else [value]
            name = max(action.option_strings, key=len, default="")
            if "" in given and action.default != "" and name not in MAY_BE_EMPTY:
                what = action.metavar or action.dest.upper()
                cure = (
                    f"give it {what}, or leave it out" if name else "a variable of a script or a makefile may be unset"
                )
                fail("usage", f"{self.prog}: {name or what} is an empty word", help=cure)

    def _check_written(self, args: argparse.Namespace) -> None:
        """Refuse two options that would write the same file: the second would overwrite what the first has written."""
        taken: dict[str, str] = {}
        for option in WRITTEN:
            action = self._option_string_actions.get(option)
            path = getattr(args, action.dest) if action else None
            if isinstance(path, str) and path not in ("", "-"):
                other = taken.setdefault(os.path.realpath(path), option)
                if other != option:
                    fail("usage", f"{self.prog}: {other} and {option} would both write `{path}`")

    def _whole(self, arguments: Sequence[str]) -> list[str]:
        """The same with ``=`` behind each option that can go without a value: argparse would take the next word."""
        end = arguments.index("--") if "--" in arguments else len(arguments)
        words = list(arguments)
        for i, word in enumerate(words[:end]):
            action = self._option_string_actions.get(word)
            if action is not None and action.nargs == "?":
                words[i] = f"{word}={action.const}"
        return words

    def _sorted(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, list[int]]]:
        """Options, then operands; and for each time that an option is given, how many operands stood before it."""
        options: list[str] = []
        operands: list[str] = []
        before: dict[str, list[int]] = {}
        rest = iter(arguments)
        for word in rest:
            if word == "--":
                operands += rest
            elif not word.startswith("-") or word == "-":
                operands.append(word)
            else:
                name, equals, _ = word.partition("=")
                action = self._option_string_actions.get(name)
                options.append(word)
                if action is not None:
                    before.setdefault(action.dest, []).append(len(operands))
                    options += islice(rest, 0 if equals or action.nargs == 0 else 1)
        return [*options, "--", *operands], before

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's hook for ``choices``, whose wording differs between Python versions."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            fail(
                "usage",
                f"{self.prog}: {'/'.join(action.option_strings) or action.metavar or action.dest} cannot be `{value}`",
                help=choice_help(str(value), choices),
            )

    def _refuse(self, unknown: list[str]) -> NoReturn:
        option = next((u for u in unknown if u.startswith("-")), "")
        if not option:
            self.error(f"one argument too many: `{unknown[0]}`")
        option = option.partition("=")[0]
        near = MEANT.get(option, "")
        near = near if near in self._option_string_actions else nearest(option, self._option_string_actions)
        command = self.prog.split()[-1]
        fail(
            "usage",
            f"{self.prog}: there is no option `{option}`",
            help=f"did you mean `{near}`?" if near else f"`llext help {command}` lists the options",
        )


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
    gc.enable()

    def run(args: argparse.Namespace) -> int:
        find_named(name, args)
        try:
            code: int = import_module(_table_row(name)[0]).run(args)
        except FormatError as error:
            error.diagnostics = advised(error.diagnostics, words_of(name, args))
            raise
        return code

    return carry_out(run, args)


def carry_out(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command; with ``--json`` a failure is JSON on stdout.

    Raises:
        LlextError: from the command.
    """
    try:
        return run(args)
    except LlextError as error:
        if getattr(args, "json", None) is not True:
            raise
        print(json.dumps({"diagnostics": diagnostics_to_json(error.diagnostics)}, indent=2))
        return error.exit_code


def address(text: str, option: str) -> int:
    """A decimal or hexadecimal number of up to 64 bits, given with ``option``.

    Raises:
        UsageError: ``usage``.
    """
    found = ADDRESS.fullmatch(text)
    value = (int(found[1], 16) if found[1] else int(found[2])) if found else 1 << 64
    if value >> 64:
        fail("usage", f"{option}: `{text}` is not an address", help="write it as 0x20010000")
    return value


def choice_help(word: str, choices: Sequence[str]) -> str:
    """What was meant by a word that is none of some choices: all that begin so, or the most similar, or any."""
    near = [choice for choice in choices if word and choice.startswith(word)] or [nearest(word, choices)]
    return (
        f"did you mean {' or '.join(f'`{each}`' for each in near)}?"
        if near[0]
        else f"it is one of {', '.join(choices)}"
    )


def _table_row(name: str) -> tuple[str, str]:
    if name not in EVERY:
        kind = "option" if name.startswith("-") else "command"
        near = nearest(name, ["--help", "--version"] if kind == "option" else list(EVERY))
        fail(
            "usage",
            f"llext: there is no {kind} `{name}`",
            help=f"did you mean `llext {near}`?" if near else "`llext --help` lists the commands",
        )
    return EVERY[name]


def _synopsis(action: argparse.Action) -> str:
    """``[DIR]``, ``FILE...``, ``-o FILE``."""
    name = str(action.metavar or action.dest)
    if action.option_strings:
        return f"{action.option_strings[0]} {name}"
    return {"?": f"[{name}]", "*": f"[{name}...]", "+": f"{name}..."}.get(str(action.nargs), name)


def _left(action: argparse.Action) -> str:
    """``-o, --output FILE``, ``--werror[=CODES]``."""
    options = ", ".join(sorted(action.option_strings, key=len))
    if options and action.nargs == "?":
        return f"{options}[={action.metavar}]"
    value = "" if action.nargs == 0 else "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    return f"{options} {action.metavar or value}".strip()


def _paragraphs(text: str, width: int) -> list[str]:
    """Text filled anew to the width; an empty line separates paragraphs."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        lines += [*([""] if lines else []), *wrap(" ".join(paragraph.split()), width, "")]
    return lines
