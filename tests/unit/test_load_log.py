"""The loader's log: our sentences, the board's figures, in the board's order.

Oracle: the recorded errors and warnings of Zephyr's own loader code (tests/conformance), at levels DBG and INF. For the
lines without an error: pyelftools as a reader of the file, the recorded addresses, and gdb.
"""

from __future__ import annotations

import errno
import io
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from conformance.cases import ANSWERED, HERE, cases, files
from conformance.replay import replay
from llext_tools import cli
from llext_tools.cli.boardlog import gap
from llext_tools.llext import Level, Log
from llext_tools.mem import PERM, Mem
from needs import need

LEVEL = {"E": Level.ERR, "W": Level.WRN, "A": Level.ERR}  # A: a failed assertion
RET = re.compile(r"\bret (-\d+)$")
NUMBER = re.compile(r"(?<![\w.])-?(?:0x[0-9a-f]+|\d+)(?!\w)")
CONSTANT = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+")


@cache
def raw_cases() -> dict[str, Any]:
    return {raw["id"]: raw for raw in json.loads((HERE / ANSWERED).read_text())["cases"]}


def recorded(raw: dict[str, Any], level: Level) -> list[str]:
    """The recorded lines, up to a step that ended the recording."""
    loads = iter(raw["log_inf"] if level is Level.INF and "log_inf" in raw else [])
    lines = []
    for answer in raw["answers"]:
        log = answer.get("log", [])
        if answer["op"] == "load" and level is Level.INF and "log_inf" in raw:
            log = next(loads)
        lines += log
    return lines


def figures(line: str, objects: bytes) -> list[str]:
    """What is not English in a line: numbers, C's constants, names in the objects; an errno's number as its name."""
    found = [errno.errorcode[-int(number)] for number in RET.findall(line)]
    line = RET.sub("", line)
    words = [word.strip("!,:'()") for word in line.split()]
    names = [word for word in words if word and b"\0%s\0" % word.encode() in objects]
    return found + NUMBER.findall(line) + CONSTANT.findall(line) + names


@pytest.mark.parametrize("level", [Level.DBG, Level.INF], ids=["dbg", "inf"])
@pytest.mark.parametrize("name", list(cases()))
def test_each_recorded_line_has_ours_with_its_figures(name: str, level: Level) -> None:
    raw = raw_cases()[name]
    if any("rc" not in answer for answer in raw["answers"] if answer["op"] == "load"):
        return
    log = Log(level)
    replay(cases()[name], raw, place=True, log=log)
    theirs = recorded(raw, level)
    ours = [line for line in log.lines if line.level <= Level.WRN]
    shown = "\n".join([*theirs, "---", *map(str, ours)])
    assert [line.level for line in ours] == [LEVEL[line[0]] for line in theirs], shown
    objects = b"".join(data for path, data in files().items() if path.startswith(f"{name}/"))
    for mine, line in zip(ours, theirs, strict=True):
        for figure in figures(line[3:].rstrip(), objects):
            assert re.search(rf"(?<![\w.]){re.escape(figure)}(?!\w)", mine.text), f"{figure}: {line} / {mine}"


# ---- the lines of a load that succeeds

NAME = "app_ldr_arm_gcc"
HEX = r"(0x[0-9a-f]+)"


def dbg(name: str) -> list[str]:
    log = Log(Level.DBG)
    replay(cases()[name], raw_cases()[name], place=True, log=log)
    return [str(line) for line in log.lines]


def test_each_section_and_each_symbol_is_named_with_its_figures() -> None:
    """Oracle: pyelftools."""
    lines = dbg(NAME)
    file = ELFFile(io.BytesIO(files()[f"{NAME}/e.llext"]))
    sections = [line for line in lines if re.match(r"<dbg> llext: section \d+, at 0x", line)]
    for i, (line, section) in enumerate(zip(sections, file.iter_sections(), strict=True)):
        at, flags = section["sh_offset"], section["sh_flags"]
        assert line.startswith(f"<dbg> llext: section {i}, at {at:#x}: sh_name {section['sh_name']}, type ")
        assert f", flags {flags:#x}, addr 0x0, align {section['sh_addralign']:#x}, size {section['sh_size']}, " in line
    symbols = [line for line in lines if re.match(r"<dbg> llext: symbol \d+: ", line)]
    table = file.get_section_by_name(".symtab")
    for i, (line, symbol) in enumerate(zip(symbols, list(table.iter_symbols())[1:], strict=True), 1):
        assert line.startswith(f"<dbg> llext: symbol {i}: {symbol.name or '-'}, type ")
        wanted = symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT") and symbol["st_info"]["bind"] == "STB_GLOBAL"
        assert line.endswith(", not counted") != wanted
    assert f"<dbg> llext: {table.num_symbols()} symbols" in lines


def test_each_relocation_has_its_lines_in_the_order_of_the_file() -> None:
    """Oracle: pyelftools, and the recorded address of each section."""
    file = ELFFile(io.BytesIO(files()[f"{NAME}/e.llext"]))
    placed = cases()[NAME].loads[0].sections
    expected = []
    for i, section in enumerate(file.iter_sections()):
        if isinstance(section, RelocationSection) and section["sh_info"] in placed:
            _, _, base = placed[section["sh_info"]]
            for k, entry in enumerate(section.iter_relocations()):
                kind, offset = entry["r_info_type"], entry["r_offset"]
                expected.append(
                    f"relocation {i}:{k}, info {entry['r_info']:#x}: type {kind}, symbol {entry['r_info_sym']}, "
                    f"offset {offset}; type {kind} at {base + offset:#x}"
                )
    text = "\n".join(dbg(NAME))
    found = re.findall(
        r"(relocation \d+:\d+, info 0x\w+: type \d+, symbol \d+, offset \d+;)"
        r".*\n<inf> llext: (type \d+ at 0x\w+) gets .*\n(?:<inf> llext: symbol .* found at .*\n)?<dbg> elf: (.*),",
        text,
    )
    assert [f"{first} {second}" for first, second, _ in found] == expected
    assert len(expected) > 20


