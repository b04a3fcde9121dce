"""The command ``llext``: a table of commands, of which only the chosen one is imported.

``llext --help``, ``--version`` and ``cmake-dir`` are called by build systems over and over, so they get by without
argparse, re and dataclasses (``tests/test_startup.py`` looks). A command is a module of this package with

* ``DESCRIPTION`` and ``EXAMPLE``: what its ``--help`` says before and after the options,
* ``add_arguments(parser)``: its arguments, for an ``argparse.ArgumentParser``,
* ``run(args)``: does the work, prints to stdout and returns the exit code. A failure is an ``LlextError``:
  ``main()`` prints its diagnostics on stderr and returns its exit code (``llext_tools.errors``).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

COMMANDS: dict[str, tuple[str, str]] = {
    "new": ("llext_tools.cli.new", "make a project: an extension, its tests, a wheel"),
    "demo": ("llext_tools.cli.demo", "copy the sample extensions, build and run them for every target"),
    "build": ("llext_tools.cli.build", "build, check and run the extensions of a CMake project"),
    "check": ("llext_tools.cli.check", "say what a board's loader would refuse, and what is missing"),
    "load": ("llext_tools.cli.load", "say what a board's loader answers: verdict, addresses, memory"),
    "run": ("llext_tools.cli.run", "load an extension into an emulator and call its functions"),
    "debug": ("llext_tools.cli.debug", "run an extension under GDB or Visual Studio Code"),
    "link": ("llext_tools.cli.link", "link an extension to final addresses: ELF, binary and map"),
    "inspect": ("llext_tools.cli.inspect", "show regions, imports, exports and relocations of an extension"),
    "exports": ("llext_tools.cli.exports", "list what a firmware exports, convert export tables"),
    "pack": ("llext_tools.cli.pack", "put the artifacts of several targets into one bundle"),
    "sign": ("llext_tools.cli.sign", "sign a bundle or a manifest; make a pair of keys"),
    "list": ("llext_tools.cli.installed", "list the extensions that Python packages have brought along"),
    "explain": ("llext_tools.cli.explain", "explain a diagnostic, a relocation or an exit code"),
}
"""Commands that the help shows with a line each, in its order: name -> module and one line of summary."""

MORE: dict[str, tuple[str, str]] = {
    "api": ("llext_tools.cli.api", "keep and check a reviewed list of what a firmware exports"),
    "zephyr": ("llext_tools.cli.zephyr", "check and run the extensions of a Zephyr build with its own firmware"),
    "slid": ("llext_tools.cli.slid", "give an extension the numbers by which a firmware looks symbols up"),
    "unpack": ("llext_tools.cli.unpack", "write the files of a bundle, after verifying it"),
    "verify": ("llext_tools.cli.verify", "say whether a bundle is what was packed and signed"),
    "targets": ("llext_tools.cli.targets", "list the CPUs that extensions can be built for"),
    "profiles": ("llext_tools.cli.profiles", "list the loaders that --profile can name, and what each does"),
    "cflags": ("llext_tools.cli.cflags", "print what to compile with, for makefiles and the like"),
    "ldflags": ("llext_tools.cli.ldflags", "print what to link partially with, for makefiles and the like"),
    "doctor": ("llext_tools.cli.doctor", "say which toolchains are installed, and how to get the others"),
    "cmake-dir": ("llext_tools.cli.cmake_dir", "print the folder for -DLlextTools_DIR=..."),
}
"""Commands that the help only names, for it has to fit a screen."""

LOW_LEVEL: dict[str, tuple[str, str]] = {
    "edk": ("llext_tools.cli.edk", "print what extensions are compiled with for an EDK of Zephyr"),
    "finish": ("llext_tools.cli.finish", "make the shipped .llext of a partially linked object"),
    "inputs": ("llext_tools.cli.inputs", "list the files that a settings file names"),
    "manifest": ("llext_tools.cli.manifest", "add to an extension's manifest the runs that passed"),
    "runtime": ("llext_tools.cli.runtime", "extract the compiler's helper functions that an object needs"),
    "toolchain": ("llext_tools.cli.toolchain", "print a target's compiler and flags for the CMake toolchain file"),
}
"""Commands that the CMake helpers call."""

EVERY = COMMANDS | MORE | LOW_LEVEL


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, without the program's name, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it: nobody wants to read it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the process ends
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name need not be text
    for name in ("stdout", "stderr"):
        if getattr(sys, name).isatty():
            from llext_tools.cli.terminal import Terminal

            setattr(sys, name, Terminal(getattr(sys, name)))
    try:
        code = _guarded(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _discard(sys.stdout)
        return 141  # as a shell reports SIGPIPE
    except OSError as error:  # stdout itself, for example on a full disk
        _discard(sys.stdout)
        try:
            from llext_tools.files import reason

            print(f"error[file-unwritable]: cannot write the output: {reason(error)}", file=sys.stderr)
        except OSError:
            _discard(sys.stderr)  # that is where it could not be written
        return 3


def _guarded(arguments: list[str]) -> int:
    """Dispatch; turn whatever goes wrong into diagnostics on stderr and an exit code."""
    try:
        return dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # from print()
        from llext_tools.cli.render import report_exception

        return report_exception(error)


def dispatch(arguments: list[str]) -> int:
    """Find the command and run it.

    Raises:
        LlextError: the command failed; ``usage`` if the command line is wrong.
    """
    if not arguments:
        print(overview(), file=sys.stderr)
        return 2
    name, rest = arguments[0], arguments[1:]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("--help", "-h", "help"):
        print(overview())
        return 0
    if name in ("--version", "-V"):
        from llext_tools import __version__

        print(f"llext {__version__}")
        return 0
    if name == "cmake-dir" and not rest:
        from llext_tools import cmake_dir

        print(cmake_dir())
        return 0
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts threads that nothing here needs: 0.1 s each time
    import gc

    gc.disable()  # until the command runs: what imports leave behind is in use, and looking for garbage costs 5 %
    from llext_tools.cli.parser import run_command

    return run_command(name, rest)


def overview() -> str:
    """What ``llext --help`` prints: it fits 24 lines of 80 columns."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "llext: build, check, link and run Zephyr's loadable extensions on the host",
            "",
            "usage: llext COMMAND [ARGUMENT...]",
            "",
            *(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items()),
            "",
            *_wrapped(f"more: {', '.join(MORE)}"),
            f"for the CMake helpers: {', '.join(LOW_LEVEL)}",
            "`llext help COMMAND` has options and an example, `llext --version` the version",
            "example: llext run hello.llext --call 'greet(\"you\")'",
        ]
    )


def _wrapped(text: str) -> list[str]:
    """A line of up to 80 columns, or two."""
    if len(text) <= 80:
        return [text]
    end = text.rindex(" ", 0, 80)
    return [text[:end], f"  {text[end + 1 :]}"]


def _discard(stream: TextIO) -> None:
    """Point stdout or stderr at nothing, so that Python's own flush at exit does not fail once more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        pass  # not a file: a test's buffer
