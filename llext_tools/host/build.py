"""What a firmware's build tells beyond its export table: symbols, debug information, Kconfig options, devicetree.

    zephyr.elf                                        what is defined, and in which line; which groups are switched off
    .config                                           beside it: options
    include/generated/zephyr/devicetree_generated.h   beside it: which node an ordinal stands for

Each is read when it is asked for the first time; a file that is not there, or not as it should be, tells nothing.
Source: Zephyr, ``include/zephyr/linker/llext-sections.ld`` (groups), ``scripts/dts/gen_defines.py`` (macros of nodes).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject, string_at
from llext_tools.elf.slid import AREA
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes
from llext_tools.link.exports import Definition

if TYPE_CHECKING:
    from llext_tools.host.image import Image

SWITCHED_OFF = ("llext_discarded_exports_table", "llext_discarded_exports_strtab")
"""Pairs of offsets into the second one: name of the symbol, name of its group."""
OPTION = re.compile(r"^CONFIG_(\w+)=(.*)$|^# CONFIG_(\w+) is not set$", re.MULTILINE)
NODES = (
    "include/generated/zephyr/devicetree_generated.h",
    "include/generated/devicetree_generated.h",  # before Zephyr 3.7
)
ORDINAL = re.compile(r"^#define (DT_N\w*)_ORD (\d+)\s*$", re.MULTILINE)
LARGEST = 64 << 20  # bytes of a text file


class FirmwareBuild:
    """The build whose ELF file is ``path``."""

    def __init__(self, path: str, *, config: str = "") -> None:
        self.source, self._config = path, config

    @property
    def has_symbols(self) -> bool:
        return self._elf is not None and len(self._elf.symbols) > 1

    def definition(self, name: str) -> Definition | None:
        return self._image.definition(name) if self._image else None

    def names(self) -> Iterable[str]:
        obj = self._elf
        if obj is None:
            return ()
        y = obj.symbols
        shown = (y.bind != elf.STB_LOCAL) & (y.shndx != elf.SHN_UNDEF) & np.isin(y.type, (elf.STT_FUNC, elf.STT_OBJECT))
        return y.names(np.flatnonzero(shown & (y.name_at > 0)).tolist())

    def group(self, name: str) -> str:
        return self._groups.get(name, "")

    def unimplemented(self, name: str) -> bool:
        return name in self._unimplemented

    def option(self, name: str) -> str | None:
        return self._options.get(name)

    def device(self, ordinal: int) -> str:
        """As the build's header has it: ``#define DT_N_S_soc_S_gpio_ORD 7`` and ``..._PATH "/soc/gpio"``."""
        header = self._devicetree
        node = next((name for name, number in ORDINAL.findall(header) if int(number) == ordinal), "")
        found = re.search(rf'^#define {node}_PATH "([^"\n]*)"', header, re.MULTILINE) if node else None
        return found[1] if found else ""

    @cached_property
    def _image(self) -> Image | None:
        from llext_tools.host.image import Image  # which reads export tables, which know this module

        try:
            image = Image(read_bytes(self.source), self.source)
            return image if image.obj.path else None
        except LlextError:
            return None

    @property
    def _elf(self) -> ElfObject | None:
        return self._image.obj if self._image else None

    @cached_property
    def _groups(self) -> Mapping[str, str]:
        pairs = self._pairs(SWITCHED_OFF[0])
        section = self._elf.sections.index(SWITCHED_OFF[1]) if self._elf else None
        if not pairs or section is None or self._elf is None:
            return {}
        strings = self._elf.contents(section).tobytes() + b"\0"
        inside = (pair for pair in pairs if max(pair) < len(strings))
        return {string_at(strings, name): string_at(strings, group) for name, group in inside}

    @cached_property
    def _unimplemented(self) -> frozenset[str]:
        null = [name for name, address in self._pairs(AREA) if not address]
        obj = self._elf
        if not null or obj is None:
            return frozenset()
        s, names = obj.sections, set()
        for at in null:
            holds = (
                (s.flags & elf.SHF_ALLOC != 0) & (s.type != elf.SHT_NOBITS) & (s.addr <= at) & (at < s.addr + s.size)
            )
            for i in np.flatnonzero(holds)[:1].tolist():
                names.add(string_at(obj.contents(i).tobytes() + b"\0", at - int(s.addr[i])))
        return frozenset(names)

    def _pairs(self, section: str) -> list[tuple[int, int]]:
        """The pairs of pointers in a section."""
        index = self._elf.sections.index(section) if self._elf else None
        if index is None or self._elf is None:
            return []
        word = self._elf.bits // 8
        data = self._elf.contents(index).tobytes()
        words = np.frombuffer(data[: len(data) // (2 * word) * 2 * word], f"<u{word}").reshape(-1, 2)
        return [(int(a), int(b)) for a, b in words.tolist()]

    @cached_property
    def _options(self) -> Mapping[str, str]:
        text = _text(self._config or os.path.join(os.path.dirname(self.source), ".config"))
        return {on or off: value if on else "n" for on, value, off in OPTION.findall(text)}

    @cached_property
    def _devicetree(self) -> str:
        folder = os.path.dirname(self.source)
        return next((text for name in NODES if (text := _text(os.path.join(folder, name)))), "")


def _text(path: str) -> str:
    """A text file, ``""`` if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST)
    except OSError:
        return ""
