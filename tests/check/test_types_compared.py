"""What the ok line and the JSON say of types: how many imports were compared, and which.

Oracle: which side was compiled with ``-g``, and what each source declares.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import fw
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

EXTENSION = """\
#include <llext/symbol.h>
int printk(const char *format, ...);
extern int counter;
int start(void) { return printk("hello") + counter; }
LL_EXTENSION_SYMBOL(start);
"""
OTHER = EXTENSION.replace("start", "other")
BARE = """\
static const struct entry entry_bare __attribute__((section("llext_const_symbol_area"), used)) = {
    "bare", (const void *)0x08000401
};
"""


@pytest.fixture(scope="module")
def firmwares(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {flag: tmp_path_factory.mktemp("firmware") for flag in ("-g", "-g0")}
    source = fw.SOURCE + BARE
    return {flag: fw.build(folder, source, flag, "-mlong-calls") for flag, folder in folders.items()}


def compiled(folder: Path, text: str, *flags: str, name: str = "ext") -> Path:
    (folder / f"{name}.c").write_text(text)
    more = ("-mlong-calls", "-DLL_EXTENSION_BUILD", f"-I{include_dir()}", "-c", *flags)
    command = [need(fw.CC[0]), *fw.CC[1:], *more, f"{name}.c", "-o", f"{name}.llext"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / f"{name}.llext"


def checked(extension: Path, *against: Path) -> tuple[str, list[str]]:
    """What the ok line says of imports, and which ones were compared."""
    exports = [word for path in against for word in ("--exports", str(path))]
    code, printed = llext("check", str(extension), *exports)
    assert code == 0, printed
    assert "warning" not in printed
    imports = next(part for part in printed.split(", ") if " import" in part)
    (file,) = json.loads(llext("check", "--json", str(extension), *exports)[1])["files"]
    return imports, file["compared"]


def test_both_sides_tell_types(firmwares: dict[str, Path], tmp_path: Path) -> None:
    assert checked(compiled(tmp_path, EXTENSION, "-g"), firmwares["-g"]) == ("2 imports", ["counter", "printk"])


@pytest.mark.parametrize(("extension", "firmware"), [("-g0", "-g"), ("-g", "-g0"), ("-g0", "-g0")])
def test_one_side_does_not(extension: str, firmware: str, firmwares: dict[str, Path], tmp_path: Path) -> None:
    found = checked(compiled(tmp_path, EXTENSION, extension), firmwares[firmware])
    assert found == ("2 imports (types not compared)", [])


def test_some_are_names_only(firmwares: dict[str, Path], tmp_path: Path) -> None:
    text = EXTENSION.replace("int start(void)", "int bare(void);\nint start(void)").replace("+ counter", "+ bare()")
    found = checked(compiled(tmp_path, text, "-g"), firmwares["-g"])
    assert found == ("2 imports (1 without types)", ["printk"])


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    assert checked(compiled(tmp_path, EXTENSION, "-g")) == ("2 imports (not checked)", [])


def test_no_imports(firmwares: dict[str, Path], tmp_path: Path) -> None:
    text = EXTENSION.replace('printk("hello") + counter', "1")
    assert checked(compiled(tmp_path, text), firmwares["-g"]) == ("0 imports", [])


def test_the_debug_information_of_another_extension(firmwares: dict[str, Path], tmp_path: Path) -> None:
    """It describes the same imports, but exports something else."""
    extension = compiled(tmp_path, EXTENSION)
    own, other = (compiled(tmp_path, text, "-g", name=n) for n, text in (("own", EXTENSION), ("other", OTHER)))
    shutil.copy(own, tmp_path / "ext.debug.elf")
    assert checked(extension, firmwares["-g"]) == ("2 imports", ["counter", "printk"])
    shutil.copy(other, tmp_path / "ext.debug.elf")
    assert checked(extension, firmwares["-g"]) == ("2 imports (types not compared)", [])


@pytest.mark.parametrize("ending", ["toml", "csv"])
def test_tables(ending: str, firmwares: dict[str, Path], tmp_path: Path) -> None:
    """CSV has no types."""
    table = tmp_path / f"api.{ending}"
    assert llext("exports", str(firmwares["-g"]), "-o", str(table))[0] == 0
    imports, compared = checked(compiled(tmp_path, EXTENSION, "-g"), table)
    known = ending == "toml"
    assert imports == ("2 imports" if known else "2 imports (types not compared)")
    assert compared == (["counter", "printk"] if known else [])