def test_what_is_found_is_where_the_firmware_exports_it() -> None:
    """Twice, because at this level the loader looks everything up twice."""
    host = cases()[NAME].loads[0].host
    found = [line for line in dbg(NAME) if re.match(r"<inf> llext: symbol \S+ found at", line)]
    assert len(found) > 4
    assert found[::2] == found[1::2]
    for line in found:
        name, address = re.findall(rf"symbol (\S+) found at {HEX}", line)[0]
        assert int(address, 16) == host[name]


def test_regions_are_where_they_were_recorded_and_are_freed_again() -> None:
    load = cases()[NAME].loads[0]
    lines = dbg(NAME)
    for region in load.regions:
        number = [each for each in Mem.__members__ if each != "VENEER"].index(region.name)
        assert (
            f"<dbg> llext: region {number} ({region.name}): at {region.base:#x}, size {region.size}, on the heap"
            in lines
        )
        assert f"<dbg> llext: freeing region {number} ({region.name})" in lines


@pytest.mark.toolchain
def test_gdb_takes_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: gdb, to which the line gives the recorded addresses of the exported functions."""
    monkeypatch.chdir(tmp_path)
    load = cases()[NAME].loads[0]
    Path("e").write_bytes(load.object)
    (line,) = [line for line in dbg(NAME) if "add-symbol-file" in line]
    command = line.removeprefix("<dbg> llext: ")
    assert command.startswith("add-symbol-file e -s .text")
    functions = {name: address for name, address in load.exports if address & 1}
    asked = [word for name in functions for word in ("-ex", f"p/x (unsigned)&{name}")]
    arguments = ["-nx", "-batch", "-ex", "set architecture arm", "-ex", command, *asked]
    done = subprocess.run([need("gdb-multiarch"), *arguments], capture_output=True, text=True, check=True)
    assert re.findall(r"\$\d+ = (0x\w+)", done.stdout) == [hex(address & ~1) for address in functions.values()]


# ---- what it costs, and llext link


def test_a_line_that_nobody_wants_is_not_put_together() -> None:
    class Never:
        def __format__(self, spec: str) -> str:
            raise AssertionError("formatted")

    Log(Level.WRN)(Level.DBG, "{}", Never())


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    load = cases()[NAME].loads[0]
    Path("e.llext").write_bytes(load.object)
    Path("host.json").write_text(json.dumps({"exports": {name: {"address": at} for name, at in load.host.items()}}))
    return "e.llext"


def logged(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, list[str]]:
    """Exit code, stdout, and the lines of the log on stderr."""
    code = cli.main(["link", "e.llext", "-o", "out.elf", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, [line for line in captured.err.splitlines() if re.match("<(err|wrn|inf|dbg)> ", line)]


def test_link_says_what_the_board_says_at_the_links_addresses(
    extension: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the log of the recorded load, at whose addresses the link is made."""
    load = cases()[NAME].loads[0]
    placed = ",".join(f"{r.name.lower()}={r.base:#x}" for r in load.regions if Mem[r.name] in PERM)
    code, out, lines = logged(capsys, "--exports", "host.json", "--domain", placed, "-vv")
    assert (code, out.split()[0]) == (0, "linked")
    of_program = re.compile(r"region \d+ \((?:SYMTAB|STRTAB|SHSTRTAB)\)|freeing|add-symbol-file|loaded: ")
    theirs = [line for line in dbg(NAME) if not of_program.search(line)]
    assert [line for line in lines if not of_program.search(line)] == theirs
    assert any(f"add-symbol-file {extension} -s .text" in line for line in lines)


def test_link_at_level_inf_names_imports_and_relocations_only(
    extension: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extension
    _, _, lines = logged(capsys, "--exports", "host.json", "-v")
    _, _, most = logged(capsys, "--exports", "host.json", "-vv")
    assert {line.split()[0] for line in lines} == {"<inf>"}
    assert len(lines) < len(most) / 3
    assert logged(capsys, "--exports", "host.json")[2] == []


def test_link_that_fails_is_logged_too(extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert extension
    code, out, lines = logged(capsys, "-v")
    assert (code, out) == (5, "")
    assert lines[-1] == "<err> llext: could not link: -61 (ENODATA)"
    assert sum("nobody has symbol printk" in line for line in lines) > 1


@pytest.mark.parametrize(
    ("spans", "bits", "at"),
    [
        ([], 32, 0x2000_0000),
        ([(0x2000_0000, 0x2000_0010), (0x800_0000, 0x800_0100)], 32, 0x2000_1000),
        ([(0x1800, 0x2800), (0xFFFF_0000, 0xFFFF_FFFF)], 32, 0x3000),
        ([(0xFFFF_0000, 0xFFFF_FFFF)], 64, 0x1_0000_0000),
    ],
)
def test_what_the_loader_keeps_is_beside_the_regions(spans: list[tuple[int, int]], bits: int, at: int) -> None:
    assert gap(spans, 0x8000, bits) == at
