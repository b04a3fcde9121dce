"""How disagreements are told: one diagnostic for each cause, with all imports that it concerns. Oracle: the sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import built
from llext_tools.check import check
from llext_tools.diag import Diagnostic
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import read_firmware
from typed import disagreements, link

pytestmark = pytest.mark.toolchain

BEFORE = """
struct range { int min, max; };
struct sensor { char id; struct range range; struct sensor *next; int (*ready)(struct sensor *by); };
struct board { int n; struct sensor *sensors[4]; };
"""
AFTER = BEFORE.replace("int min, max;", "int min, typical, max;")
FUNCTIONS = ("first", "second", "third", "fourth", "fifth")


def sides(folder: Path, before: str, after: str, extension: str, firmware: str) -> tuple[Path, list[Diagnostic]]:
    gcc = built.find("cortex-m4", "gcc")
    fw = link(gcc, folder, after + firmware)
    part = gcc.merge(folder, gcc.compile(folder, before + extension))
    return part, disagreements(part, fw)


def test_one_diagnostic_for_five_imports(tmp_path: Path) -> None:
    declared = "".join(f"int {name}(struct sensor *s);\n" for name in FUNCTIONS)
    calls = " + ".join(f"{name}(s)" for name in FUNCTIONS)
    defined = "".join(f"int {name}(struct sensor *s) {{ return s->id; }} EXPORT({name});\n" for name in FUNCTIONS)
    start = f"int start(struct sensor *s) {{ return {calls}; }}\n"
    path, (found,) = sides(tmp_path, BEFORE, AFTER, declared + start, defined)
    assert found.message == "`struct range` has `max` at offset 4 in the extension, at offset 8 in fw.elf"
    assert found.detail == ("8 bytes in the extension, 12 bytes in fw.elf", "only in fw.elf: `int typical` at offset 4")
    reached = found.notes[0]
    assert reached.startswith("reached through pointers only, by `")
    assert reached.count("(parameter 1: `s->range`)") == 3
    assert reached.endswith(" and 2 more imports")
    assert found.notes[1] == "nothing on the board checks this"
    assert found.location is not None
    assert found.location.function == "start"
    assert found.location.section == ".text"
    assert found.location.offset in places(path, [reached.split("`")[1]])


def places(path: Path, names: list[str]) -> set[int]:
    """Where relocations of ``.text`` name one of ``names``, by readelf."""
    listing = built.find("cortex-m4", "gcc").binutils("readelf", "-rW", path).stdout
    return {
        int(line.split()[0], 16) for line in listing.splitlines() if line.split()[-1:] and line.split()[-1] in names
    }


WAYS = {
    # the import: how it reaches `struct range`
    "int by_value(struct sensor s) { return s.id; }": "reached by `by_value` (parameter 1: `s.range`)",
    "struct sensor *result(void) { return 0; }": "reached through pointers only, by `result` (its result: `range`)",
    "int list(struct sensor **s) { return 0; }": "reached through pointers only, by `list` (parameter 1: `s->range`)",
    "int array(struct board *b) { return b->n; }": (
        "reached through pointers only, by `array` (parameter 1: `b->sensors[]->range`)"
    ),
    "struct sensor global;": "reached by `global` (`global.range`)",
    "struct board *boards;": "reached through pointers only, by `boards` (`boards->sensors[]->range`)",
    "int callback(int (*cb)(struct sensor *it)) { return cb != 0; }": (
        "reached through pointers only, by `callback` (parameter 1: `cb->range`)"
    ),
}


@pytest.mark.parametrize("definition", WAYS)
def test_how_an_import_reaches_a_type(definition: str, tmp_path: Path) -> None:
    declaration = definition.partition(" {")[0].rstrip(";")
    name = next(word for word in WAYS[definition].split("`")[1:2])
    declaration = declaration if "(" in declaration else f"extern {declaration}"
    use = f"{declaration};\nvoid *start(void) {{ static void *volatile use = (void *)&{name}; return use; }}\n"
    _, (found,) = sides(tmp_path, BEFORE, AFTER, use, f"{definition}\nEXPORT({name});")
    assert found.message.startswith("`struct range` has `max` at offset 4 in the extension")
    assert found.notes[0] == WAYS[definition]


def test_prototypes_are_shown_as_in_c(tmp_path: Path) -> None:
    declared = "typedef int (*cb_t)(void *);\nint f(const char *name, int (*cb)(void *), char buffer[8]);"
    start = "int start(void) { return f(0, 0, 0); }"
    defined = "long long f(const char *name, int (*cb)(void *), char buffer[8], ...) { return 0; } EXPORT(f);"
    _, (found,) = sides(tmp_path, "", "", f"{declared}\n{start}", defined)
    assert found.message == "`f` returns `int` in the extension, `long long int` in fw.elf"
    assert found.detail == (
        "extension: int f(const char *, int (*)(void *), char *)",
        "fw.elf:    long long int f(const char *name, int (*cb)(void *), char *buffer, ...)",
    )
    assert found.help == "build the extension against the headers of this firmware"


def test_a_second_difference_is_not_hidden_by_the_first(tmp_path: Path) -> None:
    declared = "int f(struct sensor *s, int n); int g(void);"
    start = "int start(struct sensor *s) { return f(s, 1) + g(); }"
    defined = "int f(struct sensor *s, long long n) { return s->id + n; } void g(void) {} EXPORT(f); EXPORT(g);"
    _, found = sides(tmp_path, BEFORE, AFTER, f"{declared}\n{start}", defined)
    assert sorted(d.code for d in found) == ["abi-layout", "abi-prototype", "abi-prototype"]


FURTHER = {
    # what both sides have, «extension|firmware»: the last line of the figures
    "struct one { «int|unsigned» a; };": "4 bytes in both",
    "struct one { int «a, b, c|c, a, b»; };": "2 more members differ",
    "struct one { int «a, b|b, a»; };": "1 more member differs",
    "enum one { «A, B|NONE, A, B» };": "1 more enumerator differs",
    "enum one { «A, B, C|NONE, A, B, C» };": "2 more enumerators differ",
    "struct one { char a; «char b, c;|» int d; };": "1 more member differs",
}


@pytest.mark.parametrize("types", FURTHER)
def test_how_many_more_differ(types: str, tmp_path: Path) -> None:
    ours, theirs = (re.sub("«(.*?)[|](.*?)»", rf"\{side}", types) for side in (1, 2))
    kind = types.partition(" ")[0]
    declared = f"int f({kind} one *it); int start({kind} one *it) {{ return f(it); }}"
    _, (found,) = sides(tmp_path, ours, theirs, declared, f"int f({kind} one *it) {{ return it != 0; }} EXPORT(f);")
    assert found.detail[-1] == FURTHER[types]


def test_what_is_not_imported_is_not_compared(tmp_path: Path) -> None:
    declared = "int f(struct sensor *s); int g(int a);"
    start = "int start(void) { return g(1); }"
    defined = "int f(struct sensor *s) { return s->id; } int g(int a) { return a; } EXPORT(f); EXPORT(g);"
    path, found = sides(tmp_path, BEFORE, AFTER, f"{declared}\n{start}", defined)
    assert found == []
    assert "f" not in load_object(str(path)).symbols.names(range(len(load_object(str(path)).symbols)))


def test_source_files_of_one_extension_need_not_agree(tmp_path: Path) -> None:
    """One of two files was compiled with other headers, and is not the first one."""
    gcc = built.find("cortex-m4", "gcc")
    api = "int f(struct sensor *s); int g(int a);\n"
    defined = "int f(struct sensor *s) { return s->id; } int g(int a) { return a; } EXPORT(f); EXPORT(g);"
    fw = link(gcc, tmp_path, BEFORE + defined)
    for order in (("new", "old"), ("old", "new")):
        folder = tmp_path / order[0]
        parts = []
        for name, headers in (("new", BEFORE + api), ("old", AFTER + api.replace("int a", "long long a"))):
            (folder / name).mkdir(parents=True)
            start = f"int {name}(struct sensor *s) {{ return f(s) + g(1); }}"
            parts.append(gcc.compile(folder / name, f"{headers}{start}"))
        found = disagreements(gcc.merge(folder, *(parts if order[0] == "new" else reversed(parts))), fw)
        assert sorted(d.message for d in found) == [
            "`struct range` has `max` at offset 8 in the extension, at offset 4 in fw.elf",
            "parameter 1 `a` of `g` is `long long int` in the extension, `int` in fw.elf",
        ]


def test_how_many_more_members_differ(tmp_path: Path) -> None:
    before = "struct three { int a, b, c; }; struct two { int a, b; }; enum e { A, B, C };\n"
    after = "struct three { int c, a, b; }; struct two { int b, a; }; enum e { B, A, C };\n"
    declared = "void use(struct three *, struct two *, enum e);\n"
    _, found = sides(
        tmp_path,
        before,
        after,
        f"{declared}void start(void) {{ use(0, 0, A); }}",
        "void use(struct three *t, struct two *u, enum e e) {}\nEXPORT(use);",
    )
    counts = {d.message.split("`")[1]: [line for line in d.detail if "differ" in line] for d in found}
    assert counts == {
        "struct three": ["2 more members differ"],
        "struct two": ["1 more member differs"],
        "enum e": ["1 more enumerator differs"],
    }


QUALIFIED = ["const char *const", "int (*const", "int *const volatile", "const volatile int", "const int *"]


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
@pytest.mark.parametrize("left", QUALIFIED)
def test_qualifiers_are_told_as_the_source_has_them(left: str, toolchain: str, tmp_path: Path) -> None:
    right = ")(int)" if "(" in left else ""
    fw = link(built.find("cortex-m4", toolchain), tmp_path, f"{left} all[3]{right} = {{0}}; EXPORT(all);")
    extension = f"extern {left} all[2]{right}; const volatile void *start(void) {{ return &all[1]; }}"
    gcc = built.find("cortex-m4", "gcc")
    (found,) = disagreements(gcc.merge(tmp_path, gcc.compile(tmp_path, extension)), fw)
    ours, theirs = (f"`{left} [{n}]{right}`" for n in (2, 3))
    assert found.message == f"`all` is {ours} in the extension, {theirs} in fw.elf"


def test_another_machine_is_one_cause(tmp_path: Path) -> None:
    """A long double has 16 bytes on RISC-V, 8 on Arm: that is no mistake of its own."""
    header = "struct s { long double a; }; int use(struct s *s);\n"
    fw = link(built.find("rv32imac", "gcc"), tmp_path, f"{header}int use(struct s *s) {{ return 1; }} EXPORT(use);")
    gcc = built.find("cortex-m4", "gcc")
    extension = gcc.compile(tmp_path, f"{header}struct s s; int start(void) {{ return use(&s); }}")
    with pytest.raises(LlextError) as caught:
        check(load_object(str(gcc.merge(tmp_path, extension))), firmware=read_firmware([str(fw)]))
    assert [d.code for d in caught.value.diagnostics] == ["abi-machine"]
