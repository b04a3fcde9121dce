"""Rules about several extensions, on extensions that compilers have made.

Oracle: the loader on the host, which has the use counts, return codes and addresses that Zephyr's own loader gave
(``tests/conformance``); for circles in random graphs ``graphlib``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools import arch as archs
from llext_tools.check import Member, beside, check, check_together, loaded_before, member
from llext_tools.diag import Diagnostic
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Runtime
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

PRINTK = 0x0800_0101
FIRMWARE = Firmware(exports=ExportTable.of({"printk": PRINTK}, "board.toml"))
COMPILERS = {
    "arm": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mlong-calls"),
    "riscv": ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-mno-relax", "-msmall-data-limit=0"),
}
FIVE = {  # who needs whom
    "app": ("ui", "net"),
    "ui": ("gfx",),
    "net": ("log",),
    "gfx": ("log",),
    "log": (),
}


def source(name: str, needs: Sequence[str], exports: Sequence[str] = ()) -> str:
    """An extension that exports ``name`` (or other names) and calls what it needs."""
    exports = exports or (name,)
    lines = ["#include <llext/symbol.h>", "void printk(const char *, ...);", *(f"int {each}(void);" for each in needs)]
    calls = " + ".join(["1", *(f"{each}()" for each in needs)])
    lines += [f'int own_{name}(void) {{ printk("x"); return {calls}; }}']
    lines += [f"LL_EXTENSION_SYMBOL_NAMED(own_{name}, {export});" for export in exports]
    return "\n".join([*lines, ""])


def build(
    folder: Path, sources: Mapping[str, str], arch: str = "arm", *, flags: Sequence[str] = ()
) -> dict[str, ElfObject]:
    """One object for each source, by one call of the compiler."""
    for name, text in sources.items():
        (folder / f"{name}.c").write_text(text)
    compiler, *options = COMPILERS[arch]
    options += ["-Os", "-ffreestanding", "-fno-asynchronous-unwind-tables", "-DLL_EXTENSION_BUILD", *flags]
    subprocess.run(
        [need(compiler), *options, f"-I{include_dir()}", "-c", *(f"{name}.c" for name in sources)],
        cwd=folder,
        check=True,
    )
    for name in sources:
        (folder / f"{name}.o").rename(folder / f"{name}.llext")
    return {name: load_object(str(folder / f"{name}.llext")) for name in sources}


def members(objects: Mapping[str, ElfObject], firmware: Firmware | None = FIRMWARE) -> dict[str, Member]:
    """What the rules about several extensions look at; each extension by itself is fine."""
    others = beside(objects.values(), firmware)
    return {
        name: member(check(obj, firmware=firmware, others=others[obj.machine, obj.bits]))
        for name, obj in objects.items()
    }


def codes(found: Sequence[Diagnostic]) -> list[str]:
    return [each.code for each in found]


class Board:
    """A loader; ``load()`` says whether it took an extension."""

    def __init__(self, arch: str = "arm") -> None:
        config = Config(heap="plain", heap_start=0x2000_0000, heap_size=1 << 18)
        self.rt = Runtime(archs.load(arch), 32, exports=FIRMWARE.exports, config=config)

    def load(self, name: str, obj: ElfObject) -> bool:
        try:
            self.rt.load(BufLoader(obj.image.tobytes()), name)
        except LlextError as error:
            assert error.errno == "ENODATA"
            return False
        return True


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", COMPILERS)
def test_order_of_loading_is_judged_as_the_loader_does(arch: str, tmp_path: Path) -> None:
    objects = build(tmp_path, {name: source(name, needs) for name, needs in FIVE.items()}, arch)
    known = members(objects)
    good = 0
    for order in permutations(FIVE):
        board = Board(arch)
        refused = {str(tmp_path / f"{name}.llext") for name in order if not board.load(name, objects[name])}
        found = list(check_together([known[name] for name in order], in_order=True))
        assert set(codes(found)) <= {"dependency-order"}
        # the check reports causes: what is refused only since its provider was is not named again
        named = {each.location.file for each in found if each.location}
        assert named <= refused
        assert bool(named) == bool(refused)
        good += not refused
        assert not list(check_together([known[name] for name in order]))
    assert 0 < good < 120


@pytest.mark.toolchain
def test_shared_objects_are_asked_like_others(tmp_path: Path) -> None:
    objects = build(tmp_path, {name: source(name, needs) for name, needs in FIVE.items()}, flags=["-fPIC"])
    ld = need("arm-none-eabi-ld")
    shared = {}
    for name in objects:
        so = tmp_path / f"{name}.so"
        command = [ld, "-shared", "--hash-style=sysv", "-zmax-page-size=16", f"{name}.llext", "-o", so.name]
        subprocess.run(command, cwd=tmp_path, check=True)
        shared[name] = load_object(str(so))
    known = members(shared)
    assert {name: each.offers for name, each in known.items()} == {name: (name,) for name in FIVE}
    assert {name: set(each.needs) for name, each in known.items()} == {name: set(x) for name, x in FIVE.items()}
    with pytest.raises(LlextError) as info:
        check(shared["log"], firmware=FIRMWARE, entries=("log", "logg"))
    assert codes(info.value.diagnostics) == ["entry-missing"]


@pytest.mark.toolchain
def test_imports_of_another_file_are_not_missing(tmp_path: Path) -> None:
    objects = build(tmp_path, {name: source(name, needs) for name, needs in FIVE.items()})
    with pytest.raises(LlextError) as info:
        check(objects["app"], firmware=FIRMWARE)
    assert len(info.value.diagnostics) == 2
    known = members(objects)
    assert {name: set(each.needs) for name, each in known.items()} == {n: set(needs) for n, needs in FIVE.items()}
    assert known == members(objects, None), "without a firmware others are taken to have what they export"
    others = beside(objects.values(), FIRMWARE)
    subject = check(objects["app"], firmware=FIRMWARE, others=others[40, 32])
    assert dict(subject.imports) == {"printk": PRINTK}, "no address is made up for what another extension exports"


@pytest.mark.toolchain
def test_what_is_loaded_before_is_there_and_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--extension`, of `llext check` and of `llext finish`; the loader takes exactly what the check takes."""
    objects = build(tmp_path, {name: source(name, needs) for name, needs in FIVE.items()})
    monkeypatch.chdir(tmp_path)
    Path("board.toml").write_text(f"[exports]\nprintk = {PRINTK}\n")
    call = ("check", "--no-settings", "--exports=board.toml")
    for first, last in ((), "gfx"), (("log",), "gfx"), (("log", "net"), "app"), (("log", "net", "gfx", "ui"), "app"):
        board = Board()
        assert all(board.load(name, objects[name]) for name in first)
        status, printed = llext(*call, *(f"--extension={name}.llext" for name in first), f"{last}.llext")
        assert (status == 0) == board.load(last, objects[last]), printed
        assert status in (0, 5)
    _, printed = llext(*call, "gfx.llext", "--extension=log.llext", "--format=json")
    assert [each["file"] for each in json.loads(printed)["files"]] == ["gfx.llext"]
    assert llext("finish", "gfx.llext", "-o", "out.llext", "--check", *call[1:], "--extension=log.llext")[0] == 0
    assert llext("finish", "gfx.llext", "-o", "out.llext", "--check", *call[1:])[0] == 5
    assert llext(*call, "log.llext", "gfx.llext", "--extension=log.llext")[0] == 0, "it is one file, not two"
    status, printed = llext(*call, "gfx.llext", "--extension=none.llext")
    assert status == 3, printed


