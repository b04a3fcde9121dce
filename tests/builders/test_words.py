"""What `llext cflags`, `ldflags`, `toolchain` and `finish` take besides what the examples give them, and refuse.

Oracles: the compiler's own word for its version, make, what is in the folder afterwards.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builders.by_hand import printed
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A partially linked object without a manifest."""
    need("arm-none-eabi-gcc")
    source = tmp_path / "blink.c"
    source.write_text("#include <llext/symbol.h>\nint blink(void) { return 1; }\nLL_EXTENSION_SYMBOL(blink);\n")
    choice = ("--target", "cortex-m4", "--toolchain", "gcc")
    out = tmp_path / "blink.o.elf"
    compiled = [
        *printed("cflags", *choice, "--cc"),
        *printed("cflags", *choice),
        "-c",
        str(source),
        "-o",
        f"{source}.o",
    ]
    subprocess.run(compiled, check=True)
    merged = [*printed("ldflags", *choice, "--ld"), *printed("ldflags", *choice), f"{source}.o", "-o", str(out)]
    subprocess.run(merged, check=True)
    return out


@pytest.mark.parametrize("name", ["gcc", "auto"])
def test_finish_asks_a_toolchain_for_its_version(name: str, linked: Path) -> None:
    code, text = llext("finish", str(linked), "-o", f"{linked}.llext", "--target=cortex-m4", f"--toolchain={name}")
    assert code == 0, text
    said = subprocess.run(["arm-none-eabi-gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    manifest = json.loads(Path(f"{linked}.json").read_text())
    assert manifest["toolchain"] == {"name": "gcc", "version": said.stdout.strip()}


def test_finish_takes_a_toolchain_that_it_does_not_know_as_it_is(linked: Path) -> None:
    code, text = llext("finish", str(linked), "-o", f"{linked}.llext", "--target=cortex-m4", "--toolchain=clang-18.1")
    assert code == 0, text
    manifest = json.loads(Path(f"{linked}.json").read_text())
    assert manifest["toolchain"] == {"name": "clang", "version": "18.1"}


def test_make_reads_names_of_files_with_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: make, which finds the prerequisites, and the shell of its recipes."""
    make = need("gmake", "make")
    need("arm-none-eabi-gcc")
    ours = tmp_path / "my tools #1"
    ours.mkdir()
    for name in "llext-merge.ld", "atexit.cpp":
        (ours / name).write_text(f"{name}\n")
    monkeypatch.setattr("llext_tools.paths.cmake_dir", lambda: str(ours))
    code, text = llext("toolchain", "--target=cortex-m4", "--format=make", "-o", str(tmp_path / "llext.mk"))
    assert code == 0, text
    rule = "all: $(LLEXT_MERGE_SCRIPT) $(LLEXT_ATEXIT)\n\t@cat $(LLEXT_MERGE_SCRIPT) $(LLEXT_ATEXIT)\n"
    (tmp_path / "Makefile").write_text(f"include llext.mk\n{rule}")
    done = subprocess.run([make], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "llext-merge.ld\natexit.cpp\n"), done.stderr


FOLDER = "give the folder of the project"
EMPTY = "give it FILE, or leave it out"
TARGETS = "the targets are cortex-m0plus, "
CHOICE = ("--target=cortex-m4",)


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        (("cflags",), "missing argument: --target", "`llext help cflags` shows the arguments"),
        (("cflags", "--target="), "there is no target ``", TARGETS),
        (("ldflags", "--target=cortex-m5"), "there is no target `cortex-m5`", "did you mean `cortex-m7`?"),
        (("ldflags", *CHOICE, "--toolchain=gc"), "there is no toolchain `gc`", "the toolchains are gcc, zig and auto"),
        (("cflags", *CHOICE, "--language=c"), "--language cannot be `c`", "it is one of C, CXX, ASM"),
        (("cflags", *CHOICE, "--root="), "--root is an empty word", "give it DIR"),
        (("cflags", *CHOICE, "--root=nowhere"), "--root: `nowhere` is no folder", FOLDER),
        (("cflags", *CHOICE, "--root=a=b"), "compilers take an equals sign for the end", "rename the folder"),
        (("toolchain", *CHOICE, "--format="), "--format cannot be ``", "it is one of cmake, json, make, meson"),
        (("toolchain", *CHOICE, "--root=."), "--root is for --format make and meson", "add `--format make`"),
        (("toolchain", *CHOICE, "--root=.", "--format=cmake"), "--root is for", "CMake's toolchain file maps"),
        (("toolchain", *CHOICE, "-o", ""), "--output is an empty word", EMPTY),
        (("toolchain", *CHOICE, "-o", "a/b"), "cannot write `a/b`: no such file", "make the folder `a` first"),
        (("toolchain", *CHOICE, "-o", "."), "cannot write `.`: is a directory", "name a file in it"),
        (("runtime", "-o", "x"), "missing argument: --target or --archive", "`llext targets` lists the CPUs"),
        (("finish", ""), "OBJECT is an empty word", "a variable of a script or a makefile may be unset"),
        (("finish", "."), "cannot read `.`: is a directory", "name a file in it"),
        (("finish", "blink.o.elf", "-o", ""), "--output is an empty word", EMPTY),
        (("finish", "blink.o.elf", "--debug-file="), "--debug-file is an empty word", EMPTY),
        (("finish", "blink.o.elf", "--debug-file=a/b"), "cannot write `a/b`", "make the folder `a` first"),
        (("finish", "blink.o.elf", "--debug-file=blink.o.json"), "would both be `blink.o.json`", "another suffix"),
        (("finish", "blink.o.elf", "--target="), "there is no target ``", TARGETS),
        (("finish", "blink.o.elf", "--target=cortex-m5"), "there is no target `cortex-m5`", "did you mean"),
        (("finish", "blink.o.elf", "--toolchain="), "--toolchain is an empty word", "give it NAME"),
        (("finish", "blink.o.elf", "--toolchain=auto"), "`--toolchain auto` depends on the CPU", "add `--target CPU`"),
        (("finish", "blink.o.elf", "--flags=C"), "--flags: `C` is not LANGUAGE=FILE", "as in `--flags C=c.flags`"),
        (("finish", "blink.o.elf", "--profile=x"), "there is no loader profile `x`", "the profiles are"),
        (("finish", "blink.o.elf", "--exports=x.toml"), "--exports is for the check", "add `--check`"),
        (("finish", "blink.o.elf", "--heap=8"), "--heap is for the check", "add `--check`"),
        (("finish", "blink.c"), "this is not an ELF file", "give the file that compiler or linker have written"),
        (("finish", "shared.so"), "only a partially linked object (ET_REL)", "flags of `llext ldflags`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_has_a_cure(
    words: tuple[str, ...], message: str, cure: str, linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing behind."""
    monkeypatch.chdir(linked.parent)
    Path("a=b").mkdir()
    shared = ("-mcpu=cortex-m4", "-shared", "-nostdlib", "blink.c.o", "-o", "shared.so")
    subprocess.run(["arm-none-eabi-gcc", *shared], check=True)
    before = sorted(linked.parent.iterdir())
    code, text = llext(*words)
    said = " ".join(text.split())
    assert code in (2, 3), text
    assert message in said
    assert f"= help: {cure}" in said or cure in said.partition("= help: ")[2]
    assert sorted(linked.parent.iterdir()) == before
