"""The extensions in an ISA string.  Source: the RISC-V ISA manual, "ISA Extension Naming Conventions"."""

from __future__ import annotations


def extensions(isa: str) -> tuple[str, ...]:
    """``rv32i2p1_m2p0_zba1p0`` and ``rv32im_zba`` alike as ``("i", "m", "zba")``."""
    first, *others = isa.lower().removeprefix("rv32").removeprefix("rv64").split("_")
    version_free = [other.rstrip("0123456789").removesuffix("p").rstrip("0123456789") for other in others]
    letters = "".join(letter for i, letter in enumerate(first) if letter.isalpha() and not _is_version(first, i))
    words = dict.fromkeys([*letters.replace("g", "imafd"), *version_free])
    return tuple(word for word in words if word)


def _is_version(text: str, i: int) -> bool:
    """Whether the ``p`` at ``i`` stands between two numbers."""
    return text[i] == "p" and text[i - 1 : i].isdecimal() and text[i + 1 : i + 2].isdecimal()
