"""``--llext-coverage``: the coverage of all tests, in one process and in several. Oracle: the source and the calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.compiled import compile_file
from llext_tools import arch

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]
PLUGIN = ("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider")
SOURCE = """\
#include <llext/symbol.h>

int sign(int x)
{
	if (x < 0) {
		return -1;
	}
	return x > 0;
}
EXPORT_SYMBOL(sign);
int unused(void)
{
	return 0;
}
"""
TESTS = """
import pytest

@pytest.mark.parametrize("x", [-2, 3, 4])
def test_sign(llext_extension, x):
    extension = llext_extension("sign.debug.elf")
    assert extension.sign(x) == (x > 0) - (x < 0)
    assert extension.sign(0) == 0

def test_nothing():
    pass
"""
LINES = {"3": 6, "5": 6, "6": 1, "8": 5, "11": 0, "13": 0}


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_coverage_of_all_tests(processes: tuple[str, ...], pytester: pytest.Pytester) -> None:
    if processes:
        pytest.importorskip("xdist")
    folder: Path = pytester.path
    (folder / "sign.c").write_text(SOURCE)
    compile_file(folder / "sign.c", arch.target("cortex-m4"), "gcc", folder, "-O0")
    (folder / "test_sign.py").write_text(TESTS)
    result = pytester.runpytest_subprocess(*PLUGIN, *processes, "--llext-coverage", "out.info")
    result.assert_outcomes(passed=4)
    text = (folder / "out.info").read_text()
    assert {line: int(n) for line, n in re.findall(r"^DA:(\d+),(\d+)$", text, re.MULTILINE)} == LINES
    assert "FNDA:6,sign\n" in text
    assert text.count("SF:") == 1
