"""Where a test's files are looked for. Oracle: the names of the folders that `llext build` has made of the samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from llext_tools.errors import FormatError, UsageError
from llext_tools.jobs import OPEN, Which
from llext_tools.testing.find import find_extension


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def built(folder: Path, *jobs: str) -> Path:
    for job in jobs:
        tree(folder, f"build/{job}/hello/hello.llext", f"build/{job}/hello/hello.debug.elf", f"dist/{job}/hello.llext")
        tree(folder, f"build/{job}/firmware/firmware.elf", f"build/{job}/CMakeFiles/3.31/a.out")
    return folder


def looked_up(
    name: str, *folders: Path, deep: bool = False, target: str = "", toolchain: str = "", usual: Which = OPEN
) -> str:
    found = find_extension(name, folders, deep=deep, which=Which(target, toolchain), usual=lambda: [usual])
    return Path(found).relative_to(folders[-1]).as_posix()


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("hello", "hello/hello.llext"),
        ("hello.llext", "hello/hello.llext"),
        ("hello.debug.elf", "hello/hello.debug.elf"),
        ("firmware/firmware.elf", "firmware/firmware.elf"),
        ("firmware.elf", "firmware/firmware.elf"),
    ],
)
def test_what_llext_build_has_built(tmp_path: Path, name: str, where: str, deep: bool) -> None:
    assert looked_up(name, built(tmp_path, "cortex-m4-gcc"), deep=deep) == f"build/cortex-m4-gcc/{where}"
    built(tmp_path, "cortex-m33-gcc", "rv64gc-zig")
    for job in ("cortex-m4-gcc", "cortex-m33-gcc", "rv64gc-zig"):
        found = looked_up(name, tmp_path, deep=deep, target=job.rpartition("-")[0])
        assert found == f"build/{job}/{where}"
    with pytest.raises(UsageError, match="is built for several targets") as raised:
        looked_up(name, tmp_path, deep=deep)
    (error,) = raised.value.diagnostics
    assert all(job in error.message for job in ("cortex-m4-gcc", "cortex-m33-gcc", "rv64gc-zig"))
    assert "`--llext-target cortex-m33`" in error.help
    with pytest.raises(FormatError, match="is not built for `rv32imac`, but for `cortex-m33`") as missing:
        looked_up(name, tmp_path, deep=deep, target="rv32imac")
    assert "`llext build --target rv32imac`" in missing.value.diagnostics[0].help


def test_what_is_built_for_a_firmware(tmp_path: Path) -> None:
    """`cortex-m4-gcc-v1`, as docs/how-to/build-for-many-targets.md has it."""
    built(tmp_path, "cortex-m4-gcc-v1", "cortex-m4f-zig-old-one")
    assert looked_up("hello", tmp_path, target="cortex-m4") == "build/cortex-m4-gcc-v1/hello/hello.llext"
    assert looked_up("hello", tmp_path, target="cortex-m4f") == "build/cortex-m4f-zig-old-one/hello/hello.llext"
    built(tmp_path, "cortex-m4-gcc-v2")
    with pytest.raises(UsageError, match=r"is built for several firmwares: .*gcc-v1.* and .*gcc-v2") as raised:
        looked_up("hello", tmp_path, target="cortex-m4")
    assert "cortex-m4-gcc-v1`" in raised.value.diagnostics[0].help
    for version in ("v1", "v2"):
        found = looked_up("hello", tmp_path, target="cortex-m4", usual=Which(firmware=version))
        assert found == f"build/cortex-m4-gcc-{version}/hello/hello.llext"


@pytest.mark.parametrize("folder", ["build", "dist"])
def test_a_build_folder_that_is_named(tmp_path: Path, folder: str) -> None:
    built(tmp_path, "cortex-m4-gcc", "cortex-m33-gcc")
    found = looked_up("hello", tmp_path / folder, deep=True, target="cortex-m33")
    assert found == ("cortex-m33-gcc/hello/hello.llext" if folder == "build" else "cortex-m33-gcc/hello.llext")
    assert looked_up("hello", tmp_path / folder / "cortex-m4-gcc", deep=True).endswith("hello.llext")


def test_what_was_refused_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CMake's own folder of a target keeps it."""
    monkeypatch.chdir(tree(tmp_path, "build/CMakeFiles/hello.dir/llext/hello.llext"))
    for job in ("cortex-m4-gcc-v1", "cortex-m4-gcc-v2"):
        tree(tmp_path, f"build/{job}/CMakeFiles/hello.dir/llext/hello.llext", f"build/{job}/llext.log")
    for deep in (False, True):
        with pytest.raises(FormatError, match=r"there is no `hello\.llext` in") as raised:
            looked_up("hello", tmp_path, deep=deep)
        (note,) = raised.value.diagnostics[0].notes
        logs = [str(Path(f"build/cortex-m4-gcc-{version}/llext.log")) for version in ("v1", "v2")]
        assert note == f"the last build did not pass: `{logs[0]}` and `{logs[1]}`"
    tree(tmp_path, "dist/cortex-m4-gcc-v2/hello.llext")
    assert looked_up("hello", tmp_path) == "dist/cortex-m4-gcc-v2/hello.llext"


