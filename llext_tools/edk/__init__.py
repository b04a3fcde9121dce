"""Zephyr's Extension Development Kit (EDK): the headers and flags of one firmware, for extensions built elsewhere.

A firmware's build makes it (`west build -t llext-edk`): an archive of one folder, with the headers in ``include`` and
two files of variables that say the same, ``cmake.cflags`` and ``Makefile.cflags``. What a flag means depends on who is
asked, so the work goes in steps:

* ``archive``: an archive becomes a folder of the cache, or none at all;
* ``cflags``: the text of either file becomes variables, each a list of words;
* ``words``: the words of ``LLEXT_CFLAGS`` are sorted by kind, and what an extension must not have is taken out;
* ``policy``: so is what is not about code, for a kit may come from anywhere;
* ``compiler``: the compiler says which of the rest it takes, and what CPU the flags are for;
* ``target``: so it is known which targets fit;
* ``adapt``: all that for one target and one compiler.

Source: Zephyr's documentation, "Building extensions", "LLEXT EDK".
"""

from __future__ import annotations

from llext_tools.edk.adapt import Adapted, adapt
from llext_tools.edk.read import Edk, read_edk
from llext_tools.edk.target import targets_of

__all__ = ["Adapted", "Edk", "adapt", "read_edk", "targets_of"]
