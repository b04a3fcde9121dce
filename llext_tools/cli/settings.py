"""Settings that a project keeps in a file: ``llext.toml``, or ``[tool.llext]`` of pyproject.toml.

Here are those of ``llext check``; ``settings_build`` and ``settings_pack`` have a table each for other commands.

The nearest file counts, from the current folder upwards; paths in it start at its folder. What the command line says
goes before what the file says. All that is wrong with a file is reported at once.
"""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from glob import escape
from typing import Any, NamedTuple, get_args

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.cli.parser import choice_help
from llext_tools.cli.policy import ALL, NONE, Codes, Policy, codes_of
from llext_tools.diag import Location, Reporter, nearest
from llext_tools.errors import UsageError
from llext_tools.files import read_bytes, toml_fault
from llext_tools.paths import shown

FORMATS = ("text", "json", "sarif", "github")
NAME, PYPROJECT = "llext.toml", "pyproject.toml"


class Settings(NamedTuple):
    """What a file says, None or empty where it says nothing. ``file`` is "" if there is none."""

    file: str = ""
    select: Codes | None = None
    ignore: Codes = NONE
    werror: Codes = NONE
    per_file_ignores: tuple[tuple[str, Codes], ...] = ()
    profile: str = ""
    target: str = ""
    exports: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    heap: str = ""
    config: tuple[str, ...] = ()
    protection: str = ""
    storage: str = ""
    format: str = ""

    @property
    def policy(self) -> Policy:
        return Policy(self.select, self.ignore, self.werror, self.per_file_ignores)


class Key(NamedTuple):
    """One key of the file. ``judge`` makes its value of what TOML gives, or reports what is wrong with that."""

    form: str  # what to write behind the `=`
    text: str  # what it does; goes into docs/reference/settings.md
    judge: Callable[[Source, str, Any], Any]


class Source:
    """A file in TOML, with what is wrong in it so far."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.lines, self.reporter = path, text.splitlines(), Reporter()
        self.first = 1  # where the table begins that is looked at

    def error(self, message: str, word: str = "", help: str = "", key: str = "") -> None:
        """Report one thing, at the first line with ``word`` from that on which ``key`` stands."""
        line = self.line_of(word, self.line_of(key)) if word else self.line_of(key)
        self.reporter.error("settings-syntax", message, at=Location(file=self.path, line=line), help=help)

    def known(self, table: Mapping[str, Any], keys: Mapping[str, Key]) -> Iterator[tuple[str, Any]]:
        """The keys of a table that there are; the others are reported."""
        for key, value in table.items():
            if key in keys:
                yield key, value
                continue
            near = nearest(key.replace("_", "-"), keys)
            hint = f"did you mean `{near}`?" if near else f"the keys are {', '.join(f'`{k}`' for k in keys)}"
            self.error(f"there is no key `{key}`", key, hint)

    def line_of(self, word: str, first: int | None = None) -> int | None:
        first = first or self.first
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        found = (i for i, line in enumerate(self.lines[first - 1 :], first) if whole.search(line.partition(" #")[0]))
        return next(found, None) if word else None

    @property
    def folder(self) -> str:
        return os.path.dirname(os.path.abspath(self.path))

    def named(self, path: str) -> str:
        """A path in it, as messages name it: from the root on, if the file is named so, as in a build."""
        full = os.path.normpath(os.path.join(self.folder, path))
        return full if os.path.isabs(self.path) else shown(full)


def open_source(path: str, data: bytes | None = None) -> Source:
    """Raises:
    FormatError: ``file-unreadable``.
    """
    return Source(path, (read_bytes(path) if data is None else data).decode("utf-8-sig", "backslashreplace"))


def file_of(args: argparse.Namespace) -> str:
    """The settings file of a command with ``--settings`` and ``--no-settings``, "" if there is none."""
    return args.settings or ("" if args.no_settings else find())


def find(folder: str = ".") -> str:
    """The nearest settings file from a folder upwards, as messages name it; "" if there is none."""
    here = os.path.abspath(folder)
    while True:
        path = os.path.join(here, NAME)
        if os.path.isfile(path):
            return shown(path)
        path = os.path.join(here, PYPROJECT)
        if os.path.isfile(path) and _is_ours(path):
            return shown(path)
        above = os.path.dirname(here)
        if above == here:
            return ""
        here = above


def read(path: str, data: bytes | None = None) -> Settings:
    """The settings in a file.

    Args:
        data: what the file holds, where it has been read already.
    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    source = open_source(path, data)
    table = _table(source)
    values = {key.replace("-", "_"): KEYS[key].judge(source, key, value) for key, value in source.known(table, KEYS)}
    source.reporter.checkpoint()
    return Settings(file=path, **values)


