"""Findings in code and data name source lines. Oracle: the sources, in which comments mark the lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import fw
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

EXTENSION = """\
struct symbol { const char *name; void *address; };
int printk(int number);
extern struct pair { int first, second; } counter;
int first(void)
{
    int value = 1;
    value += counter.second; /* counter */
    return value;
}
int second(int number)
{
    number *= 3;
    number += printk(number); /* printk */
    return number + 1;
}
void *table[] = {(void *)printk}; /* table */
struct symbol entries[] __attribute__((section(".exported_sym"), used)) = {{"a", first}, {"b", second}, {"c", table}};
"""


def found(folder: Path, firmware: Path, text: str, *flags: str) -> dict[str, dict[str, object]]:
    """code -> where, of what is found in an extension."""
    (folder / "ext.c").write_text(text)
    command = [need(fw.CC[0]), *fw.CC[1:], "-c", *flags, "ext.c", "-o", "ext.llext"]
    subprocess.run(command, cwd=folder, check=True)
    heap = ("--heap", "0x20010000+8K")
    code, printed = llext("check", "--json", str(folder / "ext.llext"), "--exports", str(firmware), *heap)
    assert code, printed
    (file,) = json.loads(printed)["files"]
    return {d["code"]: d["location"] for d in file["diagnostics"]}


def marked(text: str, what: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if f"/* {what} */" in line)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fw.build(tmp_path_factory.mktemp("firmware"), fw.SOURCE, "-g")


@pytest.mark.parametrize("calls", ["-mlong-calls", "-mno-long-calls"])
def test_lines_of_calls_and_variables(calls: str, firmware: Path, tmp_path: Path) -> None:
    """A word that an instruction loads stands behind the function; the line is that of the instruction."""
    text = EXTENSION.replace("void *table", "static void *table").replace(', {"c", table}', "")
    at = found(tmp_path, firmware, text, "-g", calls)
    assert at.keys() >= {"abi-prototype", "abi-layout"}
    assert (at["abi-prototype"]["source"], at["abi-prototype"]["line"]) == ("ext.c", marked(text, "printk"))
    assert (at["abi-layout"]["source"], at["abi-layout"]["line"]) == ("ext.c", marked(text, "counter"))
    assert (at["abi-prototype"]["function"], at["abi-layout"]["function"]) == ("second", "first")
    assert at["abi-prototype"]["section"] == ".text"


def test_lines_of_what_is_not_reached(firmware: Path, tmp_path: Path) -> None:
    text = EXTENSION.replace("int printk(int number)", "int printk(const char *format, ...)")
    text = text.replace("printk(number)", 'printk("")').replace("extern struct pair { int first, second; } counter", "")
    text = text.replace("counter.second", "2")
    at = found(tmp_path, firmware, text, "-g")
    assert at.keys() == {"reloc-out-of-range"}
    assert (at["reloc-out-of-range"]["source"], at["reloc-out-of-range"]["line"]) == ("ext.c", marked(text, "printk"))


def test_lines_of_variables(firmware: Path, tmp_path: Path) -> None:
    text = EXTENSION.replace("number += printk(number)", "number += 2")
    at = found(tmp_path, firmware, text, "-g")["abi-prototype"]
    assert (at["source"], at["line"], at["variable"]) == ("ext.c", marked(text, "table"), "table")


def test_without_debug_information_of_lines(firmware: Path, tmp_path: Path) -> None:
    text = "int missing(void); int start(void) { return missing(); }\n"
    at = found(tmp_path, firmware, text, "-g0")
    assert at.keys() >= {"undefined-symbol"}
    assert "line" not in at["undefined-symbol"]