@pytest.mark.toolchain
def test_a_name_that_is_taken_before(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    objects = build(tmp_path, {"app": source("app", ())})
    objects |= {"first": build(tmp_path / "other", {"app": source("log", ())})["app"]}
    first, app = loaded_before(objects["first"]), members(objects)["app"]
    board = Board()
    assert board.load("app", objects["first"])
    (found,) = check_together([first, app])
    assert found.code == "name-collision"
    assert found.location == app.at
    assert not list(check_together([first, first]))


@pytest.mark.toolchain
def test_the_ninth_dependency_has_no_use_count(tmp_path: Path) -> None:
    parts = [f"f{i}" for i in range(1, 11)]
    objects = build(tmp_path, {**{name: source(name, ()) for name in parts}, "app": source("app", parts)})
    board = Board()
    assert all(board.load(name, obj) for name, obj in objects.items())
    free = [ext.name for name in parts if (ext := board.rt.by_name(name)) and ext.use_count == 1]
    (found,) = check_together(members(objects).values())
    assert found.code == "dependency-many"
    assert [name for name in parts if f"`{name}`" in found.notes[0]] == free
    del objects["f10"], objects["f9"]
    (tmp_path / "8").mkdir()
    objects |= build(tmp_path / "8", {"app": source("app", parts[:8])})
    assert not list(check_together(members(objects).values()))


@pytest.mark.toolchain
def test_the_first_of_two_providers_is_taken(tmp_path: Path) -> None:
    sources = {"flac": source("flac", (), ["codec"]), "opus": source("opus", (), ["codec"])}
    objects = build(tmp_path, {**sources, "app": source("app", ["codec"])})
    known = members(objects)
    assert codes(list(check_together(known.values()))) == ["export-ambiguous"]
    assert not list(check_together([known["flac"], known["opus"]])), "nobody asks for it"
    assert not list(check_together([known["flac"], known["app"]]))
    for order in (("flac", "opus"), ("opus", "flac")):
        board = Board()
        assert all(board.load(name, objects[name]) for name in (*order, "app"))
        app = board.rt.by_name("app")
        assert app is not None
        assert [each.name for each in app.dependency] == [order[0]]


@pytest.mark.toolchain
def test_what_the_firmware_exports_is_the_firmwares(tmp_path: Path) -> None:
    objects = build(tmp_path, {"log": source("log", (), ["printk"]), "app": source("app", ["log"], ["app"])})
    others = beside(objects.values(), FIRMWARE)
    assert others[40, 32].borrowed(["printk", "log"], FIRMWARE) == ()
    with pytest.raises(LlextError):
        members(objects)  # nobody exports `log`
    board = Board()
    assert board.load("log", objects["log"])
    assert not board.load("app", objects["app"])


@pytest.mark.toolchain
def test_names_are_told_apart_as_the_loader_does(tmp_path: Path) -> None:
    names = ["temperature_logger", "temperature_log_2", "temperature_lo", "temperature_l", "hello"]
    objects = build(tmp_path, {name: source("f", ()) for name in names})
    board, again = Board(), []
    for name, obj in objects.items():
        count, _ = board.rt.load(BufLoader(obj.image.tobytes()), name)
        again += [str(tmp_path / f"{name}.llext")] if count else []
    found = list(check_together(members(objects).values()))
    assert codes(found) == ["name-collision"] * len(again)
    assert (
        [each.location.file for each in found if each.location] == again == [str(tmp_path / "temperature_log_2.llext")]
    )


@pytest.mark.toolchain
def test_one_extension_for_many_targets_is_no_collision(tmp_path: Path) -> None:
    objects: dict[str, ElfObject] = {}
    for folder, arch in (("m4", "arm"), ("m7", "arm"), ("rv32", "riscv")):
        (tmp_path / folder).mkdir()
        built = build(tmp_path / folder, {name: source(name, needs) for name, needs in FIVE.items()}, arch)
        objects |= {f"{folder}/{name}": obj for name, obj in built.items()}
    known = members(objects).values()
    assert not list(check_together(known))
    found = list(check_together(known, in_order=True))
    assert codes(found).count("name-collision") == len(FIVE), "of those for Arm, if one board is to load them all"


def file(name: str, needs: Sequence[str] = (), offers: Sequence[str] = ()) -> Member:
    return Member(f"{name}.llext", name, (40, 32), tuple(offers) or (name,), tuple(needs))


GRAPHS = st.integers(1, 7).flatmap(
    lambda n: st.fixed_dictionaries(
        {f"e{i}": st.frozensets(st.sampled_from([f"e{k}" for k in range(n)])) for i in range(n)}
    )
)


@given(GRAPHS)
def test_circles_are_found_as_graphlib_finds_them(graph: dict[str, frozenset[str]]) -> None:
    found = list(check_together([file(name, sorted(needs)) for name, needs in graph.items()]))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        assert "dependency-cycle" in codes(found)
        (cycle,) = (each for each in found if each.code == "dependency-cycle")
        for line in cycle.detail:
            user, symbol, provider = line.split("`")[1::2]
            assert provider == symbol
            assert symbol in graph[user]
    else:
        assert "dependency-cycle" not in codes(found)


def test_who_exports_what_it_needs_itself_has_nobody_to_ask() -> None:
    (found,) = check_together([file("a", ["x"], ["x"]), file("b")])
    assert found.code == "dependency-cycle"
    assert found.message == "`a` needs itself: no order of loading works"


def test_a_provider_that_does_not_load_makes_no_circle() -> None:
    """Only files that load are members: the one that exports ``shared`` has an error of its own."""
    assert codes(list(check_together([file("user", needs=["shared"])]))) == []
