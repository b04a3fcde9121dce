"""What is kept of a firmware between calls. Oracle: what is read without a cache; the file that was given first."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fw import SOURCE, build
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature
from llext_tools.arch.base import Cpu
from llext_tools.elf.model import ElfObject
from llext_tools.host import cache, image
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.host.tables import write_exports
from llext_tools.link.exports import Export, ExportTable
from needs import need
from transcript import llext

POINT = Layout("struct", 8, (Member("x", 0, "i32", "int"), Member("y", 4, "i32", "int")))
OTHER = Layout("struct", 4, (Member("x", 0, "i32", "int"),))
DRAW = Signature("void", "void", (Param("p", "*struct point", "struct point *"),))
WHOLE = Interface({"printk": DRAW, "counter": Signature("i32", "int", None)}, {"struct point": POINT})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "firmware"


class Asked:
    """Stands in for the reader of debug information, and keeps what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[list[str]] = []
        self.known: dict[str, Interface] = dict.fromkeys(WHOLE.symbols, WHOLE)
        monkeypatch.setattr(image, "read_types", self.read)

    def read(self, _: ElfObject | None, names: Sequence[str]) -> Interface:
        self.names.append(sorted(names))
        found = [name for name in names if name in self.known]
        symbols = {name: self.known[name].symbols[name] for name in found}
        return Interface(symbols, {t: layout for name in found for t, layout in self.known[name].types.items()})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on nobody may parse an ELF file."""

    def fail(*_: object) -> None:
        raise AssertionError("the ELF file is read")

    monkeypatch.setattr(image, "read_object", fail)
    return monkeypatch


def facts_of(firmware: Firmware) -> tuple[object, ...]:
    found = [firmware.definition(name) for name in ("kept", "hidden", "counter", "nowhere")]
    return firmware.exports.symbols, firmware.exports.slid_bits, firmware.cpu, firmware.facts, firmware.heap(), found


@pytest.mark.toolchain
def test_second_time_says_the_same_and_reads_nothing(
    tmp_path: Path, asked: Asked, request: pytest.FixtureRequest
) -> None:
    elf = build(tmp_path)
    first = read_firmware([elf])
    before = (*facts_of(first), first.interface(["printk", "counter", "hidden"]))
    first.remember()
    request.getfixturevalue("no_reading")
    second = read_firmware([elf])
    assert (*facts_of(second), second.interface(["printk", "counter", "hidden"])) == before
    assert before[-1] == WHOLE
    assert second.exports.source == str(elf)
    assert second.interface(["counter"]) == Interface({"counter": WHOLE.symbols["counter"]}, {}), "what it reaches"
    assert asked.names == [["counter", "printk"]], "`hidden` is not among what is exported"


@pytest.mark.toolchain
def test_names_are_added(tmp_path: Path, asked: Asked) -> None:
    elf = build(tmp_path)
    for name in ("printk", "counter", "printk"):
        firmware = read_firmware([elf])
        assert name in firmware.interface([name]).symbols
        firmware.remember()
    assert read_firmware([elf]).interface(["printk", "counter"]) == WHOLE
    assert asked.names == [["printk"], ["counter"]]


@pytest.mark.toolchain
def test_that_nothing_is_known_is_known(tmp_path: Path, asked: Asked) -> None:
    elf = build(tmp_path)
    asked.known = {}
    for _ in range(2):
        firmware = read_firmware([elf])
        assert firmware.interface(["printk"]) == Interface({}, {})
        firmware.remember()
    assert asked.names == [["printk"]]


@pytest.mark.toolchain
def test_types_of_one_name_are_not_mixed(tmp_path: Path, asked: Asked) -> None:
    """Two units define `struct point`: the reader decides, once it sees both names."""
    elf = build(tmp_path)
    asked.known["counter"] = Interface({"counter": Signature("struct point", "p", None)}, {"struct point": OTHER})
    for name in ("printk", "counter"):
        firmware = read_firmware([elf])
        found = firmware.interface([name])
        firmware.remember()
    assert asked.names == [["printk"], ["counter"], ["counter", "printk"]]
    assert found.types == read_firmware([elf]).interface([name]).types == asked.read(None, ["counter", "printk"]).types


@pytest.mark.toolchain
def test_other_content_under_the_same_name_and_time(tmp_path: Path) -> None:
    elf = build(tmp_path)
    first = read_firmware([elf])
    first.remember()
    time = os.stat(elf).st_mtime_ns
    data = elf.read_bytes()
    assert data.count(b"printk\0") == 2, "in the table, and in the symbol table"
    elf.write_bytes(data.replace(b"printk\0", b"prlntk\0"))
    os.utime(elf, ns=(time, time))
    assert [e.name for e in read_firmware([elf]).exports.symbols] == [
        e.name.replace("printk", "prlntk") for e in first.exports.symbols
    ]


@pytest.mark.toolchain
def test_a_debug_file_beside_the_firmware_says_nothing(tmp_path: Path) -> None:
    """It can change while the firmware does not, and what is kept would be stale."""
    elf = build(tmp_path, SOURCE, "-g")
    assert read_firmware([elf]).interface(["printk"]).symbols.keys() == {"printk"}
    stripped = tmp_path / "zephyr"
    subprocess.run([need("arm-none-eabi-strip"), "--strip-debug", elf, "-o", stripped], check=True)
    elf.rename(tmp_path / "zephyr.debug.elf")
    assert read_firmware([stripped]).interface(["printk"]) == Interface({}, {})


@pytest.mark.toolchain
def test_damaged_entries_count_as_absent_and_are_replaced(tmp_path: Path, folder: Path) -> None:
    elf = build(tmp_path)
    read_firmware([elf]).remember()
    (entry,) = folder.iterdir()
    good = entry.read_bytes()
    expected = read_firmware([elf]).exports
    checksum, text = good.split(b"\n")
    damage = [good[:n] for n in (0, 1, len(checksum), len(checksum) + 1, len(good) // 2, len(good) - 1)]
    damage += [text, b"{}", b"\xff" * 99, good[:-9] + b"xxxxxxxxx", checksum + b"\n" + b"[" * 100_000]
    chance = random.Random(1)
    for _ in range(20):
        at = chance.randrange(len(good))
        damage.append(good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1 :])
    for data in damage:
        entry.write_bytes(data)
        firmware = read_firmware([elf])
        assert firmware.exports == expected
        firmware.remember()
        assert entry.read_bytes() == good


@pytest.mark.parametrize("content", [None, [], 3, {}, {"facts": 3}, {"facts": [1, 2, 3, 4, 5], "exports": [3]}])
@pytest.mark.toolchain
def test_foreign_entries_count_as_absent(content: object, tmp_path: Path) -> None:
    elf = build(tmp_path)
    cache.store(cache.key_of(elf.read_bytes()), content)
    assert len(read_firmware([elf]).exports.symbols) == 2


@pytest.mark.toolchain
def test_without_a_place_to_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder should be: nobody can write there, not even root."""
    elf = build(tmp_path)
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        monkeypatch.setenv("LLEXT_CACHE_DIR", str(place))
        code, printed = llext("check", str(elf), "--exports", str(elf))
        assert code == 4 or "elf-type" in printed
        assert "cache" not in printed
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_large_tables_are_kept_as_well(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = ExportTable(
        source="t",
        symbols=(Export("printk", 17, "func"), *(Export(f"a_long_name_{i}", i, "object") for i in range(1, 4000))),
        machine=40,
        cpu=Cpu("arm", 32, "Armv7E-M", ("v7e-m", "fpv4"), "soft"),
    )
    path = tmp_path / f"t{suffix}"
    path.write_text(write_exports(exports, suffix, WHOLE, {"a_long_name_7": "0123456789abcdef"}))

    def all_of(firmware: Firmware) -> tuple[ExportTable, Interface, list[str], dict[str, str]]:
        names = ["printk", "a_long_name_7"]
        return firmware.exports, firmware.interface(names), [firmware.hash_of(n) for n in names], firmware.hashes(names)

    before = all_of(read_firmware([path]))
    monkeypatch.setattr("llext_tools.host.firmware.table_in", None)
    assert all_of(read_firmware([path])) == before
    assert before[1].symbols == {"printk": DRAW}


def test_least_recently_used_entries_go(folder: Path) -> None:
    keys = [cache.key_of(bytes([n])) for n in range(cache.KEPT + 1)]
    for age, key in enumerate(keys[: cache.KEPT]):
        cache.store(key, age)
        os.utime(folder / f"{key}.json", (1_000_000 + age, 1_000_000 + age))
    (folder / "note.txt").write_text("of somebody")
    for name in ("dead.tmp", "live.tmp"):
        (folder / name).touch()
    os.utime(folder / "dead.tmp", (0, 0))
    assert cache.load(keys[0]) == 0
    cache.store(keys[-1], "new")
    assert cache.load(keys[1]) is None, "the one that was not used for longest"
    assert all(cache.load(key) is not None for key in (keys[0], *keys[2:]))
    assert sorted(p.name for p in folder.iterdir() if p.suffix != ".json") == ["live.tmp", "note.txt"]


WORKER = """
import sys
from llext_tools.host import cache
for n in range(60):
    known = cache.load("key")
    assert known is None or (set(known) == {"names", "filler"} and known["filler"] == "x" * 200_000), known
    names = known["names"] if known else []
    cache.store("key", {"names": [*names[-50:], f"{sys.argv[1]}-{n}"], "filler": "x" * 200_000})
"""


def test_many_calls_at_once(folder: Path) -> None:
    """Four processes read and replace one entry: each time it is whole, and at the end nothing else is left."""
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(n)]) for n in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert [path.name for path in folder.iterdir()] == ["key.json"]
    assert json.loads(folder.joinpath("key.json").read_bytes().partition(b"\n")[2])["names"][-1].endswith("-59")
