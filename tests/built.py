"""Extensions built from C for tests: partially linked with the project's merge script, by each kind of toolchain.

The flags are those that users get (``llext_tools.toolchains``).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from llext_tools import arch, toolchains
from llext_tools.arch.model import Target
from llext_tools.errors import ToolError
from llext_tools.mem import Domain, Mem
from llext_tools.paths import cmake_dir
from needs import need

COMBINATIONS = [
    ("cortex-m4", "gcc"),
    ("cortex-m33", "zig"),
    ("cortex-m0plus", "gcc"),
    ("rv32imac", "gcc"),
    ("rv64gc", "zig"),
]
PREFIX = {"arm": "arm-none-eabi-", "riscv": "riscv64-unknown-elf-"}
EMULATION = {("arm", 32): "armelf", ("riscv", 32): "elf32lriscv", ("riscv", 64): "elf64lriscv"}

SOURCE = """\
extern int printk(const char *format, ...);
static int calls[8];
int counter = 5;
const char *const names[] = {"even", "odd"};
static int twice(int x) { return 2 * x + calls[0]; }
int (*hook)(int) = twice;
static volatile int started;
__attribute__((visibility("hidden"), noinline)) int helper(int a) { return hook(a) + 1; }
int add(int a, int b)
{
    calls[a & 7]++;
    printk("%s %d", names[b & 1], calls[0]);
    return helper(a) + b + counter;
}
struct symbol { const char *name; void *address; };
__attribute__((section(".exported_sym"), used)) static const struct symbol entry = {"add", (void *)add};
__attribute__((constructor)) static void start(void) { started++; }
"""
ADD_LINE = 1 + SOURCE.splitlines().index("int add(int a, int b)")

REGIONS: Mapping[str, Mem] = {
    ".text": Mem.TEXT,
    ".rodata": Mem.RODATA,
    ".exported_sym": Mem.EXPORT,
    ".init_array": Mem.INIT,
    ".data": Mem.DATA,
    ".bss": Mem.BSS,
}
ADDRESSES = {name: 0x2001_0000 + 0x1000 * i for i, name in enumerate(REGIONS)}
DOMAIN = Domain(fixed={REGIONS[name]: address for name, address in ADDRESSES.items()})
PRINTK = 0x2010_0040


@dataclass(frozen=True)
class Combination:
    """A target and the toolchain that builds for it; ``binutils(...)`` runs GNU's tools for the target."""

    target: Target
    toolchain: toolchains.Toolchain

    @property
    def printk(self) -> int:
        return PRINTK | int(self.target.arch == "arm")

    def binutils(self, tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        program = need(PREFIX[self.target.arch] + tool)
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)

    def compile(self, folder: Path, text: str, *flags: str, language: toolchains.Language = "C") -> Path:
        source = folder / f"source.{'c' if language == 'C' else 'cpp'}"
        source.write_text(text)
        compiler = self.toolchain.cc if language == "C" else self.toolchain.cxx
        flags = (*toolchains.flags(self.target, self.toolchain.name, language), *flags)
        _run(*compiler, *flags, "-c", str(source), "-o", str(folder / "source.o"))
        return folder / "source.o"

    def merge(self, folder: Path, *inputs: Path) -> Path:
        """``ld -r`` with the merge script: what becomes an extension, with debugging sections."""
        output = folder / "hello.debug.elf"
        emulation = [f"-m{EMULATION[self.target.arch, self.target.bits]}"] if self.toolchain.name == "gcc" else []
        script = f"{cmake_dir()}/llext-merge.ld"
        _run(*self.toolchain.ld, *emulation, "-r", "-T", script, *map(str, inputs), "-o", str(output))
        return output

    def gnu_link(self, folder: Path, extension: Path) -> Path:
        """GNU ld's own executable of the same object, with the sections at ``ADDRESSES``."""
        script, output = folder / "place.ld", folder / f"{extension.name}.gnu.elf"
        lines = (f"{name} {address:#x} : {{ *({name}) }}" for name, address in ADDRESSES.items())
        script.write_text("SECTIONS {\n" + "\n".join(lines) + "\n}\n")
        emulation = EMULATION[self.target.arch, self.target.bits]
        options: list[str | Path] = [
            "-m",
            emulation,
            f"--defsym=printk={self.printk:#x}",
            "-T",
            script,
            "--entry=0",
            "--no-relax",
        ]
        self.binutils("ld", *options, extension, "-o", output)
        return output


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def combination(request: pytest.FixtureRequest) -> Combination:
    return find(*request.param)


@cache
def _toolchain(target: str, name: str) -> toolchains.Toolchain | None:
    try:
        return toolchains.find(arch.target(target), name)
    except ToolError:
        return None


def find(target: str, name: str) -> Combination:
    """Skips the test if the toolchain is not installed."""
    toolchain = _toolchain(target, name)
    if toolchain is None:
        pytest.skip(f"needs {name} for {target}")
    return Combination(arch.target(target), toolchain)


def contents(path: Path) -> dict[str, bytes]:
    """Contents of the allocated sections, read by pyelftools."""
    with path.open("rb") as file:
        sections = ELFFile(file).iter_sections()
        return {s.name: s.data() for s in sections if s["sh_flags"] & 2 and s["sh_type"] != "SHT_NOBITS"}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
