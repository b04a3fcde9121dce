"""Installed extensions: listed, found by their names, and what is said of damaged ones.

The distributions are folders as pip leaves them. Oracle for what is in them: ``importlib.metadata`` reads the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
from pathlib import Path

import pytest

from conformance.cases import files
from llext_tools import LlextError, installed
from llext_tools.cli.named import MANIFESTS, OPERANDS
from llext_tools.cli.parser import parser_for
from llext_tools.jobs import Which
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
            target, toolchain = re.findall(r"^(.+?)(?:-(gcc|zig).*)?$", job)[0]
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
        ["first-ones", "1.2", "blink@cortex-m4-gcc", "cortex-m4", "gcc", size],
        ["first-ones", "1.2", "blink@rv32imac-zig", "rv32imac", "zig", size],
        ["json", "1.2", "hello@cortex-m4-zig", "cortex-m4", "zig", size],
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


def test_what_the_manifest_does_not_say_is_in_the_folders_name(site: Site) -> None:
    jobs = {
        "cortex-m4": ("cortex-m4", ""),
        "rv32imac-zig": ("rv32imac", "zig"),
        "rv64gc-gcc-v1-rc2": ("rv64gc", "gcc"),
        "m-profile": ("m-profile", ""),
    }
    for i, job in enumerate(jobs):
        folder = site.add(f"d{i}", "blink", job)
        document = json.loads((folder / "blink.json").read_text())
        del document["target"], document["toolchain"]
        (folder / "blink.json").write_text(json.dumps(document))
    found = json.loads(llext("list", "blink", "--json")[1])
    assert {each["job"]: (each["target"], each["toolchain"]) for each in found} == jobs


@pytest.mark.parametrize(
    "odd", [5, {"name": {"a": 1}}, {"name": "a\x1b[31m\nb"}, {"name": ""}, ["zig"], None], ids=repr
)
def test_what_a_manifest_says_may_be_no_word(odd: object, site: Site) -> None:
    folder = site.add("odd", "blink", "rv64gc-zig")
    document = json.loads((folder / "blink.json").read_text())
    (folder / "blink.json").write_text(json.dumps({**document, "target": odd, "toolchain": odd}))
    assert llext("list")[1].split()[-3:-1] == ["rv64gc", "zig"]


def test_nothing_is_installed(site: Site) -> None:
    assert llext("list")[0] == 0
    assert llext("list", "--json")[1] == "[]\n"
    code, text = llext("inspect", "blink")
    assert code == 3
    assert "cannot read `blink`: no such file" in text


COMMANDS = [["inspect"], ["check", "--no-settings"], ["load"], ["manifest"], ["verify", "--digests-only"]]
COMMANDS += [["slid", "-o", "s.llext"], ["exports", "table.json", "--needed-by"], ["link", "-o", "x.elf"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each[0])
def test_a_command_takes_the_name_of_one(site: Site, command: list[str]) -> None:
    Path("table.json").write_text('{"exports": {"other": "0x100"}}')
    path = site.add("blinks", "blink", "cortex-m4-gcc") / f"blink.{'json' if command[0] in MANIFESTS else 'llext'}"
    expected = llext(*command, str(path))
    assert expected[0] != 2, expected
    for name in ("blink", "Blinks:blink", "blink@cortex-m4", "blinks:blink@cortex-m4-gcc"):
        assert llext(*command, name) == expected
    Path("blink").mkdir()  # a folder is no extension
    assert llext(*command, "blink") == expected
    Path("blink").rmdir()
    Path("blink").write_bytes(b"a file goes before")
    assert llext(*command, "blink") != expected


def test_each_operand_of_the_table_is_there() -> None:
    for command, keys in OPERANDS.items():
        assert {action.dest for action in parser_for(command)._actions} >= {*keys}


def test_an_extension_is_loaded_under_a_name(site: Site) -> None:
    path = site.add("blinks", "blink", "cortex-m4-gcc", "cortex-m4-zig") / "blink.llext"
    loaded = llext("load", "first=blink@cortex-m4-zig", "blinks:blink@cortex-m4-zig", "--unload", "blink")
    assert loaded == llext("load", f"first={path}", str(path), "--unload", "blink")
    assert loaded[1].startswith("first: loaded (0)")


def test_a_bundle_takes_all_of_a_name(site: Site) -> None:
    site.add("blinks", "blink", "cortex-m4-gcc", "cortex-m4-zig")
    for word, jobs in (("blink", {"cortex-m4-gcc", "cortex-m4-zig"}), ("blink@cortex-m4-zig", {"cortex-m4-zig"})):
        code, text = llext("pack", word, "-o", "b.llextpack")
        assert code == 0, text
        with tarfile.open("b.llextpack") as archive:
            assert {name.partition("/")[0] for name in archive.getnames() if name.endswith(".llext")} == jobs
    Path("blink").mkdir()  # what is packed may be a folder
    code, text = llext("pack", "blink", "-o", "b.llextpack")
    assert (code, "there are no artifacts" in text) == (2, True)


@pytest.mark.parametrize("command", [["sign", "--key", "key.pem"], ["slid"]], ids=lambda each: each[0])
def test_nothing_is_written_into_a_package(site: Site, command: list[str]) -> None:
    folder = site.add("blinks", "blink", "cortex-m4-gcc")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert llext("sign", "--new-key", "key.pem")[0] == 0
    code, text = llext(*command, "blink")
    assert code == 2
    assert "`blink` is installed, and nothing is written into an installed package" in " ".join(text.split())
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_words_for_slid_that_are_no_extensions(site: Site) -> None:
    site.add("blinks", "printk", "cortex-m4-gcc")
    assert llext("slid", "--list", "printk")[1].split()[-1] == "printk"
    code, text = llext("slid", "--prepare", "printk")
    assert (code, "llext list" in text) == (3, False)


def test_python_finds_that_of_a_toolchain(site: Site) -> None:
    site.add("blinks", "blink", "cortex-m4-gcc", "cortex-m4-zig", "rv32imac-gcc")
    for which, job in ((Which("cortex-m4", "zig"), "cortex-m4-zig"), (Which("", "zig"), "cortex-m4-zig")):
        found = find_extension("blink", ["."], deep=False, which=which)
        assert Path(found).parent.name == job
    with pytest.raises(LlextError, match="is built by `gcc`, not by `zig`"):
        find_extension("blink", ["."], deep=False, which=Which("rv32imac", "zig"))
    found = find_extension("blink@rv32imac-gcc", ["."], deep=False, which=Which("", "zig"))
    assert Path(found).parent.name == "rv32imac-gcc"


def test_python_finds_it(site: Site) -> None:
    path = site.add("blinks", "blink", "cortex-m4-gcc", "rv32imac-gcc") / "blink.llext"
    assert installed("blink", target="rv32imac") == str(path)
    assert installed("blink", target="rv32imac", distribution="blinks") == str(path)
    assert find_extension("blink", ["."], deep=False, which=Which("rv32imac")) == str(path)
    assert installed("blink@rv32imac-gcc", distribution="blinks") == str(path)
    assert find_extension("blink@rv32imac", ["."], deep=False) == str(path)
    with pytest.raises(LlextError, match="no extension `blnk` is installed"):
        installed("blnk")


SEVERAL: dict[str, list[tuple[str, ...]]] = {
    "is there for `cortex-m4` and `rv32imac`": [("a-a", "cortex-m4-gcc", "rv32imac-gcc")],
    "is there several times for `cortex-m4`: `cortex-m4-gcc` and `cortex-m4-zig`": [
        ("a-a", "cortex-m4-gcc", "cortex-m4-zig")
    ],
    "is there several times for `cortex-m4`: `cortex-m4-gcc-v1.2` and `cortex-m4-gcc-v2`": [
        ("a-a", "cortex-m4-gcc-v1.2", "cortex-m4-gcc-v2")
    ],
    "several distributions have the installed extension `blink`: `a-a` and `b`": [
        ("a-a", "cortex-m4-gcc"),
        ("b", "cortex-m4-gcc"),
    ],
}


@pytest.mark.parametrize("message", SEVERAL, ids=["targets", "toolchains", "firmwares", "distributions"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each[0])
def test_a_name_of_several_says_how_to_choose(site: Site, message: str, command: list[str]) -> None:
    """And what it says can be given to the same command: that is the oracle."""
    Path("table.json").write_text('{"exports": {"other": "0x100"}}')
    for title, *jobs in SEVERAL[message]:
        site.add(title, "blink", *jobs)
    code, text = llext(*command, "blink")
    text = " ".join(text.split())
    assert code == 2
    assert "error[build-ambiguous]: " in text
    assert message in text
    advice = re.findall(r"`([^`]+)`", text.partition("= help: ")[2])
    assert advice
    for name in advice:
        assert llext(*command, name)[0] != 2


def test_the_target_chooses_where_it_says_what_an_extension_is_for(site: Site) -> None:
    path = site.add("blinks", "blink", "rv32imac-gcc", "cortex-m4-gcc") / "blink.llext"
    assert llext("check", "blink", "--target", "cortex-m4") == llext("check", str(path), "--target", "cortex-m4")
    text = llext("check", "blink@rv32imac", "--target", "cortex-m4")[1]  # the name says it, and is for another one
    assert "rv32imac-gcc/blink.llext" in "".join(text.split())


def test_of_two_jobs_the_whole_name_counts(site: Site) -> None:
    site.add("blinks", "blink", "cortex-m4-gcc", "cortex-m4-gcc-v2")
    for job in ("cortex-m4-gcc", "cortex-m4-gcc-v2"):
        assert Path(installed(f"blink@{job}")).parent.name == job
    code, text = llext("inspect", "blink@cortex-m5")
    assert code == 2
    assert "is for `cortex-m4-gcc` and `cortex-m4-gcc-v2`, not for `cortex-m5`" in " ".join(text.split())
    assert llext("list", "blink@cortex-m4-gcc-v2")[1].splitlines()[-1] == installed("blink@cortex-m4-gcc-v2")


MISSING = [*COMMANDS, ["run"], ["debug"], ["sign", "--key", "key.pem"], ["pack"], ["check", "--no-settings", "--json"]]
MISSING += [["check", "--no-settings", "b.llext", "--extension"]]


@pytest.mark.parametrize("command", MISSING, ids=lambda each: f"{each[0]}{len(each)}")
def test_a_misspelt_name_brings_the_nearest(site: Site, command: list[str]) -> None:
    Path("table.json").write_text('{"exports": {"other": "0x100"}}')
    Path("b.llext").write_bytes(DATA)
    assert llext("sign", "--new-key", "key.pem")[0] == 0
    site.add("blinks", "blink", "cortex-m4-gcc")
    for word, advice in {
        "blnk": "did you mean `blink`, which is installed?",
        "blnks:blink@x": "did you mean `blink`, which is installed?",
        "blnk@cortex-m4-gc": "did you mean `blink@cortex-m4-gcc`, which is installed?",
        "blnk@": "did you mean `blink`, which is installed?",
        "b": "did you mean `b.llext`?",
        "nothing": "`llext list` shows which names there are",
    }.items():
        code, text = llext(*command, word)
        assert code == 3
        assert f"cannot read `{word}`: no such file" in " ".join(text.split())
        assert advice in " ".join(text.split())
    for word in ("blnk.llext", "./blnk"):
        code, text = llext(*command, word)
        assert (code, "did you mean" in text, "llext list" in text) == (3, False, False)


def test_a_misspelt_job_brings_the_nearest(site: Site) -> None:
    site.add("blinks", "blink", "cortex-m4-gcc", "rv32imac-zig")
    for word, advice in {
        "blink@cortex-m4-gc": "did you mean `blink@cortex-m4-gcc`?",
        "blinks:blink@cortexm4": "did you mean `blinks:blink@cortex-m4`?",
        "blink@x": "`llext list` lists all",
        "blink@": "choose one, such as `blink@cortex-m4-gcc`, or leave the `@` out",
    }.items():
        code, text = llext("inspect", word)
        text = " ".join(text.split())
        assert code == 2
        assert "`cortex-m4-gcc` and `rv32imac-zig`" in text
        assert text.endswith(f"= help: {advice}")
    for word, near in {
        "blnk@cortex-m4": "blink@cortex-m4",
        "blink@": "blink",
        "blink@rv32imac-zg": "blink@rv32imac-zig",
    }.items():
        code, text = llext("list", word)
        assert (code, f"did you mean `{near}`?" in text) == (2, True)


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
    assert [line.split()[2] for line in printed.splitlines() if line.startswith("good")] == ["blink@cortex-m4-gcc"]
