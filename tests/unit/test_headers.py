"""<llext/symbol.h> and <llext/host.h>, compiled by each kind of compiler as C and as C++.

Oracle: the sections as pyelftools reads them. What they must be is the loader's rule: one set of flags for each region.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from built import find
from llext_tools import toolchains
from llext_tools.paths import include_dir

pytestmark = pytest.mark.toolchain

COMPILERS = [("cortex-m4", "gcc"), ("cortex-m4", "zig"), ("rv32imac", "gcc"), ("rv64gc", "zig")]
LANGUAGES: tuple[toolchains.Language, ...] = ("C", "CXX")

SOURCE = """\
#include <llext/host.h>
#include <llext/symbol.h>
#ifdef __cplusplus
namespace deep { int inside(int x) { return x; } }
EXPORT_SYMBOL_NAMED(deep::inside, inside);
extern "C" {
#else
int deep(int x) { return x; }
EXPORT_SYMBOL_NAMED(deep, inside);
#endif
int call(const char *text) { printk("%s %zu", text, strlen(text)); return 1; }
const int table[3] = {1, 2, 3};
extern const char *const names[2];
#ifdef __cplusplus
}
#endif
static int counter;
EXPORT_SYMBOL(call);
LL_EXTENSION_SYMBOL(table);
EXPORT_GROUP_SYMBOL(DEVICE, names);
LL_EXTENSION_SYMBOL_NAMED(counter, my_counter);
EXPORT_GROUP_SYMBOL_NAMED(LIBC, call, call_again);
"""
IN_EXTENSION = ["inside", "call", "table", "names", "my_counter", "call_again"]
IN_IMAGE = ["inside", "call", "names", "call_again"]


def compile_it(
    folder: Path, compiler: tuple[str, str], language: toolchains.Language, *flags: str, text: str = SOURCE
) -> Path:
    combination = find(*compiler)
    source = folder / ("source.c" if language == "C" else "source.cpp")
    source.write_text(text, encoding="utf-8")
    tool = combination.toolchain.cc if language == "C" else combination.toolchain.cxx
    options = toolchains.flags(combination.target, combination.toolchain.name, language)
    command = [*tool, *options, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{include_dir()}", *flags]
    done = subprocess.run(
        [*command, "-c", str(source), "-o", str(folder / "source.o")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "source.o"


def entries(path: Path, section: str) -> tuple[int, list[str]]:
    """The flags of a table's section and the exported names, in any order."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(section)
        if table is None:
            return 0, []
        size = elf.elfclass // 8
        names = []
        for relocs in elf.iter_sections():
            if isinstance(relocs, RelocationSection) and relocs.name in (f".rel{section}", f".rela{section}"):
                symbols = elf.get_section(relocs["sh_link"])
                for reloc in relocs.iter_relocations():
                    if reloc["r_offset"] % (2 * size):
                        continue  # the address
                    symbol = symbols.get_symbol(reloc["r_info_sym"])
                    if relocs.is_RELA():
                        addend = reloc["r_addend"]
                    else:
                        word = table.data()[reloc["r_offset"] :][:size]
                        addend = int.from_bytes(word, "little")
                    text = elf.get_section(symbol["st_shndx"]).data()[symbol["st_value"] + addend :]
                    names.append(text[: text.index(0)].decode())
        assert table["sh_size"] == 2 * size * len(names)
        return table["sh_flags"] & 7, names


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("compiler", COMPILERS, ids="-".join)
def test_an_extension_exports_by_a_read_only_table(
    compiler: tuple[str, str], language: toolchains.Language, tmp_path: Path
) -> None:
    """SHF_ALLOC and nothing else: Clang would make it writable in C++ if an address were cast."""
    path = compile_it(tmp_path, compiler, language, "-DLL_EXTENSION_BUILD")
    flags, names = entries(path, ".exported_sym")
    assert flags == 2
    assert sorted(names) == sorted(IN_EXTENSION)
    assert entries(path, "llext_const_symbol_area") == (0, [])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("compiler", COMPILERS, ids="-".join)
def test_a_base_image_exports_by_a_table_of_its_own(
    compiler: tuple[str, str], language: toolchains.Language, tmp_path: Path
) -> None:
    path = compile_it(tmp_path, compiler, language, "-Wno-unused-variable", "-Wno-unused-const-variable")
    flags, names = entries(path, "llext_const_symbol_area")
    assert flags == 2
    assert sorted(names) == sorted(IN_IMAGE)
    assert entries(path, ".exported_sym") == (0, [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_zephyrs_own_headers_come_first_in_a_zephyr_build(language: toolchains.Language, tmp_path: Path) -> None:
    zephyr = tmp_path / "zephyr"
    for name, text in {
        "zephyr/llext/symbol.h": "#define EXPORT_SYMBOL(x) int zephyr_exports_##x\n",
        "zephyr/kernel.h": "#define ZEPHYR_KERNEL\n",
        "zephyr/sys/printk.h": "",
        "stdio.h": "",
        "stdlib.h": "",
        "string.h": "",
    }.items():
        (zephyr / name).parent.mkdir(parents=True, exist_ok=True)
        (zephyr / name).write_text(text, encoding="utf-8")
    text = (
        "#include <llext/symbol.h>\n#include <llext/host.h>\n"
        "#ifndef ZEPHYR_KERNEL\n#error the built-in prototypes\n#endif\nEXPORT_SYMBOL(x);\n"
    )
    for define in ("-D__ZEPHYR__=1", "-DCONFIG_LLEXT=1 -D__ZEPHYR__=1"):
        path = compile_it(tmp_path, COMPILERS[0], language, f"-I{zephyr}", *define.split(), text=text)
        with path.open("rb") as file:
            assert ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("zephyr_exports_x")


@pytest.mark.parametrize("language", LANGUAGES)
def test_formats_are_checked(language: toolchains.Language, tmp_path: Path) -> None:
    text = '#include <llext/host.h>\nvoid f(void) { printk("%s", 1); }\n'
    with pytest.raises(AssertionError, match=r"-Werror.*format"):
        compile_it(tmp_path, COMPILERS[0], language, text=text)
