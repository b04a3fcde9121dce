"""The fixed structures of an ELF file as numpy types, and the numbers that its fields hold.

Source: gABI 4.1, chapters 4 and 5. Little-endian only: no target of this project is big-endian.
"""

from __future__ import annotations

import numpy as np

ELFMAG = b"\x7fELF"
ELFCLASS = {1: 32, 2: 64}
ELFDATA2LSB = 1
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON = 0, 0xFF00, 0xFFF1, 0xFFF2
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = 0, 1, 2, 3, 4, 7, 8, 9
SHT_DYNSYM, SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY, SHT_GROUP = 11, 14, 15, 16, 17
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS = 1, 2, 4, 0x10, 0x20
SHF_LINK_ORDER, SHF_GROUP, SHF_TLS = 0x80, 0x200, 0x400
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS = 0, 1, 2, 3, 4, 5, 6
PT_LOAD = 1

EHDR_OF = {
    bits: np.dtype(
        [
            ("ident", "S16"),
            ("type", "<u2"),
            ("machine", "<u2"),
            ("version", "<u4"),
            ("entry", word),
            ("phoff", word),
            ("shoff", word),
            ("flags", "<u4"),
            ("ehsize", "<u2"),
            ("phentsize", "<u2"),
            ("phnum", "<u2"),
            ("shentsize", "<u2"),
            ("shnum", "<u2"),
            ("shstrndx", "<u2"),
        ]
    )
    for bits, word in ((32, "<u4"), (64, "<u8"))
}
SHDR_OF = {
    bits: np.dtype(
        [
            ("name", "<u4"),
            ("type", "<u4"),
            ("flags", word),
            ("addr", word),
            ("offset", word),
            ("size", word),
            ("link", "<u4"),
            ("info", "<u4"),
            ("addralign", word),
            ("entsize", word),
        ]
    )
    for bits, word in ((32, "<u4"), (64, "<u8"))
}
SYM_OF = {
    32: np.dtype(
        [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2")]
    ),
    64: np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2"), ("value", "<u8"), ("size", "<u8")]
    ),
}
REL_OF = {32: np.dtype([("offset", "<u4"), ("info", "<u4")]), 64: np.dtype([("offset", "<u8"), ("info", "<u8")])}
RELA_OF = {
    32: np.dtype([("offset", "<u4"), ("info", "<u4"), ("addend", "<i4")]),
    64: np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")]),
}
PHDR_OF = {
    32: np.dtype(
        [
            ("type", "<u4"),
            ("offset", "<u4"),
            ("vaddr", "<u4"),
            ("paddr", "<u4"),
            ("filesz", "<u4"),
            ("memsz", "<u4"),
            ("flags", "<u4"),
            ("align", "<u4"),
        ]
    ),
    64: np.dtype(
        [
            ("type", "<u4"),
            ("flags", "<u4"),
            ("offset", "<u8"),
            ("vaddr", "<u8"),
            ("paddr", "<u8"),
            ("filesz", "<u8"),
            ("memsz", "<u8"),
            ("align", "<u8"),
        ]
    ),
}
R_SYM_SHIFT = {32: 8, 64: 32}
