"""How long instructions are, and where they go. Oracle: objdump, of all code that GCC makes of two torture files."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emulator.compiled import compile_file
from llext_tools import arch
from llext_tools.arch.base import Flow
from needs import need

pytestmark = pytest.mark.toolchain
FOLDER = Path(__file__).parents[1] / "emulator" / "covered"
OBJDUMP = {"arm": "arm-none-eabi-objdump", "riscv": "riscv64-unknown-elf-objdump"}
LINE = re.compile(r"^ *(?P<at>[0-9a-f]+):\t(?P<name>\S+) *\t?(?P<operands>[^\t\n;@]*)", re.MULTILINE)

RULES: dict[str, tuple[tuple[str, str, Flow], ...]] = {
    #         mnemonic                            operands            flow
    "arm": (
        (r"(bx|mov)\w*(\.n)?", r"(pc, )?lr", "return"),
        (r"pop\w*(\.w)?", r".*pc.*", "return"),
        (r"ldm\w*(\.w)?", r"sp!.*pc.*", "return"),
        (r"ldr\w*(\.w)?", r"pc, \[sp\], .*", "return"),
        (r"(bx|tbb|tbh)\w*", r".*", "indirect"),
        (r"(mov|add|ldr|ldm)\w*(\.w|\.n)?", r"pc,.*|.*\{.*pc\}", "indirect"),
        (r"blx?", r".*", "call"),
        (r"b(\.n|\.w)?", r".*", "jump"),
        (r"cbn?z|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)(\.n|\.w)?", r".*", "branch"),
    ),
    "riscv": (
        (r"ret|jr", r"|t0", "return"),
        (r"jr", r".*", "indirect"),
        (r"jal|jalr|call", r".*", "call"),
        (r"j|tail", r".*", "jump"),
        (r"b(eq|ne|lt|ge|gt|le)u?z?", r".*", "branch"),
    ),
}


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m7", "rv32imac", "rv64gc"])
@pytest.mark.parametrize("name", ["flow", "statements"])
def test_decoded_as_by_objdump(name: str, target: str, level: str, tmp_path: Path) -> None:
    cpu = arch.target(target)
    obj = compile_file(FOLDER / f"{name}.c", cpu, "gcc", tmp_path, level)
    command = [need(OBJDUMP[cpu.arch]), "-d", "--no-show-raw-insn", "-j", ".text", obj.path]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with Path(obj.path).open("rb") as stream:
        file = ELFFile(stream)
        code = file.get_section_by_name(".text").data()
        tables = (file.get_section_by_name(f"{kind}.text") for kind in (".rel", ".rela"))
        open_places = {entry["r_offset"] for table in tables if table for entry in table.iter_relocations()}
    found = [match for match in LINE.finditer(listing) if not match["name"].startswith(".")]
    decode = arch.load(cpu.arch).decode
    flows = set()
    for match, following in pairwise(found):
        at, operands = int(match["at"], 16), match["operands"].strip()
        ours = decode(code[at : at + 4], cpu.bits)
        if int(following["at"], 16) - at in (2, 4):  # data may follow
            assert ours.size == int(following["at"], 16) - at, match[0]
        rules = RULES[cpu.arch]
        theirs = next((f for n, o, f in rules if re.fullmatch(n, match["name"]) and re.fullmatch(o, operands)), "")
        assert ours.flow == theirs, match[0]
        flows.add(theirs)
        shown = re.search(r"\b([0-9a-f]+)(?= <|$)", operands)
        if theirs in ("branch", "jump") and at not in open_places:
            assert shown
            assert ours.target is not None
            assert at + ours.target == int(shown[1], 16), match[0]
    assert {"branch", "jump", "call", "return", ""} <= flows
    assert len(found) > 500
