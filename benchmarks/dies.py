"""Count the entries of a file's debug information by visiting each with pyelftools: dies.py FILE."""

from __future__ import annotations

import sys

from elftools.elf.elffile import ELFFile

with open(sys.argv[1], "rb") as file:
    print(sum(1 for unit in ELFFile(file).get_dwarf_info().iter_CUs() for _ in unit.iter_DIEs()))
