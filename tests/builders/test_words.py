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
