"""The map of a linked extension as text: where regions, sections and symbols are, and whose functions it calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import Image
from llext_tools.mem import PERM, Mem, Perm

BIND = {elf.STB_LOCAL: "local", elf.STB_GLOBAL: "global", elf.STB_WEAK: "weak"}
KIND = {elf.STT_OBJECT: "object", elf.STT_FUNC: "func", elf.STT_TLS: "tls"}
NUMBER, TEXT = True, False  # columns: to the right, to the left


def map_text(image: Image, tables: Sequence[ExportTable]) -> str:
    """The map. ``tables``: those that the image was linked against, in their order, to say whose each import is.

    Symbols are without the Thumb bit; imports and exports have it, as in Zephyr's tables. The labels of literal pools
    and the like (``$d``, ``.L...``) are left out.
    """
    mask, digits = (1 << image.obj.bits) - 1, image.obj.bits // 4
    parts = [
        [f"map of {image.path}"],
        ["regions", *_table(_regions(image, digits), (TEXT, TEXT, NUMBER, NUMBER, NUMBER, TEXT))],
        ["sections", *_table(_sections(image, digits), (TEXT, NUMBER, NUMBER, TEXT, TEXT))],
        ["symbols", *_table(_symbols(image, digits), (TEXT, NUMBER, TEXT, TEXT, TEXT, TEXT))],
        ["imports", *_table(_imports(image, tables, mask, digits), (TEXT, TEXT, TEXT))],
        ["exports", *_table(_exports(image, digits), (TEXT, TEXT, TEXT))],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def import_source(name: str, tables: Iterable[ExportTable]) -> str:
    """Which table an import comes from: the first that has it."""
    return next((table.source for table in tables if table.find(name)), "")


def permissions(perm: Perm) -> str:
    """``r-x``."""
    return "".join(letter if perm & bit else "-" for letter, bit in zip("rwx", (Perm.R, Perm.W, Perm.X), strict=True))


def _regions(image: Image, digits: int) -> Iterator[Sequence[str]]:
    yield "address", "region", "size", "align", "unused", "may"
    for mem in sorted(image.mem, key=lambda mem: (image.layout.base[mem], mem)):
        region = image.regions.regions[mem]
        unused = region.prepad + region.gap
        address = f"0x{image.layout.base[mem]:0{digits}x}"
        yield address, mem.name, f"{region.size:,}", f"{region.align:,}", f"{unused:,}", permissions(PERM[mem])


def _sections(image: Image, digits: int) -> Iterator[Sequence[str]]:
    s, region = image.obj.sections, image.regions.region
    yield "address", "size", "align", "region", "section"
    mapped = np.flatnonzero(np.isin(region, list(PERM)))
    address = _unsigned(image, image.layout.section_addr[mapped])
    order = np.argsort(address, kind="stable")
    for i, where in zip(mapped[order].tolist(), address[order].tolist(), strict=True):
        yield f"0x{where:0{digits}x}", f"{s.size[i]:,}", f"{s.addralign[i]:,}", Mem(int(region[i])).name, s.name[i]


def _symbols(image: Image, digits: int) -> Iterator[Sequence[str]]:
    obj = image.obj
    y, s = obj.symbols, obj.sections
    yield "address", "size", "bind", "type", "section", "symbol"
    home = np.where(y.shndx < len(s), y.shndx, 0)
    shown = np.isin(image.regions.region[home], list(PERM)) | (y.shndx == elf.SHN_ABS)
    shown &= (y.name_at != 0) & ~np.isin(y.type, (elf.STT_SECTION, elf.STT_FILE))
    index = np.flatnonzero(shown)
    address = _unsigned(image, image.sym_tab.S[index])
    order = np.lexsort((index, address))
    columns = (index[order], address[order], y.size[index][order], y.bind[index][order], y.type[index][order])
    for i, where, size, bind, kind in zip(*(column.tolist() for column in columns), strict=True):
        if bind == elf.STB_LOCAL and y.name(i).startswith(("$", ".L")):
            continue
        section = s.name[y.shndx[i]] if y.shndx[i] < len(s) else "*ABS*"
        yield f"0x{where:0{digits}x}", f"{size:,}", BIND.get(bind, ""), KIND.get(kind, ""), section, y.name(i)


def _imports(image: Image, tables: Sequence[ExportTable], mask: int, digits: int) -> Iterator[Sequence[str]]:
    yield "address", "symbol", "from"
    for name, address in sorted(image.imports.items()):
        yield f"0x{address & mask:0{digits}x}", name, import_source(name, tables)


def _exports(image: Image, digits: int) -> Iterator[Sequence[str]]:
    yield "address", "symbol", "type"
    for export in image.exp_tab.symbols:
        yield f"0x{export.address:0{digits}x}", export.name, export.kind


def _unsigned(image: Image, addresses: I64) -> NDArray[np.uint64]:
    return addresses.astype(np.uint64) & np.uint64((1 << image.obj.bits) - 1)


def _table(rows: Iterable[Sequence[str]], numeric: tuple[bool, ...]) -> list[str]:
    """Lines with aligned columns; a table without a row says so."""
    lines = list(rows)
    if len(lines) == 1:
        return ["  none"]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    form = "  ".join(f"{{:{'>' if right else '<'}{width}}}" for right, width in zip(numeric, widths, strict=True))
    return [("  " + form.format(*line)).rstrip() for line in lines]