def _is_ours(path: str) -> bool:
    """Whether a pyproject.toml has ``[tool.llext]``. One that cannot be read is somebody else's, unless it says so."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    if b"llext" not in data:
        return False
    try:
        tools = tomllib.loads(data.decode("utf-8-sig")).get("tool", {})
    except (ValueError, RecursionError):
        return re.search(rb"^\s*\[\s*tool\s*\.\s*llext\b", data, re.MULTILINE) is not None
    return isinstance(tools, dict) and "llext" in tools


def _document(source: Source) -> Any:
    """The whole file, or ``[tool.llext]`` of a pyproject.toml."""
    document: Any = whole_document(source)
    if os.path.basename(source.path) == PYPROJECT:
        tools = document.get("tool", {})
        document = tools.get("llext", {}) if isinstance(tools, dict) else {}
    if _holds_nul(document):
        text = "a text holds the character U+0000, which is in no name of a file and in no option"
        line = next((i for i, line in enumerate(source.lines, 1) if re.search(r"\\(u|U0000)0000", line)), None)
        source.reporter.error("settings-syntax", text, at=Location(file=source.path, line=line))
        source.reporter.checkpoint()
    return document


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def whole_document(source: Source) -> dict[str, Any]:
    """Raises:
    UsageError: ``settings-syntax``: it is not TOML.
    """
    document: dict[str, Any] = {}
    try:
        document = tomllib.loads("\n".join(source.lines))
    except tomllib.TOMLDecodeError as error:
        message, line = toml_fault(error, len(source.lines))
        source.reporter.error("settings-syntax", f"not TOML: {message}", at=Location(file=source.path, line=line))
        source.reporter.checkpoint()
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        source.error("not TOML: nested too deeply, or a number too long")
        source.reporter.checkpoint()
    return document


OTHERS = ("build", "pack")
"""Tables of other commands, which read them themselves."""


def read_table(path: str, name: str, keys: Mapping[str, Key], data: bytes | None = None) -> dict[str, Any]:
    """What one of the other tables says: a value for each key, with ``_`` for ``-``, that stands there.

    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    source = open_source(path, data)
    document = _document(source)
    table = document.get(name, {}) if isinstance(document, dict) else {}
    source.first = source.line_of(name) or 1
    if not isinstance(table, dict):
        source.error(f"`{name}` is {kind(table)}, not a table of keys", name)
        table = {}
    values = {key.replace("-", "_"): keys[key].judge(source, key, value) for key, value in source.known(table, keys)}
    source.reporter.checkpoint()
    return values


def _table(source: Source) -> Mapping[str, Any]:
    """The file's table of keys; those of ``[check]`` are among them."""
    document = _document(source)
    table: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    check = table.pop("check", {})
    if not isinstance(document, dict) or not isinstance(check, dict):
        word = "check" if isinstance(document, dict) else "llext"
        source.error(f"`{word}` is {kind(check if word == 'check' else document)}, not a table of keys", word)
        source.reporter.checkpoint()
    for key in table.keys() & check.keys():
        source.error(f"`{key}` stands both in `[check]` and outside", key)
    rest = {key: value for key, value in table.items() if key not in OTHERS}
    return {**rest, **check}


# ---- values


