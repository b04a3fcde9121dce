"""What a run may use, as options: the same for every command that runs an extension."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from llext_tools.cli.kconfig import parse_size
from llext_tools.diag import fail
from llext_tools.host.limits import Limits


class Size(NamedTuple):
    """A limit in bytes: the option, its field of ``Limits``, the help, the least and the most that it can be."""

    option: str
    field: str
    help: str
    least: int
    most: int


LEAST_STACK = 256
ALIGN = 16
SIZES = (
    Size("--stack-size", "stack", "of the first thread", LEAST_STACK, 1 << 24),
    Size("--heap-size", "heap", "of malloc() and its like", ALIGN, 1 << 26),
    Size("--max-output", "output", "bytes that are printed", 1, 1 << 30),
    Size("--max-memory", "memory", "all that is mapped", 4096, 1 << 30),
)


def add_arguments(parser: argparse.ArgumentParser, *, timed: bool = True) -> None:
    """``timed``: time is limited."""
    usual = Limits()
    if timed:
        parser.add_argument(
            "--timeout", metavar="SECONDS", default=str(usual.seconds), help="limit of it all (default %(default)s)"
        )
    else:
        parser.set_defaults(timeout=str(usual.seconds))
    for size in SIZES:
        default = in_units(getattr(usual, size.field))
        parser.add_argument(size.option, metavar="SIZE", default=default, help=f"{size.help} (default %(default)s)")


def limits_of(args: argparse.Namespace, command: str) -> Limits:
    """What the options say.

    Raises:
        UsageError: ``usage``: one of them is no number, or beyond what can be.
    """
    given = {}
    for size in SIZES:
        text = getattr(args, size.option.lstrip("-").replace("-", "_"))
        value = parse_size(text, f"{command}: {size.option}")
        if not size.least <= value <= size.most:
            cure = f"give {in_units(size.least)} to {in_units(size.most)}"
            fail("usage", f"{command}: `{size.option} {text}` cannot be", help=cure)
        given[size.field] = -(-value // ALIGN) * ALIGN if size.field in ("stack", "heap") else value
    return Limits(seconds=seconds(args.timeout, command))._replace(**given)


def in_units(size: int) -> str:
    """``64K``, ``1M``."""
    return f"{size >> 20}M" if size % (1 << 20) == 0 else f"{size >> 10}K" if size % (1 << 10) == 0 else str(size)


def seconds(text: str, command: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        fail("usage", f"{command}: `--timeout {text}` is not a number of seconds", help="for example `--timeout 0.5`")
    return value
