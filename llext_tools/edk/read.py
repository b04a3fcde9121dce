"""A folder or an archive -> the kit in it: where it is, and the words of its variables."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from itertools import groupby

from llext_tools.diag import Diagnostic, Location, fail, listed
from llext_tools.edk.archive import unpacked
from llext_tools.edk.cflags import Odd, Variables, read_cmake, read_make
from llext_tools.files import read_bytes, reason

FILES = {"cmake.cflags": read_cmake, "Makefile.cflags": read_make}
"""The files with a kit's variables, the better one first: Make and a shell would each quote in their own way."""

FORMS = {"cmake.cflags": 'set(NAME "WORD;WORD")', "Makefile.cflags": 'NAME = "WORD" "WORD"'}

LONGEST = 16 << 20
ALL, PARTS = "LLEXT_CFLAGS", ("LLEXT_BASE_CFLAGS", "LLEXT_GENERATED_IMACROS_CFLAGS", "LLEXT_ALL_INCLUDE_CFLAGS")
"""The variable with all flags, and those that it is made of; those that there are depend on Zephyr's version."""
ANEW = "a firmware's build makes it: `west build -t llext-edk`"
RENAME = "if you trust who made it, rename that folder"
PLAIN = re.compile(r"[^(=#]*(=[^#]*)?")
"""What CMake takes for a definition. It drops those of functions, and those with a number sign: they go as options."""

UNUSABLE = re.compile(rf"[;\x00-\x08\n-\x1f\x7f]|^(?!-D{PLAIN.pattern}\Z).*\$<", re.DOTALL)
"""What would end a word in CMake's lists or a line of the files for Ninja and Make, or begin a generator expression.

What CMake takes for a definition may have one: CMake sees no end of it. Options stand within expressions, which end it.
"""
OWN = "-DLL_EXTENSION_BUILD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edk:
    """A kit that was found."""

    source: str  # the folder or archive that was given
    folder: str  # where the kit lies
    file: str  # with the variables
    words: tuple[str, ...]  # all flags, one word each, with the folder in its place
    board: str  # as `west build -b` has it, "" if the kit does not say
    findings: tuple[Diagnostic, ...]  # what of the file was not understood

    @property
    def depends(self) -> tuple[str, ...]:
        """The files that say what the kit is; when one changes, it has to be read again."""
        return (self.file,) if os.path.isdir(self.source) else (os.path.abspath(self.source), self.file)


def read_edk(source: str, into: str = "") -> Edk:
    """Read a kit.

    Args:
        source: its folder, or the archive that Zephyr's build has made.
        into: the folder for what is unpacked, by default one in the user's cache.
    Raises:
        FormatError: ``file-unreadable``, ``edk-unreadable``, ``edk-unsafe``.
    """
    if not os.path.exists(source):
        fail("file-unreadable", f"cannot read `{source}`: no such file or directory")
    root = os.path.abspath(source if os.path.isdir(source) else unpacked(source, into))
    file = _file(source, root)
    if not file:
        fail(
            "edk-unreadable",
            f"`{source}` is no EDK: there is neither cmake.cflags nor Makefile.cflags in it",
            help=ANEW,
        )
    data = read_bytes(file)
    if len(data) > LONGEST:
        fail("edk-unreadable", f"`{file}` is longer than {LONGEST:,} bytes", help=ANEW)
    folder, name = os.path.split(file)
    if UNUSABLE.search(os.path.relpath(folder, root)):
        what = repr(os.path.basename(folder))[1:-1]
        fail("edk-unsafe", f"`{source}`: the folder `{what}` has a name that CMake would not take for one", help=RENAME)
    variables = FILES[name](data.decode(errors="surrogateescape"), folder.replace(os.sep, "/"))
    values = variables.values
    words = values.get(ALL) or tuple(word for part in PARTS for word in values.get(part, ()))
    words = _unescaped(words, folder) if _escaped(variables, words) else _whole(words)
    split = [word for word in words if UNUSABLE.search(word.replace(folder, ""))]
    words = tuple(word for word in words if word not in split)
    if not words:
        fail("edk-unreadable", f"`{file}` does not set `{ALL}`, or nothing in it", help=ANEW)
    odd = [*variables.odd, *(Odd(1, _unusable(word)) for word in split)]
    return Edk(
        source=source,
        folder=folder,
        file=file,
        words=words,
        board=_board(variables),
        findings=tuple(
            Diagnostic(
                "edk-syntax",
                f"{what} is not understood, and was left out",
                "warning",
                Location(file, line=line),
                help=f"write it as Zephyr does: `{FORMS[name]}`",
            )
            for line, what in odd
        ),
    )


