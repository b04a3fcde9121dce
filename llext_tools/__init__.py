"""Build, check, link and run Zephyr's loadable extensions (LLEXT) on the host.

Importing this package loads nothing else: the public names below are resolved on first use, so that
``llext --help`` starts as fast as Python does. None of them is also that of a module, which would take its place: the
functions ``link()`` and ``run()`` come from ``llext_tools.link`` and ``llext_tools.run``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the 6 ms that importing typing takes
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Diagnostic": "llext_tools.diag",
    "Location": "llext_tools.diag",
    "Reporter": "llext_tools.diag",
    "LlextError": "llext_tools.errors",
    "Domain": "llext_tools.mem",
    "Mem": "llext_tools.mem",
    "Partition": "llext_tools.mem",
    "Perm": "llext_tools.mem",
    "ExportTable": "llext_tools.link.exports",
    "Image": "llext_tools.link",
    "read_object": "llext_tools.elf.read",
    "read_exports": "llext_tools.host.tables",
    "installed": "llext_tools.distributions",
    "Extension": "llext_tools.testing",
    "ExtensionError": "llext_tools.testing",
    "Host": "llext_tools.testing",
    "BufLoader": "llext_tools.llext",
    "Config": "llext_tools.llext",
    "FileLoader": "llext_tools.llext",
    "Llext": "llext_tools.llext",
    "LoadParam": "llext_tools.llext",
    "MemDomain": "llext_tools.llext",
    "Loader": "llext_tools.llext",
    "Runtime": "llext_tools.llext",
    "Storage": "llext_tools.llext",
}

__all__ = ["__version__", "cmake_dir", *_PUBLIC]


def cmake_dir() -> str:
    """Absolute path of the folder that holds ``LlextToolsConfig.cmake`` (for ``-DLlextTools_DIR=``)."""
    from llext_tools.paths import cmake_dir

    return cmake_dir()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
