"""``llext manifest``: the manifest of an artifact, with the runs that passed (low level, for CMake)."""

from __future__ import annotations

import argparse

from llext_tools.artifact import read_artifact, report_changed, to_text
from llext_tools.artifact.runs import with_runs
from llext_tools.diag import Reporter
from llext_tools.files import spare, write_atomically

DESCRIPTION = """\
Add to the manifest of an extension the runs that passed. A record of `llext run --record`
counts while the extension is the one that was run; one that is not there, or is about another
file, adds nothing. The files beside the manifest must be those that it names."""
EXAMPLE = "llext manifest hello.json --runs hello.greets.json -o dist/hello.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST", help="what `llext finish` wrote beside the extension")
    parser.add_argument("--runs", metavar="FILE", nargs="+", action="extend", default=[], help="records of runs")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there; default: print it")


def run(args: argparse.Namespace) -> int:
    artifact = read_artifact(args.manifest)
    extra = [path for path in artifact.paths if path != artifact.manifest]
    spare(args.output or "", [*extra, *args.runs], "llext manifest: --output")
    reporter = Reporter()
    report_changed(artifact, reporter)
    reporter.checkpoint()
    text = to_text(with_runs(artifact, args.runs))
    if args.output:
        write_atomically(args.output, text)
    else:
        print(text, end="")
    return 0
