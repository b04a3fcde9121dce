"""The order of constructors and destructors. Oracle: the same sources as a program of the host, by its compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from llext_tools.paths import cmake_dir
from needs import need
from samples import Builder
from transcript import llext

pytestmark = [pytest.mark.toolchain, pytest.mark.emulator]

HEAD = """
#ifdef LL_EXTENSION_BUILD
#include <llext/host.h>
#include <llext/symbol.h>
#define say(...) printk(__VA_ARGS__)
#else
#include <stdio.h>
#define say(...) printf(__VA_ARGS__)
#define EXPORT_SYMBOL(name)
#endif
"""
MAIN = """
#ifdef __cplusplus
extern "C"
#endif
int start(void) { say("main\\n"); return 0; }
EXPORT_SYMBOL(start);
#ifndef LL_EXTENSION_BUILD
int main() { return start(); }
#endif
"""
IN_C = """
#define BOTH(name, priority) \\
    __attribute__((constructor priority)) static void up_##name(void) { say("+" FILE_NAME #name "\\n"); } \\
    __attribute__((destructor priority)) static void down_##name(void) { say("-" FILE_NAME #name "\\n"); }
BOTH(early, (101)) BOTH(usual, ) BOTH(next, ) BOTH(late, (60000)) BOTH(middle, (1000)) BOTH(second, (102))
"""
IN_CXX = """
namespace {
struct Object {
    const char *name;
    explicit Object(const char *n) : name(n) { say("+%s%s\\n", FILE_NAME, name); }
    ~Object() { say("-%s%s\\n", FILE_NAME, name); }
};
Object first("first"), second("second");
}
"""


@pytest.mark.parametrize(("target", "chain"), [("cortex-m4", "gcc"), ("cortex-m33", "zig"), ("rv64gc", "gcc")])
@pytest.mark.parametrize(("text", "suffix", "compiler"), [(IN_C, "c", "gcc"), (IN_CXX, "cpp", "g++")], ids=["C", "C++"])
def test_order_is_that_of_a_program(
    target: str, chain: str, text: str, suffix: str, compiler: str, tmp_path: Path
) -> None:
    sources = [tmp_path / f"{name}.{suffix}" for name in ("a", "b")]
    for source, more in zip(sources, ("", MAIN), strict=True):
        source.write_text(f'{HEAD}#define FILE_NAME "{source.stem}."\n{text}{more}')
    program = tmp_path / "program"
    subprocess.run([need(compiler), *sources, "-o", program], check=True)
    native = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert native.count("-") == native.count("+") > 3

    helper = [Path(cmake_dir()) / "atexit.cpp"] if suffix == "cpp" else []
    debug = Builder(target, chain, tmp_path).extension("order", *sources, *helper)
    extension = tmp_path / "order.llext"
    for step in ("finish", str(debug), "-o", str(extension)), ("run", str(extension), "--call", "start()"):
        code, said = llext(*step)
        assert code == 0, said
    assert said.removesuffix("start() = 0\n") == native