def test_two_toolchains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built(tmp_path, "cortex-m4-gcc", "cortex-m4-zig"))
    with pytest.raises(UsageError, match=r"is built by several toolchains: .*gcc.* and .*zig") as raised:
        looked_up("hello", tmp_path, target="cortex-m4")
    cures = ("`--llext-toolchain gcc`", "LLEXT_TOOLCHAIN in the environment", "`toolchains` of [build] in llext.toml")
    assert all(cure in raised.value.diagnostics[0].help for cure in cures)
    for toolchain in ("gcc", "zig"):
        expected = f"build/cortex-m4-{toolchain}/hello/hello.llext"
        assert looked_up("hello", tmp_path, toolchain=toolchain) == expected
        assert looked_up("hello", tmp_path, usual=Which(toolchain=toolchain)) == expected
    assert "-zig/" in looked_up("hello", tmp_path, toolchain="zig", usual=Which(toolchain="gcc"))
    folder = Path("build/cortex-m4-gcc")
    assert looked_up("hello", tmp_path / folder, deep=True, target="cortex-m4") == "hello/hello.llext"


def test_what_is_usual_decides_only_where_there_are_several(tmp_path: Path) -> None:
    built(tmp_path, "cortex-m4-gcc")
    usual = Which("rv32imac", "zig", "v1")
    assert looked_up("hello", tmp_path, usual=usual) == "build/cortex-m4-gcc/hello/hello.llext"
    built(tmp_path, "cortex-m4-zig", "rv32imac-zig", "rv32imac-gcc-v1")
    assert looked_up("hello", tmp_path, usual=usual) == "build/rv32imac-zig/hello/hello.llext"


def test_what_is_not_built_by_a_toolchain(tmp_path: Path) -> None:
    built(tmp_path, "cortex-m4-gcc", "rv32imac-zig")
    with pytest.raises(FormatError, match="is not built by `zig`, but by `gcc`") as raised:
        looked_up("hello", tmp_path, target="cortex-m4", toolchain="zig")
    assert "`llext build --target cortex-m4 --toolchain zig`" in raised.value.diagnostics[0].help
    assert "`--llext-toolchain gcc`" in raised.value.diagnostics[0].help
    with pytest.raises(FormatError, match="is not built for `rv64gc`, but for `cortex-m4` and `rv32imac`") as raised:
        looked_up("hello", tmp_path, target="rv64gc", toolchain="zig")
    assert "`llext build --target rv64gc --toolchain zig`" in raised.value.diagnostics[0].help


def test_only_what_has_passed_is_left(tmp_path: Path) -> None:
    """As with ``llext build --build-dir ELSEWHERE``."""
    assert looked_up("hello", tree(tmp_path, "dist/rv32imac-gcc/hello.llext")) == "dist/rv32imac-gcc/hello.llext"


def test_what_is_nearest_goes_first(tmp_path: Path) -> None:
    built(tmp_path, "cortex-m4-gcc", "cortex-m33-gcc")
    near = built(tmp_path / "hello", "cortex-m4-gcc")
    assert looked_up("hello", near / "tests", near, tmp_path) == "hello/build/cortex-m4-gcc/hello/hello.llext"
    tree(tmp_path, "build/hello.llext")
    assert looked_up("hello", near / "tests", near, tmp_path) == "build/hello.llext"


def test_folders_of_another_kind_do_not_count(tmp_path: Path) -> None:
    tree(tmp_path, "build/lib-gcc/hello.llext", "build/a/b/c.llext", "build/d/b/c.llext")
    with pytest.raises(FormatError, match=r"there is no `hello\.llext`") as raised:
        looked_up("hello", tmp_path)
    assert "--llext-build-dir" in raised.value.diagnostics[0].help
    with pytest.raises(UsageError, match=r"has several files `c\.llext`"):
        looked_up("c.llext", tmp_path, deep=True)
    assert looked_up("a/b/c.llext", tmp_path, deep=True) == "build/a/b/c.llext"
