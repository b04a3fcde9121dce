"""What an extension runs on, as options: the same for every command that runs one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llext_tools import profile as profiles
from llext_tools.cli import limits
from llext_tools.cli.parser import address
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.errors import UndefinedError
from llext_tools.host.devices import parse_mmio
from llext_tools.host.override import parse_override
from llext_tools.host.python import begin_anew
from llext_tools.link.image import Image
from llext_tools.run import Setup
from llext_tools.run.described import Described
from llext_tools.run.linked import linked


class Prepared(NamedTuple):
    """Extensions that are linked, in the order of loading, and what they run on; ``diagnostics`` are warnings."""

    images: tuple[Image, ...]
    setup: Setup
    diagnostics: tuple[Diagnostic, ...]


def add_arguments(parser: argparse.ArgumentParser, *, timed: bool = True) -> None:
    """EXT, ``--call`` and the options that say what they run on. ``timed``: there is a limit of time."""
    parser.add_argument("extension", metavar="EXT", help="the extension: a `.llext` or `.debug.elf` file")
    parser.add_argument(
        "--call",
        metavar="CALL",
        action="append",
        default=[],
        help='such as `add(1, -2)` or `greet("you")`',
    )
    parser.add_argument("--target", metavar="CPU", help="one of `llext targets` (default: what the object fits)")
    parser.add_argument(
        "--exports",
        metavar="TABLE",
        action="append",
        default=[],
        help="what the host exports; an image's code runs",
    )
    parser.add_argument(
        "--firmware",
        metavar="ELF",
        action="append",
        default=[],
        help="the firmware's image: what it exports, its code and data",
    )
    parser.add_argument(
        "--mmio",
        metavar="DEVICE",
        action="append",
        default=[],
        help="START+SIZE=KIND: zero, ram, a UART, python:FILE:NAME",
    )
    parser.add_argument(
        "--override",
        metavar="F=WHAT",
        action="append",
        default=[],
        help="let function F return a value, or be FILE:FUNCTION in Python",
    )
    parser.add_argument("--stub-missing", action="store_true", help="let functions without code return 0")
    parser.add_argument(
        "--init", metavar="F", action="append", default=[], help="call this function of the firmware before all else"
    )
    parser.add_argument(
        "--extension", metavar="FILE", dest="first", action="append", default=[], help="load this one before"
    )
    parser.add_argument(
        "--prototype", metavar="C", action="append", default=[], help="of a function, such as `double half(double)`"
    )
    parser.add_argument("--no-bringup", action="store_true", help="as if the firmware had llext_call_fn() only")
    parser.add_argument("--at", metavar="ADDR", help="address of the first region; each starts a page")
    parser.add_argument(
        "--profile", metavar="NAME", default=profiles.DEFAULT, help="the loader whose rules hold (default %(default)s)"
    )
    limits.add_arguments(parser, timed=timed)


def prepare(args: argparse.Namespace, command: str, sink: Callable[[bytes], None]) -> Prepared:
    """Read and link what the options name.

    Args:
        command: as messages name it, such as ``llext run``.
        sink: gets the output as it comes.
    Raises:
        LlextError: there is nothing to run.
    """
    bounds = limits.limits_of(args, command)
    at = None if args.at is None else address(args.at, f"{command}: --at")
    reporter = Reporter()
    try:
        images, target, exports, firmware = linked(
            [*args.first, args.extension],
            target=args.target or "",
            firmware=args.firmware,
            exports=args.exports,
            supplied={text.partition("=")[0] for text in args.override},
            stub_missing=args.stub_missing,
            at=at,
            profile=args.profile,
            reporter=reporter,
        )
    except UndefinedError as error:
        if args.firmware or args.exports:
            raise
        raise UndefinedError(tuple(map(with_ways_out, error.diagnostics))) from None
    setup = Setup(
        target,
        exports,
        firmware,
        init=tuple(args.init),
        stub_missing=args.stub_missing,
        limits=bounds,
        sink=sink,
    )
    return Prepared(images, furnished(args, images, setup), reporter.diagnostics)


def furnished(args: argparse.Namespace, images: Sequence[Image], setup: Setup) -> Setup:
    """With functions in the place of others, and with devices. Those in Python begin anew: their files are run again.

    Raises:
        LlextError: one of them cannot be used.
    """
    begin_anew()
    described = Described(images, setup.firmware, setup.target)
    given = {p.name: p for p in map(described.given, args.prototype)} if args.override else {}
    overrides = {}
    for each in map(parse_override, args.override):
        known = given.get(each.name) or described.function(each.name, setup.exports)
        overrides[each.name] = each.function(known, described.model)
    mmio = tuple(parse_mmio(text, setup.target.bits) for text in args.mmio)
    return setup._replace(overrides=overrides, mmio=mmio)


def with_ways_out(d: Diagnostic) -> Diagnostic:
    """What is missing in the built-in host, a real firmware may have, or one can say what it returns."""
    if d.code not in ("undefined-symbol", "symbol-unexported", "weak-undefined"):
        return d
    stub = "" if d.code == "weak-undefined" else ", or `--stub-missing` for 0"
    ways = (
        "or give the firmware that has it: `--firmware zephyr.elf`",
        f"or say what it returns: `--override NAME=VALUE`{stub}",
    )
    return d._replace(help="; ".join(filter(None, (d.help, *ways))))
