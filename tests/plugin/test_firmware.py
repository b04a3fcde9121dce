"""Tests of extensions on the code of a firmware. Oracle: zlib, what C says, and that no trap is reached."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.compiled import compile_c
from emulator.test_kernel_image import EXTENSION, KERNEL, link
from llext_tools import arch
from llext_tools.errors import LlextError
from llext_tools.testing import Extension, ExtensionError
from llext_tools.testing.blocks import Blocks
from samples import Builder

pytestmark = pytest.mark.emulator

UART = 0x4000_4000
PLUGIN = ("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample image and its extension, for a Cortex-M4."""
    folder = tmp_path_factory.mktemp("built")
    builder = Builder("cortex-m4", "gcc", folder)
    builder.extension("thermometer")
    builder.firmware(*arch.target("cortex-m4").firmware_base, UART)
    return folder


@pytest.fixture
def thermometer(built: Path) -> Iterator[Extension]:
    with Extension.load(
        built / "thermometer.debug.elf",
        firmware=built / "firmware.elf",
        mmio=f"{UART:#x}+4K=cmsdk-uart",
        init="console_init",
    ) as extension:
        yield extension


def test_what_the_image_prints_comes_by_its_uart(thermometer: Extension) -> None:
    thermometer.thermometer_crc("abc")
    assert thermometer.host.output == f"crc of abc: {zlib.crc32(b'abc'):08x}\n"


def test_calls_of_the_image_are_noticed(thermometer: Extension) -> None:
    thermometer.thermometer_crc("abc")
    calls = thermometer.host.calls
    assert calls.names == ["board_register", "strlen", "crc32", "printk"]
    assert (calls("strlen")[0].result, calls("crc32")[0].result) == (3, zlib.crc32(b"abc"))
    assert (calls("printk")[0].format, calls("printk")[0].result) == ("crc of %s: %08x\n", None)


def test_faults_may_be_injected_into_the_image(thermometer: Extension) -> None:
    thermometer.host.fail("sensor_read", nth=2, result=30000)
    assert thermometer.thermometer_watch(3) == 1
    assert len(thermometer.host.calls("sensor_read")) == 3
    assert thermometer.host.output.splitlines()[1] == "sample board: 30000 millidegrees (above the limit)"


def test_leaks_of_the_heap_of_the_image(built: Path, tmp_path: Path) -> None:
    source = """static void *kept; void keep(int n) { free(kept); kept = malloc(n); } EXPORT_SYMBOL(keep);
    void grow(int n) { kept = realloc(kept, n); } EXPORT_SYMBOL(grow);
    void drop(void) { free(kept); kept = NULL; } EXPORT_SYMBOL(drop);"""
    path = compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path).path
    with Extension.load(path, firmware=built / "firmware.elf") as extension:
        extension.keep(10)
        extension.keep(24)
        extension.grow(40)
        (block,) = extension.host.heap.blocks.values()
        assert block.size == 40
        assert re.fullmatch(r"`grow` at ext\.c:\d+", str(block.by))
        extension.drop()
        assert extension.host.heap.used == 0
    with (
        pytest.raises(ExtensionError, match="1 block of 24 bytes in all is still allocated"),
        Extension.load(path, firmware=built / "firmware.elf") as extension,
    ):
        extension.keep(24)


@pytest.mark.parametrize(("size", "result", "left"), [(0, 0, []), (64, 0, [8]), (64, 0x2000, [64])])
def test_blocks_after_k_realloc(size: int, result: int, left: list[int]) -> None:
    """Oracle: what Zephyr says of k_realloc(): to 0 bytes it frees, without memory the block stays as it is."""
    blocks = Blocks()
    blocks.called("k_malloc", (8,), 0x1000, "f")
    blocks.called("k_realloc", (0x1000, size), result, "f")
    assert [block.size for block in blocks.found.values()] == left


def test_functions_and_variables_of_the_image(thermometer: Extension) -> None:
    image = thermometer.host.firmware
    assert image["crc32"](0, b"123456789", 9) == 0xCBF4_3926
    assert image["board_name"].text == "sample board"
    assert "crc32" in image
    with pytest.raises(KeyError, match="the firmware has no function or variable `crc23`: did you mean `crc32`"):
        image["crc23"]


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_system_calls_have_their_own_names(target: str, tmp_path: Path) -> None:
    firmware = link(tmp_path, target).path
    obj = compile_c(EXTENSION, arch.target(target), "gcc", tmp_path, "-w", prelude=f"{KERNEL}#include <llext/symbol.h>")
    with Extension.load(obj.path, target=target, firmware=firmware) as extension:
        extension.host.override("k_uptime_ticks", 77)
        extension.host.override("sum", lambda data, n: 100 * data[0] + data[n - 1])
        assert extension.test() == 103
        assert "ticks77;" in extension.host.output
        assert [call.ticks for call in extension.host.calls("wait_ready")] == [-1, 1, -1]
        assert [call.result for call in extension.host.calls("wait_ready")] == [0, -11, 0]
        assert extension.host.calls("k_sem_take")[0].name == "z_impl_k_sem_take"


def test_a_firmware_of_another_cpu_is_refused(built: Path, tmp_path: Path) -> None:
    image = Builder("rv32imac", "gcc", tmp_path)
    firmware = image.firmware(*arch.target("rv32imac").firmware_base, UART)
    with pytest.raises(LlextError, match="the extension is for 32-bit arm, the firmware for 32-bit riscv"):
        Extension.load(built / "thermometer.debug.elf", firmware=firmware)


def test_pytest_runs_on_the_firmware_that_was_built_for(
    built: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `llext build` does: with one that is the one, of several the one that is named; crc32() is its own code."""
    pytester.makepyfile(
        f"""
        def test_crc(llext_extension):
            thermometer = llext_extension("thermometer.debug.elf")
            thermometer.thermometer_crc("abc")
            assert thermometer.host.output == "crc of abc: {zlib.crc32(b"abc"):08x}\\n"
        """
    )
    options = (*PLUGIN, f"--llext-mmio={UART:#x}+4K=cmsdk-uart")
    settings = ""
    for name in ("v1", "v2"):
        folder = pytester.path / f"build/cortex-m4-gcc-{name}"
        folder.mkdir(parents=True)
        shutil.copy(built / "thermometer.debug.elf", folder)
        shutil.copy(built / "firmware.elf", pytester.path / f"{name}.elf")
        settings += f'[[build.firmware]]\nname = "{name}"\nfile = "{name}.elf"\n'
        (pytester.path / "llext.toml").write_text(settings, encoding="utf-8")
        outcome = {"passed": 1} if name == "v1" else {"failed": 1}
        pytester.runpytest_inprocess(*options).assert_outcomes(**outcome)
    (pytester.path / "v1.elf").write_bytes(b"")
    pytester.runpytest_inprocess(*options, "--llext-firmware=v1").assert_outcomes(failed=1)
    pytester.runpytest_inprocess(*options, "--llext-firmware=v2").assert_outcomes(passed=1)
    monkeypatch.setenv("LLEXT_FIRMWARE", "v2")
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=1)
