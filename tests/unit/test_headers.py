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
@pytest.mark.parametrize(("compiler", "library"), [(COMPILERS[0], True), (COMPILERS[1], False)], ids=["gcc", "zig"])
def test_zephyrs_own_headers_come_first_in_a_zephyr_build(
    compiler: tuple[str, str], library: bool, language: toolchains.Language, tmp_path: Path
) -> None:
    """Against an EDK there may be no C library."""
    zephyr = tmp_path / "zephyr"
    for name, text in {
        "zephyr/llext/symbol.h": "#define EXPORT_SYMBOL(x) int zephyr_exports_##x\n",
        "zephyr/kernel.h": "#define ZEPHYR_KERNEL\n",
        "zephyr/sys/printk.h": "",
        **(dict.fromkeys(("stdio.h", "stdlib.h", "string.h"), "") if library else {}),
    }.items():
        (zephyr / name).parent.mkdir(parents=True, exist_ok=True)
        (zephyr / name).write_text(text, encoding="utf-8")
    text = (
        "#include <llext/symbol.h>\n#include <llext/host.h>\n"
        "#ifndef ZEPHYR_KERNEL\n#error the built-in prototypes\n#endif\nEXPORT_SYMBOL(x);\n"
    )
    for define in ("-D__ZEPHYR__=1", "-DCONFIG_LLEXT=1 -D__ZEPHYR__=1"):
        path = compile_it(tmp_path, compiler, language, f"-I{zephyr}", *define.split(), text=text)
        with path.open("rb") as file:
            assert ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("zephyr_exports_x")


@pytest.mark.parametrize("language", LANGUAGES)
def test_formats_are_checked(language: toolchains.Language, tmp_path: Path) -> None:
    text = '#include <llext/host.h>\nvoid f(void) { printk("%s", 1); }\n'
    with pytest.raises(AssertionError, match=r"-Werror.*format"):
        compile_it(tmp_path, COMPILERS[0], language, text=text)


KERNEL = r"""
#include <llext/host.h>
#include <llext/symbol.h>
LOG_MODULE_REGISTER(demo, LOG_LEVEL_DBG);
K_SEM_DEFINE(room, 1, 3);
static K_MUTEX_DEFINE(lock);
K_MSGQ_DEFINE(queue, 4, 10, 4);
K_FIFO_DEFINE(fifo); K_LIFO_DEFINE(lifo); K_QUEUE_DEFINE(q); K_EVENT_DEFINE(ev); K_CONDVAR_DEFINE(cv);
static void handler(struct k_work *w) { (void)w; }
K_WORK_DEFINE(work, handler); K_WORK_DELAYABLE_DEFINE(late, handler);
static void tick(struct k_timer *t) { (void)t; }
K_TIMER_DEFINE(timer, tick, NULL);
K_THREAD_STACK_DEFINE(stack, 1000);
K_THREAD_STACK_ARRAY_DEFINE(more, 2, 300);
static struct k_thread thread;
static void run(void *a, void *b, void *c) { ARG_UNUSED(a); (void)b; (void)c; k_sleep(K_MSEC(5)); }
int f(int x)
{
	if (x > 9) __ASSERT(x > 0, "x %d", x); else __ASSERT_NO_MSG(x);
	assert(x < 5 && "small");
	LOG_INF("hello"); LOG_ERR("%d", x);
	int64_t before = k_uptime_get();
	k_thread_create(&thread, stack, K_THREAD_STACK_SIZEOF(stack), run, 0, 0, 0, K_PRIO_PREEMPT(3), 0, K_NO_WAIT);
	k_sem_take(&room, K_FOREVER); k_mutex_lock(&lock, K_USEC(x)); k_fifo_put(&fifo, &x); k_lifo_put(&lifo, &x);
	k_msgq_put(&queue, &x, K_SECONDS(1)); k_work_submit(&work); k_work_schedule(&late, K_MINUTES(1));
	(void)more; (void)k_work_is_pending(&work); (void)POINTER_TO_INT(&x);
	x += (int)k_uptime_delta(&before);
	return x + K_TIMEOUT_EQ(K_NO_WAIT, K_FOREVER) + (int)k_event_wait(&ev, 1, false, K_HOURS(2));
}
EXPORT_SYMBOL(f);
"""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("compiler", COMPILERS, ids="-".join)
def test_kernel_objects_can_be_defined(
    compiler: tuple[str, str], language: toolchains.Language, tmp_path: Path
) -> None:
    """With each compiler, in C and C++, without a warning of -Wpedantic."""
    assert compile_it(tmp_path, compiler, language, "-DLL_EXTENSION_BUILD", text=KERNEL).exists()