def _unusable(word: str) -> str:
    """What is wrong with a word, printable."""
    shown = re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], word)
    what = "semicolon" if ";" in word else "line break" if shown != word else "`$<`"
    return f"the {what} in `{shown}`"


def _file(source: str, root: str) -> str:
    """The file with variables: that of the folder itself, else of a folder in it, or of one in that; "" for none.

    Raises:
        FormatError: ``edk-unreadable``, there are several.
    """
    folders = [root]
    for _ in range(3):
        found = [_first(folder) for folder in folders]
        kits = [file for file in found if file]
        if len(kits) > 1:
            names = [os.path.relpath(os.path.dirname(file), root) for file in kits]
            fail("edk-unreadable", f"`{source}` has {len(kits)} EDKs: {listed(names)}", help="give the folder of one")
        if kits:
            return kits[0]
        folders = sorted(entry.path for folder in folders for entry in _entries(folder) if entry.is_dir())
    return ""


def _first(folder: str) -> str:
    return next(filter(os.path.isfile, (os.path.join(folder, name) for name in FILES)), "")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        fail("file-unreadable", f"cannot read `{folder}`: {reason(error)}")


def _escaped(variables: Variables, words: tuple[str, ...]) -> bool:
    """Whether flags are written as for a shell, which is so since Zephyr 4.4.

    Its script takes them from a compiler's command line, and puts its own ``-DLL_EXTENSION_BUILD`` behind them. Before,
    it had CMake's lists, in which that stands among the definitions.
    """
    options = [word for word in words if not word.startswith("-D")]
    return bool(
        any(name.endswith("_BOARD_NAME") for name in variables.values)
        and options
        and OWN in words
        and words.index(OWN) > words.index(options[0])
    )


def _unescaped(words: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """What a shell makes of them: the script has split the command line at each space. The kit's paths are its own."""
    found: list[str] = []
    for is_path, group in groupby(words, lambda word: folder in word):
        some = list(group)
        try:
            found += some if is_path else shlex.split(" ".join(some))
        except ValueError:  # a quotation that does not end: no shell has said that
            found += some
    return tuple(found)


def _whole(words: tuple[str, ...]) -> tuple[str, ...]:
    """With the parts of each string together again that a semicolon in it has made words of a list."""
    found: list[str] = []
    for word in words:
        if found and not word.startswith("-") and found[-1].startswith("-D") and _quotes(found[-1]) % 2:
            found[-1] += f";{word}"
        else:
            found.append(word)
    return tuple(found)


def _quotes(word: str) -> int:
    return re.sub(r"\\.|'\"'", "", word).count('"')


def _board(variables: Variables) -> str:
    """The board as ``west build -b`` takes it, whatever the kit's name: ``board@revision/qualifiers``.

    ``..._BOARD_TARGET`` is its name for files, with underscores: it is all that there is in some kits.
    """
    parts = {
        part: "".join(words)
        for name, words in variables.values.items()
        for part in ("NAME", "REVISION", "QUALIFIERS", "TARGET")
        if name.endswith(f"_BOARD_{part}") and not any(word.endswith("-NOTFOUND") for word in words)
    }
    if not parts.get("NAME"):
        return parts.get("TARGET", "")
    revision = f"@{parts['REVISION']}" if parts.get("REVISION") else ""
    qualifiers = f"/{parts['QUALIFIERS'].strip('/')}" if parts.get("QUALIFIERS") else ""
    return parts["NAME"] + revision + qualifiers
