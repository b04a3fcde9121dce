"""Does an object fit a CPU? Oracle: the compilers that were told the CPU, and readelf for the attributes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from llext_tools.arch import targets
from llext_tools.arch.riscv.isa import extensions
from llext_tools.check.target import fitting_targets
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.read import load_object
from needs import need
from transcript import llext

SOURCE = "double half(double x) { return x / 2; }\n"
FITS = {
    # compiled for: runs on, besides itself
    "cortex-m0plus": {"cortex-m3", "cortex-m4", "cortex-m33"},
    "cortex-m3": {"cortex-m4", "cortex-m33"},
    "cortex-m4": {"cortex-m33"},
    "cortex-m4f": {"cortex-m7"},
}
"""Soft and hard float never mix."""


def compiled(folder: Path, target: str, *more: str) -> Path:
    cpu = targets()[target]
    gcc = need(*(f"{prefix}gcc" for prefix in cpu.gcc_prefixes))
    (folder / "e.c").write_text(SOURCE)
    subprocess.run([gcc, *cpu.cpu_flags, "-Os", "-c", "e.c", "-o", "e.llext", *more], cwd=folder, check=True)
    return folder / "e.llext"


@pytest.mark.toolchain
@pytest.mark.parametrize("target", targets())
def test_object_fits_the_cpu_that_it_was_compiled_for(target: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, target)
    assert target in fitting_targets(load_object(str(path)))
    assert set(fitting_targets(load_object(str(path)))) - {target} == FITS.get(target, set())
    for other in targets():
        code, text = llext("check", str(path), "--target", other)
        assert (code, "error[elf-target]" in text) == (
            (0, False) if other in {target, *FITS.get(target, ())} else (3, True)
        )


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("target", "flags", "reason"),
    [
        ("cortex-m4", ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), "`-mfloat-abi=hard`"),
        ("cortex-m4", ("-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"), "an FPU"),
        ("cortex-m4f", ("-mfpu=fpv5-sp-d16",), "another FPU"),
        ("cortex-m3", ("-mcpu=cortex-a9",), "Armv7-A"),
        ("cortex-m3", ("-mcpu=arm7tdmi",), "Armv4T"),
        ("rv32imac", ("-march=rv32gc", "-mabi=ilp32d"), "double-float ABI"),
        ("rv32imac", ("-march=rv32imac_zba_zbb",), "extensions zba, zbb"),
        ("rv32imac", ("-march=rv32imafc", "-mabi=ilp32"), "extension f"),
        ("rv32imac", ("-march=rv32e", "-mabi=ilp32e"), "E base"),
    ],
)
def test_misfit_is_named(target: str, flags: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    code, text = llext("check", str(compiled(tmp_path, target, *flags)), "--target", target)
    assert code == 3
    assert reason in " ".join(text.split())


@pytest.mark.toolchain
@pytest.mark.parametrize("target", targets())
def test_attributes_are_those_of_readelf(target: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, target)
    said = read_attributes(load_object(str(path)))
    tool = "arm-none-eabi-readelf" if targets()[target].arch == "arm" else "riscv64-unknown-elf-readelf"
    theirs = subprocess.run([need(tool), "-A", path], check=True, capture_output=True, text=True).stdout
    texts = re.findall(r'Tag_\w+: "(.+)"', theirs)
    assert [value for value in said.values() if isinstance(value, str)] == texts
    assert len(said) == len(re.findall(r"^\s+Tag_(?!File)\w+:", theirs, re.MULTILINE))


@pytest.mark.toolchain
def test_damaged_attributes_say_nothing(tmp_path: Path) -> None:
    path = compiled(tmp_path, "cortex-m4")
    obj = load_object(str(path))
    section = obj.sections.index(".ARM.attributes")
    assert section is not None
    start, size = int(obj.sections.offset[section]), int(obj.sections.size[section])
    good = path.read_bytes()
    for i in range(start, start + size):
        for byte in (0, 0x7F, 0xFF):
            path.write_bytes(good[:i] + bytes([byte]) + good[i + 1 :])
            read_attributes(load_object(str(path)))


@pytest.mark.parametrize(
    ("isa", "expected"),
    [
        ("rv32imac", "i m a c"),
        ("rv32i2p0_m2p0_a2p0_c2p0", "i m a c"),
        ("rv64i2p1_m2p0_zba1p0_zicsr2p0", "i m zba zicsr"),
        ("rv64gc", "i m a f d c"),
        ("rv32i2p1m2p0", "i m"),
        ("", ""),
    ],
)
def test_isa_strings(isa: str, expected: str) -> None:
    assert extensions(isa) == tuple(expected.split())
