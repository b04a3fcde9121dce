"""``llext run --record``: a file that says of which extensions a run has passed, and of what files it was made.

    {"format": 1, "test": "hello.greets", "calls": ["hello()"], "placements": 3, "firmware": [{"file", "sha256"}],
     "files": {"hello.llext": "<sha256>"}, "version": "1.0",
     "inputs": {"/p/hello.llext": [size, mtime in ns], "/p/sought": null}, "modules": {"/p": ["board.py"]},
     "folders": {"/p/waves": ["a.wav"]}, "pythonpath": "", "outputs": []}

What stands before ``version`` goes into the manifest of the extension, see ``artifact.runs``. The rest is for ``llext
build``: a test whose inputs are what they were need not run again; one that is null was looked for, and is not there.
``modules`` is what could be imported from the folders where modules were looked for, ``folders`` all that is in those
that an override has listed. ``inputs`` is null for a run that cannot be compared so, for it has started other programs
or used the network. What nobody notices: variables of the environment that an override reads, the time, and files that
it only asks for whether they are there.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import sysconfig
from contextlib import suppress
from importlib.util import source_from_cache
from typing import Any

import llext_tools
from llext_tools.artifact import digest, named_file
from llext_tools.artifact.runs import FORMAT
from llext_tools.diag import fail
from llext_tools.files import modules_in, names_in, read_bytes, reason, remove, spare, write_atomically, write_cure

AT_LARGE = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
"""Audit events after which nobody knows what a run depends on."""
IMPORTS = "<frozen importlib._bootstrap_external>"
"""The code that imports, as Python names its file."""


class Record:
    """Begins with the run: an earlier record is removed, and from now on opened files are remembered."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Raises:
        UsageError: ``usage``: there is no name of a test, or it is a file that the run reads.
        FormatError: ``file-unwritable``.
        """
        if not args.test:
            fail("usage", "llext run: `--record` needs the name of the test", help="give `--test NAME`, too")
        read = [args.extension, *args.first, *args.firmware, *args.exports]
        spare(args.record, read, "llext run: --record")
        self._args = args
        self._inputs: dict[str, tuple[int, int] | None] | None = {}
        self._modules: dict[str, list[str]] = {}
        self._listings: dict[str, list[str]] = {}
        self._own = _folders(os.path.dirname(llext_tools.__file__))
        self._library = _folders(sysconfig.get_path("stdlib"))
        self._packages = _folders(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        try:
            os.makedirs(os.path.dirname(os.path.abspath(args.record)), exist_ok=True)
        except OSError as error:
            text = f"cannot write `{args.record}`: {reason(error)}"
            fail("file-unwritable", text, help=write_cure(error, args.record))
        remove(args.record)
        sys.addaudithook(self._heard)

    def write(self) -> None:
        """The run has passed.

        Raises:
            FormatError: ``file-unwritable``.
        """
        args, inputs = self._args, self._inputs
        self._inputs = None
        if inputs is not None:  # some were not there, and then written
            inputs = {path: found for path, found in inputs.items() if found or not os.path.exists(path)}
        outputs = [args.coverage, args.cpu_profile, args.trace, args.json]
        document = {
            "format": FORMAT,
            "test": args.test,
            "calls": args.call,
            "placements": int(args.placements),
            "firmware": [named_file(path) for path in (*args.firmware, *args.exports)],
            "files": {os.path.basename(path): digest(read_bytes(path)) for path in (*args.first, args.extension)},
            "version": llext_tools.__version__,
            "inputs": inputs,
            "modules": self._modules,
            "folders": self._listings,
            "pythonpath": os.environ.get("PYTHONPATH", ""),
            "outputs": [os.path.abspath(path) for path in outputs if path and path != "-"],
        }
        write_atomically(args.record, json.dumps(document, indent=1) + "\n")

    def _heard(self, event: str, given: tuple[Any, ...]) -> None:
        """An audit hook; it stays for as long as the process lives."""
        if self._inputs is None:
            return
        if event.startswith(AT_LARGE):
            self._inputs = None
        elif event == "open":
            with suppress(OSError, ValueError, TypeError, NotImplementedError):
                self._opened(given[0], given[2])
        elif event in ("os.listdir", "os.scandir"):
            with suppress(OSError, ValueError, TypeError):
                self._listed(os.path.abspath(os.fsdecode(given[0] or ".")), sys._getframe(1).f_code.co_filename)

    def _opened(self, name: Any, flags: int) -> None:
        if isinstance(name, int) or flags & (os.O_WRONLY | os.O_RDWR) or self._inputs is None:
            return
        path = os.path.abspath(os.fsdecode(name))
        if path.endswith(".pyc"):
            path = source_from_cache(path)
        real = os.path.realpath(path)
        installed = real.startswith(self._packages)  # code is left out, data may be an extension
        if path in self._inputs or real.startswith(self._own):
            return
        if real.endswith(".py") if installed else real.startswith(self._library):
            return
        try:
            found = os.stat(path)
        except FileNotFoundError:
            self._inputs[path] = None
            return
        if stat.S_ISREG(found.st_mode):
            self._inputs[path] = (found.st_size, found.st_mtime_ns)

    def _listed(self, folder: str, by: str) -> None:
        inside = os.path.join(os.path.realpath(folder), "")
        if inside.startswith((*self._own, *self._packages, *self._library)):
            return
        if os.path.realpath(by).startswith(self._own):
            return
        imports = by == IMPORTS
        listings = self._modules if imports else self._listings
        if folder not in listings:
            listings[folder] = modules_in(folder) if imports else names_in(folder)


def _folders(*paths: str) -> tuple[str, ...]:
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths)
