"""Which functions of the compiler's own library are in an extension: a bill of materials names that library."""

from __future__ import annotations

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.families import RUNTIME, family


def helpers_in(obj: ElfObject) -> list[str]:
    """The names of the helpers that an extension has itself and calls, sorted.

    A stripped one has these names still, for relocations need them. That a name begins with ``__`` is not enough:
    functions of headers do so, too.
    """
    y = obj.symbols
    functions = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx != elf.SHN_UNDEF))
    names = set(y.names(functions.tolist()))
    return sorted(name for name in names if (found := family(name)) and found.code == RUNTIME)
