"""Where a firmware's debug information is found, and what happens if there is none or it is damaged.

Oracle: the sources, and pyelftools as the second reader of entries.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import built
from llext_tools.abi.dwarf import read_interface, read_types
from llext_tools.abi.notation import prototype
from llext_tools.abi.types import Interface
from llext_tools.elf import dies
from llext_tools.elf.dies import Debug, Entry
from llext_tools.elf.read import load_object, read_object
from llext_tools.host.firmware import read_firmware
from needs import need
from typed import EXPORT, disagreements, link

pytestmark = pytest.mark.toolchain

COMBINATIONS = [("cortex-m4", "gcc"), ("cortex-m33", "zig"), ("rv32imac", "gcc"), ("rv64gc", "zig")]
VERSIONS = ["-gdwarf-4", "-gdwarf-5"]

PARTS = (
    """
    struct item { int a; };
    int caller(void);
    int one(struct item *i) { return i->a + caller(); }
    static int shared(int x) { return x + 1; }
    int use_shared(int x) { return shared(x); }
    EXPORT(one); EXPORT(use_shared);
    """,
    """
    struct item { long long b; struct item *next; };
    struct box { struct item in; };
    int one(void); /* a wrong declaration */
    int caller(void) { return one(); }
    int two(struct box *b) { return b->in.b; }
    static __attribute__((noinline)) int shared(int *x) { return *x + 1; }
    int use(int x) { return shared(&x); }
    EXPORT(two); EXPORT(shared);
    EXPORT_AS(two, other_name);
    """,
    """
    struct item { int c, d; };
    extern int in_assembly(struct item *i, int n);
    int three(struct item i) { return in_assembly(&i, 3); }
    int hree(char c) { return c; }
    int v = 3;
    short table[4] = {1};
    __asm__(".text\\n.global in_assembly\\n.type in_assembly, %function\\nin_assembly:\\n.word 0\\n");
    EXPORT(three); EXPORT(in_assembly); EXPORT(hree); EXPORT(v); EXPORT(table);
    """,
)
TYPES = {  # symbol -> notation of its parameters, or of the variable, and the size of the first structure
    "one": (["*struct item"], 4),
    "two": (["*struct box"], 16),
    "other_name": (["*struct box"], 16),
    "shared": (["*i32"], 0),
    "use_shared": (["i32"], 0),
    "three": (["struct item"], 8),
    "in_assembly": (["*struct item", "i32"], 8),
    "hree": (["u8"], 0),
    "v": ("i32", 0),
    "table": ("[4]i16", 0),
}


def described(interface: Interface, name: str) -> tuple[object, int]:
    """As in ``TYPES``: marks of tags left out, the size behind them."""
    signature = interface.symbols[name]
    texts = signature.result if signature.params is None else [param.type for param in signature.params]
    tags = [text.lstrip("*") for text in texts if text.lstrip("*") in interface.types]
    plain = texts if isinstance(texts, str) else [text.partition("#")[0] for text in texts]
    return plain, interface.types[tags[0]].size if tags else 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_definitions_are_found(combination: tuple[str, str], version: str, tmp_path: Path) -> None:
    flags = (version, "-O1", "-w", "-fno-builtin", "-fno-inline")
    fw = link(built.find(*combination), tmp_path, *PARTS, flags=flags)
    firmware = read_firmware([str(fw)])
    interface = firmware.interface(TYPES)
    lacking = {"in_assembly"} if combination[1] == "zig" and "in_assembly" not in interface.symbols else set()
    expected = {name: wanted for name, wanted in TYPES.items() if name not in lacking}
    assert {name: described(interface, name) for name in interface.symbols} == expected
    for name in interface.symbols:  # alone it is the same
        assert described(firmware.interface([name]), name) == TYPES[name]


CONSTANTS = """\
extern const int board_table[8];
const int board_table[8] = {1};
extern const char *const names[2];
const char *const names[2] = {"one", "two"};
extern const char *volatile words[3][4];
const char *volatile words[3][4];
"""


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_constants_are_spelt_as_in_the_source(combination: tuple[str, str], tmp_path: Path) -> None:
    """Oracle: the declarations; GCC says of an array and of its elements that they are constant, Clang of these."""
    fw = link(built.find(*combination), tmp_path, CONSTANTS, flags=("-O1",))
    interface = read_interface(str(fw), ["board_table", "names", "words"])
    spelt = [prototype(name, interface.symbols[name]) for name in ("board_table", "names", "words")]
    declared = [line.removeprefix("extern ").rstrip(";") for line in CONSTANTS.splitlines()[::2]]
    assert [text.replace("* const", "*const").replace("* volatile", "*volatile") for text in spelt] == declared


def test_types_of_one_tag_are_kept_apart(tmp_path: Path) -> None:
    fw = link(built.find("cortex-m4", "gcc"), tmp_path, *PARTS, flags=("-O1", "-w", "-fno-builtin", "-fno-inline"))
    types = read_interface(str(fw), ["one", "two", "three"]).types
    items = {tag: layout.size for tag, layout in types.items() if tag.startswith("struct item")}
    assert sorted(items.values()) == [4, 8, 16]
    box = types["struct box"]
    assert types[box.members[0].type].size == box.size == 16
    inner = types[box.members[0].type].members[1]
    assert inner.type == f"*{box.members[0].type}"


@pytest.mark.parametrize(
    "more",
    [
        ("-flto", "-Os"),
        ("-fdebug-types-section", "-Os"),
        ("-fdebug-types-section", "-gdwarf-4"),
        ("-gz", "-Os"),
        ("-gdwarf64", "-Os"),
        ("-gpubnames", "-Os"),
        ("-gsplit-dwarf", "-Os"),
        ("-g3", "-Os"),
        ("-ffunction-sections", "-O2"),
        ("-g1", "-Os"),
        ("-g0", "-Os"),
    ],
    ids=" ".join,
)
def test_unusual_debug_information(more: tuple[str, ...], tmp_path: Path) -> None:
    """Right or nothing. Oracle: the sources."""
    for i, part in enumerate(PARTS):
        (tmp_path / f"part{i}.c").write_text(EXPORT + part)
    command = [need("arm-none-eabi-gcc"), "-mcpu=cortex-m4", "-g", "-w", "-nostdlib", "-fno-builtin", "-Wl,-e0", *more]
    parts = [f"part{i}.c" for i in range(len(PARTS))]
    subprocess.run([*command, *parts, "-o", "fw.elf"], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    interface = read_firmware([str(tmp_path / "fw.elf")]).interface(TYPES)
    found = {name: described(interface, name) for name in interface.symbols}
    if more[0] in ("-g0", "-g1", "-gsplit-dwarf"):
        assert not found
    else:  # with DWARF 4 the types are in a section that is not read
        assert found.keys() >= {"hree", "v", "table"} | (set() if "-gdwarf-4" in more else {"one", "two", "three"})
    for name, (texts, size) in found.items():
        if "-gdwarf-4" not in more:  # its types are in another section
            assert texts == TYPES[name][0]
        assert size in (TYPES[name][1], 0)


@pytest.mark.parametrize("flags", [("-gdwarf-5",), ("-gdwarf-4", "-fdebug-types-section")], ids=" ".join)
@pytest.mark.parametrize("theirs", [("-gdwarf-5",), ("-gdwarf-4", "-fdebug-types-section")], ids=" ".join)
def test_types_in_a_section_of_their_own_are_unknown(
    theirs: tuple[str, ...], flags: tuple[str, ...], tmp_path: Path
) -> None:
    """DWARF 4 has them in ``.debug_types``. Oracle: one header, and one parameter too many."""
    gcc = built.find("cortex-m4", "gcc")
    header = "typedef struct { short a, b; } pair_t; struct s { int a; struct s *next; enum { NO, YES } e; };\n"
    header += "extern pair_t pairs[4]; extern struct s many[2]; int use(struct s *, struct s, pair_t);\n"
    definitions = "pair_t pairs[4]; struct s many[2]; int use(struct s *p, struct s s, pair_t t) { return s.a + t.a; }"
    exports = "\nint more(struct s *p) { return p->a; } EXPORT(use); EXPORT(more); EXPORT(pairs); EXPORT(many);"
    fw = link(gcc, tmp_path, header + definitions + exports, flags=theirs)
    start = "int start(void) { return use(many, many[1], pairs[1]) + more(many, 2); }"
    extension = gcc.compile(tmp_path, f"{header}int more(struct s *, int);\n{start}", *flags)
    assert [d.message for d in disagreements(extension, fw)] == [
        "`more` has 2 parameters in the extension, 1 in fw.elf"
    ]


@pytest.mark.parametrize("flags", [("-g0",), ("-gz",)], ids=" ".join)
def test_extension_without_usable_debug_information(flags: tuple[str, ...], tmp_path: Path) -> None:
    gcc = built.find("cortex-m4", "gcc")
    fw = link(gcc, tmp_path, "int f(int a) { return a; } EXPORT(f);")
    extension = gcc.compile(tmp_path, "int f(int a, int b);\nint start(void) { return f(1, 2); }", *flags)
    found = disagreements(extension, fw)
    assert [d.code for d in found] in ([], ["abi-prototype"])


def test_debug_information_beside_the_extension(tmp_path: Path) -> None:
    gcc = built.find("cortex-m4", "gcc")
    fw = link(gcc, tmp_path, "int f(int a) { return a; } EXPORT(f);")
    part = gcc.compile(tmp_path, "int f(int a, int b);\nint start(void) { return f(1, 2); }")
    debug = gcc.merge(tmp_path, part)
    shipped = tmp_path / "hello.llext"
    gcc.binutils("objcopy", "--strip-debug", debug, shipped)
    assert [d.code for d in disagreements(shipped, fw)] == ["abi-prototype"]
    debug.unlink()
    assert disagreements(shipped, fw) == []


# ---- the second reader

SOURCE = """
#include <stdint.h>
struct s { int a; char b[3]; struct s *next; union { int c; float d; }; unsigned e : 3; };
enum e { A, B = -5, C = 70000 };
static inline int inner(struct s *s, enum e e) { for (int i = 0; i < 3; i++) { int j = s->b[i]; if (j) return e; }
return 0; }
int outer(struct s *s, int (*cb)(void *, ...)) { return inner(s, B) + cb(s, 1, 2.0); }
extern int printk(const char *format, ...);
const char *text = "text";
int start(void) { static int n; return printk("%d", n++); }
"""
EVERY = range(0x10000)


def walk(debug: Debug, entry: Entry) -> Iterator[Entry]:
    yield entry
    for child in debug.children(entry, EVERY):
        yield from walk(debug, child)


@pytest.mark.parametrize("version", ["-gdwarf-2", "-gdwarf-3", *VERSIONS])
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_entries_are_those_of_pyelftools(combination: tuple[str, str], version: str, tmp_path: Path) -> None:
    fw = link(built.find(*combination), tmp_path, SOURCE + "int printk(const char *f, ...) { return *f; }", PARTS[1],
              "int one(void) { return 1; }", flags=(version, "-O2", "-w", "-fno-builtin"))  # fmt: skip
    debug = Debug(load_object(str(fw)))
    ours = {entry.offset: entry for unit in debug.units for entry in walk(debug, debug.top(unit))}
    with fw.open("rb") as file:
        info = ELFFile(file).get_dwarf_info()
        theirs = {die.offset: die for unit in info.iter_CUs() for die in unit.iter_DIEs() if not die.is_null()}
        assert ours.keys() == theirs.keys()
        compared = 0
        for offset, die in theirs.items():
            entry = ours[offset]
            assert entry.parent == die.has_children
            values = list(die.attributes.values())
            assert len(values) == len(entry.values)
            for value, our in zip(values, entry.values.values(), strict=True):
                their = value.value
                if value.form in ("DW_FORM_loclistx", "DW_FORM_rnglistx"):
                    continue  # it looks these up
                if value.form in ("DW_FORM_ref1", "DW_FORM_ref2", "DW_FORM_ref4", "DW_FORM_ref8", "DW_FORM_ref_udata"):
                    their += die.cu.cu_offset
                elif isinstance(their, list):
                    their = bytes(their)
                elif isinstance(our, str):
                    their = their.decode()
                assert our == their, (hex(offset), value)
                compared += 1
        assert compared > 300


# ---- damage


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_damaged_debug_information_is_none(combination: tuple[str, str], tmp_path: Path) -> None:
    """Any answer will do, in finite time and without an exception."""
    printk = "int printk(const char *f, ...) { return *f; }"
    flags = ("-O1", "-w", "-fno-builtin")
    path = link(built.find(*combination), tmp_path, *PARTS, SOURCE + printk, flags=flags)
    good = path.read_bytes()
    sections = load_object(str(path)).sections
    places = [
        range(int(start), int(start + size))
        for name, start, size in zip(sections.name, sections.offset, sections.size, strict=True)
        if name in (".debug_info", ".debug_abbrev", ".debug_str_offsets", ".debug_str", ".debug_addr")
    ]
    rng = random.Random(1)
    answers = set()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            place = rng.choice(places)
            if len(place):
                data[rng.choice(place)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        obj = read_object(bytes(data), "fw.elf")
        interface = read_interface(obj, [*TYPES, "outer", "printk"])
        types = read_types(obj, ["struct item", "struct s", "enum e", "struct box"])
        answers.add((len(interface.symbols), len(types)))
    assert len(answers) > 2


def test_types_in_circles_end(tmp_path: Path) -> None:
    """A pointer to itself, a typedef of itself, a structure in itself."""
    gcc = built.find("cortex-m4", "gcc")
    source = """
    struct in { int a; };
    struct out { struct in in; int b; };
    typedef struct out *pointer; typedef pointer again;
    int f(again a) { return a->b; }
    EXPORT(f);
    """
    path = link(gcc, tmp_path, source, flags=("-gno-strict-dwarf",))
    obj = load_object(str(path))
    debug = Debug(obj)
    start = int(obj.sections.offset[obj.sections.name.index(".debug_info")])
    good = path.read_bytes()
    entries = [e for unit in debug.units for e in walk(debug, debug.top(unit)) if 0x49 in e.values]
    for entry in entries:
        for target in entries:
            data = bytearray(good)
            old = int(entry.values[0x49]).to_bytes(4, "little")
            at = good.index(old, start + entry.offset, start + entry.end)
            data[at : at + 4] = target.offset.to_bytes(4, "little")
            read_interface(read_object(bytes(data), "fw.elf"), ["f"])


@pytest.mark.parametrize("change", ["none", "too large", "cut off"])
def test_a_compressed_section_may_claim_any_size(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fw = link(built.find("cortex-m4", "gcc"), tmp_path, "int f(int a) { return a; } EXPORT(f);")
    objcopy = need("arm-none-eabi-objcopy")
    subprocess.run([objcopy, "--compress-debug-sections=zlib", fw, tmp_path / "small.elf"], check=True)
    data = (tmp_path / "small.elf").read_bytes()
    obj = load_object(str(tmp_path / "small.elf"))
    section = obj.sections.name.index(".debug_str")
    if change == "too large":
        monkeypatch.setattr(dies, "LARGEST", 100)
    if change == "cut off":
        end = int(obj.sections.offset[section] + obj.sections.size[section])
        (tmp_path / "small.elf").write_bytes(data[: end - 9] + bytes(9) + data[end:])
    found = read_interface(str(tmp_path / "small.elf"), ["f"])
    assert found.symbols.keys() == ({"f"} if change == "none" else set())