def text(source: Source, key: str, value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    source.error(f"`{key}` is {_no_text(value)}", key)
    return ""


def texts(source: Source, key: str, value: Any) -> tuple[str, ...]:
    """A list of texts; a text alone is a list of one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        source.error(f"`{key}` is {kind(value)}, neither text nor a list of texts", key)
        return ()
    for wrong in (each for each in values if not isinstance(each, str) or not each):
        source.error(f"`{key}` {'is' if wrong is value else 'holds'} {_no_text(wrong)}", key)
    return tuple(each for each in values if isinstance(each, str))


def _no_text(value: object) -> str:
    return "an empty text" if value == "" else f"{kind(value)}, not text"


def _codes(source: Source, key: str, value: Any) -> Codes:
    found, wrong = codes_of(texts(source, key, value))
    for word, hint in wrong.items():
        source.error(f"`{key}`: there is no diagnostic `{word}`", word, hint, key)
    return found


def _werror(source: Source, key: str, value: Any) -> Codes:
    """``true`` for all warnings, or the codes of some."""
    return codes_of([ALL] if value else [])[0] if isinstance(value, bool) else _codes(source, key, value)


def paths(source: Source, key: str, value: Any) -> tuple[str, ...]:
    return tuple(source.named(path) for path in texts(source, key, value))


def one_path(source: Source, key: str, value: Any) -> str:
    given = text(source, key, value)
    return source.named(given) if given else ""


def config(source: Source, key: str, value: Any) -> tuple[str, ...]:
    """Kconfig options as they are, and paths of files with them."""
    words = texts(source, key, value)
    return tuple(word if "=" in word else source.named(word) for word in words)


def heap(source: Source, key: str, value: Any) -> str:
    from llext_tools.cli.board import parse_heap

    number = isinstance(value, int) and not isinstance(value, bool)
    word = text(source, key, str(value) if number else value)
    try:
        parse_heap(word or "8K")
    except UsageError as error:
        for d in error.diagnostics:
            source.error(f"`{key}`: {d.message.removeprefix('--heap: ')}", key, d.help)
    return word


def _protections() -> tuple[str, ...]:
    from llext_tools.llext.config import Protection  # only here: `llext build` reads its table with this module, too

    return get_args(Protection)


def _storages() -> tuple[str, ...]:
    from llext_tools.cli.board import STORAGES

    return STORAGES


def _one_of(known: Callable[[], Any]) -> Callable[[Source, str, Any], str]:
    def judge(source: Source, key: str, value: Any) -> str:
        word = text(source, key, value)
        _choose(source, key, [word] if word else [], known)
        return word

    return judge


def some_of(known: Callable[[], Any]) -> Callable[[Source, str, Any], tuple[str, ...]]:
    """What judges a list of words, or one alone, each of which must be known."""

    def judge(source: Source, key: str, value: Any) -> tuple[str, ...]:
        words = texts(source, key, value)
        _choose(source, key, words, known)
        return words

    return judge


def _choose(source: Source, key: str, words: Iterable[str], known: Callable[[], Any]) -> None:
    choices = list(known())
    for word in words:
        if word not in choices:
            source.error(f"`{key}` cannot be `{word}`", word, choice_help(word, choices), key)


def _per_file(source: Source, key: str, value: Any) -> tuple[tuple[str, Codes], ...]:
    if not isinstance(value, dict):
        source.error(f"`{key}` is {kind(value)}, not a table of patterns", key)
        return ()
    root = escape(source.folder.replace(os.sep, "/").rstrip("/"))
    return tuple(
        (f"{root}/{pattern.removeprefix('./')}" if "/" in pattern else f"*/{pattern}", _codes(source, pattern, codes))
        for pattern, codes in value.items()
    )


def kind(value: object) -> str:
    """A value of TOML, in words."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return "a date or time"


KEYS: dict[str, Key] = {
    "select": Key('["region", "elf-target"]', "report these diagnostics only", _codes),
    "ignore": Key('["no-exports"]', "do not report these", _codes),
    "werror": Key("true", "these warnings are errors; `true` stands for all", _werror),
    "per-file-ignores": Key('{ "old-*.llext" = ["thread-local"] }', "do not report these for some files", _per_file),
    "profile": Key('"zephyr-4.2"', "the loader, one of `llext profiles`", _one_of(profiles.names)),
    "target": Key('"cortex-m4"', "the CPU, one of `llext targets`", _one_of(archs.targets)),
    "exports": Key('["build/zephyr/zephyr.elf"]', "what the firmware exports: its ELF file or tables", paths),
    "entries": Key('["start"]', "names that each extension has to export", texts),
    "heap": Key('"0x20010000+8K"', "the heap of extensions, where no ELF file among `exports` tells", heap),
    "config": Key('["build/zephyr/.config"]', "Kconfig options of the firmware: files, or `OPTION=VALUE`", config),
    "protection": Key('"mpu-32"', "how memory is protected, where `config` does not tell", _one_of(_protections)),
    "storage": Key('"persistent"', "where the file stays while it is loaded", _one_of(_storages)),
    "format": Key('"text"', "how findings are printed: " + ", ".join(FORMATS), _one_of(lambda: FORMATS)),
}
"""The keys, in the order of docs/reference/settings.md."""
