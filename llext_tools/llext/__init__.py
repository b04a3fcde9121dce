"""Zephyr's LLEXT subsystem on the host: the loader, its API and its memory, rule by rule.

``Runtime`` has the functions of ``llext.h``; a ``Llext`` is an extension in memory. Which generation's rules hold is a
``profile``, what the firmware was configured with is a ``Config``.
"""

from __future__ import annotations

from llext_tools.llext.config import Config
from llext_tools.llext.domain import MemDomain
from llext_tools.llext.ext import Llext, LoadParam, Region, Section, Symbol
from llext_tools.llext.loaders import BufLoader, FileLoader, Loader, Storage
from llext_tools.llext.log import Level, Line, Log
from llext_tools.llext.runtime import Runtime

__all__ = [
    "BufLoader",
    "Config",
    "FileLoader",
    "Level",
    "Line",
    "Llext",
    "LoadParam",
    "Loader",
    "Log",
    "MemDomain",
    "Region",
    "Runtime",
    "Section",
    "Storage",
    "Symbol",
]
