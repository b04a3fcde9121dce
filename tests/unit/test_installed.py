"""Installed extensions: listed, found by their names, and what is said of damaged ones.

The distributions are folders as pip leaves them. Oracle for what is in them: ``importlib.metadata`` reads the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from conformance.cases import files
from llext_tools import LlextError, installed
from llext_tools.testing.find import find_extension
from transcript import llext

DATA = files()["ptrs_arm_gcc/e.llext"]


class Site:
    """A folder of installed packages."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, title: str, name: str, *jobs: str, package: str = "") -> Path:
        """A distribution with one extension for each job; the folder of the last one."""
        package = package or title.replace("-", "_")
        info = self.root / f"{title.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {title}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[llext.extensions]\n{name} = {package}\n")
        (self.root / package).mkdir()
        (self.root / package / "__init__.py").write_text("raise SystemExit('nobody imports this')\n")
        folder = self.root
        for job in jobs:
            folder = self.root / package / "llext" / job
            folder.mkdir(parents=True)
            target, _, toolchain = job.rpartition("-")
            entry = {"kind": "extension", "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
            document = {"format": 2, "name": name, "target": {"name": target}, "toolchain": {"name": toolchain}}
            (folder / f"{name}.llext").write_bytes(DATA)
            (folder / f"{name}.json").write_text(json.dumps({**document, "files": {f"{name}.llext": entry}}))
        return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return Site(tmp_path / "site")


def test_all_are_listed(site: Site) -> None:
    site.add("first-ones", "blink", "cortex-m4-gcc", "rv32imac-zig")
    site.add("json", "hello", "cortex-m4-zig")  # as a module of Python is called, which comes first on the path
    code, text = llext("list")
    assert code == 0
    rows = [line.split() for line in text.splitlines()[1:]]
    size = f"{len(DATA):,}"
    assert rows == [
        ["first-ones", "1.2", "blink", "cortex-m4", "gcc", size],
        ["first-ones", "1.2", "blink", "rv32imac", "zig", size],
        ["json", "1.2", "hello", "cortex-m4", "zig", size],
    ]
    document = json.loads(llext("list", "blink", "--json")[1])
    assert [(each["job"], each["target"], each["size"]) for each in document] == [
        ("cortex-m4-gcc", "cortex-m4", len(DATA)),
        ("rv32imac-zig", "rv32imac", len(DATA)),
    ]
    assert all(Path(each["path"]).read_bytes() == DATA for each in document)
    code, text = llext("list", "blnk")
    assert code == 2
    assert "did you mean `blink`?" in text


def test_nothing_is_installed(site: Site) -> None:
    assert llext("list")[0] == 0
    assert llext("list", "--json")[1] == "[]\n"
    code, text = llext("inspect", "blink")
    assert code == 3
    assert "cannot read `blink`: no such file" in text


@pytest.mark.parametrize("command", [["inspect"], ["check", "--no-settings"], ["load"]], ids=lambda each: each[0])
def test_a_command_takes_the_name_of_one(site: Site, command: list[str]) -> None:
    path = site.add("blinks", "blink", "cortex-m4-gcc") / "blink.llext"
    assert llext(*command, "blink") == llext(*command, str(path))
    assert llext(*command, "Blinks:blink") == llext(*command, str(path))
    Path("blink").mkdir()  # a folder is no extension
    assert llext(*command, "blink") == llext(*command, str(path))
    Path("blink").rmdir()
    Path("blink").write_bytes(b"a file goes before")
    assert "blink" in llext(*command, "blink")[1]
    assert llext(*command, "blink")[0] != 0


def test_python_finds_it(site: Site) -> None:
    path = site.add("blinks", "blink", "cortex-m4-gcc", "rv32imac-gcc") / "blink.llext"
    assert installed("blink", target="rv32imac") == str(path)
    assert installed("blink", target="rv32imac", distribution="blinks") == str(path)
    assert find_extension("blink", ["."], deep=False, target="rv32imac") == str(path)
    with pytest.raises(LlextError, match="no extension `blnk` is installed"):
        installed("blnk")


SEVERAL: dict[str, list[tuple[str, ...]]] = {
    "is there for `cortex-m4` and `rv32imac`": [("a-a", "cortex-m4-gcc", "rv32imac-gcc")],
    "is there from several toolchains: `cortex-m4-gcc` and `cortex-m4-zig`": [
        ("a-a", "cortex-m4-gcc", "cortex-m4-zig")
    ],
    "several distributions have the installed extension `blink`: `a-a` and `b`": [
        ("a-a", "cortex-m4-gcc"),
        ("b", "cortex-m4-gcc"),
    ],
}


@pytest.mark.parametrize("message", SEVERAL, ids=["targets", "toolchains", "distributions"])
def test_a_name_of_several_says_how_to_choose(site: Site, message: str) -> None:
    for title, *jobs in SEVERAL[message]:
        site.add(title, "blink", *jobs)
    code, text = llext("check", "--no-settings", "blink")
    assert code == 2
    assert message in " ".join(text.split())
    assert "= help: " in text


def test_another_target_is_named(site: Site) -> None:
    site.add("blinks", "blink", "cortex-m4-gcc")
    with pytest.raises(LlextError, match="is for `cortex-m4`, not for `rv32imac`"):
        installed("blink", target="rv32imac")


def test_what_is_damaged_is_a_warning(site: Site) -> None:
    (site.add("cut", "cut", "cortex-m4-gcc") / "cut.llext").write_bytes(DATA[:-1])
    (site.add("gone", "gone", "cortex-m4-gcc") / "gone.llext").unlink()
    (site.add("odd", "odd", "cortex-m4-gcc") / "odd.json").write_text("[")
    (site.add("bare", "bare", "cortex-m4-gcc") / "bare.json").unlink()
    (site.add("lost", "lost") / "lost" / "__init__.py").unlink()
    (site.root / "lost").rmdir()
    site.add("good", "good", "cortex-m4-gcc")
    code, text = llext("list")
    assert code == 0
    assert text.count("warning[") == 5
    for part in ("`cut.llext` has ", "`gone.llext` is missing", "odd.json", "bare.json", "the package `lost`"):
        assert part in " ".join(text.split())
    assert "Traceback" not in text
    assert text.splitlines()[-1].split()[:2] == ["good", "1.2"]
    assert "lost" not in sys.modules


@pytest.mark.parametrize("text", [b"[llext.extensions]\nx =\nq", b"[llext.extensions]\nx = a b;c", b"\xff"])
def test_damaged_entry_points_hide_no_others(text: bytes, site: Site) -> None:
    site.add("good", "blink", "cortex-m4-gcc")
    site.add("bad", "hello", "cortex-m4-gcc")
    (site.root / "bad-1.2.dist-info" / "entry_points.txt").write_bytes(text)
    code, printed = llext("list")
    assert code == 0
    assert "the metadata of a package cannot be read" in " ".join(printed.split())
    assert "bad-1.2.dist-info" in printed
    assert [line.split()[2] for line in printed.splitlines() if line.startswith("good")] == ["blink"]
