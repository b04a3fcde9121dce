"""Python files of the user: what they define under a name, and what goes wrong in them as diagnostics."""

from __future__ import annotations

import os
import sys
import traceback
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from llext_tools.diag import Location, fail, nearest

if TYPE_CHECKING:
    from llext_tools.host.guest import Guest


CALLERS = {os.path.join(os.path.dirname(__file__), name) for name in ("devices.py", "python.py", "override.py")}
"""Where users' code is called: an exception from here is about the call itself."""


class Found(NamedTuple):
    """Something in a user's file; ``name`` is what messages call it."""

    name: str
    value: object


class UserError(NamedTuple):
    """An exception of a user's code; ``who`` raised it."""

    who: str
    error: Exception

    def explain(self, guest: Guest) -> NoReturn:
        at = guest.where_now() if guest.frames.inside else guest.location(guest.machine.get(guest.conv.pc))
        guest.fail("run-python", self._text, at, detail=self._detail)

    def fail(self, at: Location | None = None) -> NoReturn:
        fail("run-python", self._text, at=at, detail=self._detail)

    @property
    def _text(self) -> str:
        said = str(self.error)
        return f"{self.who} raises {type(self.error).__name__}" + (f": {said}" if said else "")

    @property
    def _detail(self) -> tuple[str, ...]:
        """The last place of the traceback."""
        last = traceback.extract_tb(self.error.__traceback__)[-1:]
        places = [(frame.filename, frame.lineno, frame.line) for frame in last if frame.filename not in CALLERS]
        if isinstance(self.error, SyntaxError) and self.error.filename:
            places = [(self.error.filename, self.error.lineno, self.error.text)]
        return tuple(f"{shown(file)}:{line}: {(text or '').strip()}" for file, line, text in places)


def load_python(where: str, option: str) -> Found:
    """What ``FILE:NAME`` names. A file runs once, however often it is named.

    Args:
        option: as messages name it, such as ``--override f=board.py:f``.
    Raises:
        UsageError: ``usage``. FormatError: ``file-unreadable``. FaultError: ``run-python``: running the file failed.
    """
    path, _, name = where.rpartition(":")
    if not path or not name.isidentifier():
        fail("usage", f"`{option}` does not name a Python file and something in it", help="write FILE.py:NAME")
    if not os.path.isfile(path):
        where = "" if os.path.isabs(path) else f" in `{os.getcwd()}`"
        fail("file-unreadable", f"`{option}`: there is no file `{path}`{where}", at=Location(path))
    module = _module(os.path.abspath(path))
    if not hasattr(module, name):
        near = nearest(name, vars(module))
        fail("usage", f"`{option}`: {path} defines no `{name}`", help=f"did you mean `{near}`?" if near else "")
    return Found(f"`{name}` of {os.path.basename(path)}", getattr(module, name))


def begin_anew() -> None:
    """Let files run again when they are named next: what they define has the state of its beginning then."""
    _module.cache_clear()


def shown(path: str) -> str:
    """A path as short as it can be: from the current folder, where it leads down from there."""
    here = os.path.relpath(path)
    return path if here.startswith(os.pardir) else here


@cache
def _module(path: str) -> ModuleType:
    name = f"llext:{path}"  # two files may have the same name
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        fail("usage", f"`{path}` is not a Python file", help="its name ends with .py")
    module = module_from_spec(spec)
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)  # for what it imports from beside it
    sys.modules[name] = module  # data classes look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises
        del sys.modules[name]
        UserError(os.path.basename(path), error).fail(Location(path))
    finally:
        sys.path.remove(folder)
    return module
