"""What a run may use, as options: the same for every command that runs an extension."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from llext_tools.cli.kconfig import parse_size
from llext_tools.diag import fail
from llext_tools.host import limits
from llext_tools.host.limits import Limits


class Size(NamedTuple):
    """A limit in bytes: the option, its field of ``Limits``, the help."""

    option: str
    field: str
    help: str


SIZES = (
    Size("--stack-size", "stack", "of the first thread"),
    Size("--heap-size", "heap", "of malloc() and its like"),
    Size("--max-output", "output", "bytes that are printed"),
    Size("--max-memory", "memory", "all that is mapped"),
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
        least, most = limits.SIZES[size.field]
        if not least <= value <= most:
            cure = f"give {in_units(least)} to {in_units(most)}"
            fail("usage", f"{command}: `{size.option} {text}` cannot be", help=cure)
        given[size.field] = limits.size(size.field, value)
    return Limits(seconds=seconds(args.timeout, command))._replace(**given)


def in_units(size: int) -> str:
    """``64K``, ``1M``."""
    return f"{size >> 20}M" if size % (1 << 20) == 0 else f"{size >> 10}K" if size % (1 << 10) == 0 else str(size)


def seconds(text: str, command: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= limits.LONGEST:
        fail("usage", f"{command}: `--timeout {text}` is not a number of seconds", help="for example `--timeout 0.5`")
    return value
