"""Which functions of the compiler's own library are in an extension: a bill of materials names that library."""

from __future__ import annotations

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.runtime import is_helper
from llext_tools.link.families import family


def helpers_in(obj: ElfObject) -> list[str]:
    """The names of the helpers that an extension has itself and calls, sorted.

    A stripped one has these names still, for relocations need them. A name must be one that ``llext runtime`` offers,
    for ``memcpy`` is the extension's own; and known for what it does, for functions of headers begin with ``__``, too.
    """
    y = obj.symbols
    functions = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx != elf.SHN_UNDEF))
    names = set(y.names(functions.tolist()))
    return sorted(name for name in names if is_helper(name) and family(name))
