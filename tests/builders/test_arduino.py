"""The recipe of the page for Arduino's core for Zephyr. Oracle: Arduino's own builder, which expands and runs it.

A small platform stands in for the core: the properties and the names of files that the recipe refers to are those of
its platform.txt and of its build script; the firmware is that of our tests.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import fw
from builders.place import ROOT, Place
from needs import need

pytestmark = pytest.mark.toolchain

PAGE = (ROOT / "docs/how-to/without-cmake.md").read_text(encoding="utf-8")
FLAGS = f"-mthumb -mcpu=cortex-m4 -mlong-calls -fno-exceptions -DLL_EXTENSION_BUILD '-I{ROOT / 'include'}' {{includes}}"
PLATFORM = f"""\
name=Zephyr
version=1
build.link_mode=dynamic
compiler=arm-none-eabi-
recipe.c.o.pattern={{compiler}}gcc -c {FLAGS} -o "{{object_file}}" "{{source_file}}"
recipe.cpp.o.pattern={{compiler}}g++ -c {FLAGS} -o "{{object_file}}" "{{source_file}}"
recipe.S.o.pattern={{compiler}}gcc -c {FLAGS} -o "{{object_file}}" "{{source_file}}"
recipe.preproc.macros={{compiler}}g++ -E -CC -x c++ {FLAGS} "{{source_file}}" -o "{{preprocessed_file_path}}"
recipe.ar.pattern={{compiler}}ar rcs "{{archive_file_path}}" "{{object_file}}"
recipe.c.combine.pattern={{compiler}}g++ -nostdlib -r -e main {{object_files}} "{{build.path}}/{{archive_file}}" \
-o "{{build.path}}/{{build.project_name}}_debug.elf"
recipe.hooks.linking.postlink.1.pattern={{compiler}}strip --strip-debug \
"{{build.path}}/{{build.project_name}}_debug.elf" -o "{{build.path}}/{{build.project_name}}.elf"
recipe.size.pattern={{compiler}}size -A "{{build.path}}/{{build.project_name}}.elf"
recipe.size.regex=^(?:\\.data|\\.text|\\.rodata)\\S*?\\s+([0-9]+).*
"""
BOARDS = "board.name=Board\nboard.build.board=BOARD\nboard.build.core=arduino\nboard.build.variant=variant\n"
CORE = """\
#include <Arduino.h>
#include <llext/symbol.h>
void setup(); void loop();
extern "C" int main() { setup(); for (;;) loop(); }
LL_EXTENSION_SYMBOL(main);
"""
HEADER = 'extern "C" int printk(const char *, ...);\nextern "C" int absent(void);\n'
SKETCH = 'void setup() { printk("x"); }\nvoid loop() { }\n'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    need("arm-none-eabi-gcc")
    need("arduino-builder")
    place = Place(tmp_path)
    platform = place.folder / "hardware/vendor/zephyr"
    (recipe,) = re.findall(r"^```properties\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for name, text in {
        "hardware/vendor/zephyr/platform.txt": PLATFORM,
        "hardware/vendor/zephyr/platform.local.txt": recipe,
        "hardware/vendor/zephyr/boards.txt": BOARDS,
        "hardware/vendor/zephyr/cores/arduino/main.cpp": CORE,
        "hardware/vendor/zephyr/cores/arduino/Arduino.h": HEADER,
        "hardware/vendor/zephyr/variants/variant/variant.h": "",
        "hardware/vendor/zephyr/firmwares/zephyr-variant.config": "CONFIG_LLEXT=y\nCONFIG_LLEXT_HEAP_SIZE=8\n",
        "sketch/sketch.ino": SKETCH,
    }.items():
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fw.build(tmp_path, fw.SOURCE.replace("kheap_llext_heap", "heap")).rename(platform / "firmwares/zephyr-variant.elf")
    return place


def built(place: Place) -> subprocess.CompletedProcess[str]:
    (place.folder / "build").mkdir(exist_ok=True)
    folders = ("-hardware", "/usr/share/arduino-builder", "-hardware", "hardware", "-tools", "/usr/bin")
    output = ("-build-path", str(place.folder / "build"))
    return place.run("arduino-builder", *folders, "-fqbn", "vendor:zephyr:board", *output, "sketch/sketch.ino")


def test_a_sketch_is_checked_against_the_firmware_of_the_core(place: Place) -> None:
    done = built(place)
    assert done.returncode == 0, done.stdout
    assert "error[" not in done.stdout
    place.edit("sketch/sketch.ino", "loop() { }", "loop() { absent(); }")
    refused = built(place)
    assert refused.returncode != 0
    assert "error[undefined-symbol]: `absent`" in refused.stdout
    assert "firmwares/zephyr-variant.elf" in " ".join(refused.stdout.split())


def test_the_options_of_the_firmware_count(place: Place) -> None:
    """A sketch that needs more than the heap of 1 KiB."""
    place.edit("sketch/sketch.ino", "void setup()", "int big[500];\nvoid setup()")
    fits = built(place)
    assert fits.returncode == 0, fits.stdout
    place.edit("hardware/vendor/zephyr/firmwares/zephyr-variant.config", "SIZE=8", "SIZE=1")
    place.edit("sketch/sketch.ino", "500", "501")
    refused = built(place)
    assert refused.returncode != 0, refused.stdout
    assert "error[load-memory]" in refused.stdout


def test_a_static_sketch_is_not_checked(place: Place) -> None:
    place.edit("sketch/sketch.ino", "loop() { }", "loop() { absent(); }")
    place.edit("hardware/vendor/zephyr/platform.txt", "link_mode=dynamic", "link_mode=static")
    done = built(place)
    assert done.returncode == 0, done.stdout
