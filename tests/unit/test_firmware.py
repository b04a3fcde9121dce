"""What a firmware's file tells. Oracle: nm, readelf and the source that was compiled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fw import build
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.link.exports import ExportTable
from needs import need


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware"))


def nm(path: Path) -> Iterator[list[str]]:
    done = subprocess.run([need("arm-none-eabi-nm"), "-S", path], capture_output=True, text=True, check=True)
    return (line.split() for line in done.stdout.splitlines())


@pytest.mark.toolchain
def test_symbols_that_are_defined_but_not_exported(elf: Path) -> None:
    firmware = read_firmware([elf])
    address = {words[-1]: int(words[0], 16) for words in nm(elf)}
    for name, function in (("kept", True), ("xkept", True), ("hidden", True), ("kheap_llext_heap", False)):
        found = firmware.definition(name)
        assert found is not None
        assert (found.name, found.address & ~1, found.function) == (name, address[name], function)
    assert firmware.definition("ept") is None, "the string table has it, no symbol is called so"
    assert firmware.definition("fw.c") is None, "a file is not a definition"
    assert firmware.definition("") is None


@pytest.mark.toolchain
def test_heap_is_the_buffer_behind_zephyrs(elf: Path) -> None:
    address, size = next((int(w[0], 16), int(w[1], 16)) for w in nm(elf) if w[-1] == "kheap_llext_heap")
    assert read_firmware([elf]).heap() == ("kheap_llext_heap", address, size, None)
    assert size == 4096


@pytest.mark.toolchain
def test_facts_are_those_of_readelf(elf: Path) -> None:
    done = subprocess.run([need("arm-none-eabi-readelf"), "-hA", elf], capture_output=True, text=True, check=True)
    facts = read_firmware([elf]).facts
    assert facts is not None
    assert (facts.machine, facts.bits) == (40, 32)
    assert f"{facts.flags:#x}," in next(line for line in done.stdout.splitlines() if "Flags:" in line)
    name = next(line for line in done.stdout.splitlines() if "Tag_CPU_name" in line).split('"')[1]
    assert facts.attributes[5] == name


def test_a_table_tells_of_exports_only(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[exports]\nf = 16\n")
    firmware = read_firmware([tmp_path / "t.toml"])
    assert (firmware.facts, firmware.heap(), firmware.definition("f")) == (None, None, None)
    assert firmware.interface(["f"]).symbols == {}
    assert Firmware(exports=ExportTable.of({"f": 16})).interface(["f"]).symbols == {}
