"""``llext new``: names, targets, and what the files of a project say. tests/cmake and test_new_project.py build it.

Oracles: the parsers of Python (``ast``, ``tomllib``, ``configparser``), the schema of GitHub's workflows, the
toolchains' own lists of keywords.
"""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import ntpath
import re
import subprocess
import tomllib
from importlib import resources
from pathlib import Path, PureWindowsPath

import pytest
from ruamel.yaml import YAML

from elfedit import tiny
from llext_tools import templates
from llext_tools.cli.new import check_name, proposal
from llext_tools.errors import LlextError
from needs import need
from public_schemas import WORKFLOW, problems
from transcript import llext

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(*arguments: str) -> dict[str, str]:
    """The files of a new project, by their paths in it."""
    code, text = llext("new", *arguments)
    assert code == 0, text
    root = Path(arguments[0])
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("arguments", [(), ("--cpp",), ("--target", "cortex-m7", "--target", "rv64gc")], ids=str)
def test_every_file_is_what_its_name_says(arguments: tuple[str, ...]) -> None:
    files = made("blink_2", *arguments)
    source = "src/blink_2.cpp" if "--cpp" in arguments else "src/blink_2.c"
    assert {source, "tests/test_blink_2.py", "CMakeLists.txt", "python/CMakeLists.txt", ".gitignore"} <= files.keys()
    assert not re.search(r"@[A-Z]+@", "".join(files.values()))
    for name, text in files.items():
        assert text.endswith("\n"), name
        assert not re.search(r"[ \t]\n|\n\n\n\n|\n\n\Z", text), name
        assert max(map(len, text.splitlines())) <= 120, name
        if name.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["name"] == "blink-2"
    assert project["project"]["entry-points"] == {"llext.extensions": {"blink_2": "blink_2"}}
    tox = configparser.ConfigParser(interpolation=None)
    tox.read_string(files["tox.ini"])
    wanted = list(arguments[1::2]) or ["cortex-m4", "cortex-m33", "rv32imac"]
    wanted = wanted if "--cpp" not in arguments else ["cortex-m4", "cortex-m33", "rv32imac"]
    assert tox["tox"]["env_list"].split(", ") == wanted
    workflow = YAML(typ="safe").load(files[".github/workflows/ci.yml"])
    assert problems(workflow, WORKFLOW) == []
    assert workflow["jobs"]["test"]["strategy"]["matrix"] == {"target": wanted}
    assert len(files["CMakeLists.txt"].splitlines()) <= 12


def test_git_leaves_keys_and_what_is_built() -> None:
    """Oracle: git itself."""
    files = made("blink")
    made_later = ["release.pem", "keys/release.pem", "blink.llextpack", "dist/cortex-m4-zig/blink.llext", "build/a.o"]
    kept = [*files, "release.pem.pub", "firmware/zephyr.elf", "src/dist/a.c"]
    git = need("git")
    subprocess.run([git, "init", "-q", "blink"], check=True)
    command = [git, "-C", "blink", "check-ignore", *made_later, *kept]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == made_later


def test_the_schema_of_workflows_finds_mistakes() -> None:
    workflow = YAML(typ="safe").load(made("blink")[".github/workflows/ci.yml"])
    del workflow["jobs"]["wheel"]["runs-on"]
    workflow["jobs"]["test"]["steps"][0]["runs"] = "tox"
    workflow["permission"] = workflow.pop("permissions")
    assert len(problems(workflow, WORKFLOW)) == 3


def test_every_template_is_used() -> None:
    used = {template.replace("@SUFFIX@", suffix) for template in templates.PLACES.values() for suffix in ("c", "cpp")}
    there = {path.name for path in resources.files(templates).iterdir() if path.name.endswith(".in")}
    assert there == used


BAD = {
    "Blink": "blink",
    "MyFilter-2": "my_filter_2",
    "2fast": "ext_2fast",
    "über": "ber",
    "-": "blink",
    "int": "int_ext",
    "namespace": "namespace_ext",
    "json": "json_ext",
    "lambda": "lambda_ext",
    "test": "test_ext",
    "request": "request_ext",
    "install": "install_ext",
    "board": "board_ext",
    "a__b": "a_b",
    "a_": "a",
    "some/where/far": "far",
    "x" * 41: "x" * 40,
}


@pytest.mark.parametrize("name", BAD, ids=lambda name: name[:12])
def test_a_bad_name_brings_a_good_one(name: str) -> None:
    code, text = llext("new", "--", name)
    assert code == 2
    assert "cannot be the name" in " ".join(text.split())
    assert f"`llext new {BAD[name]}`" in text
    assert not list(Path().iterdir())
    check_name(BAD[name])


@pytest.mark.parametrize("word", ["auto", "class", "restrict", "volatile", "nullptr", "clean", "main", "printk"])
def test_words_of_c_and_cmake_are_no_names(word: str) -> None:
    with pytest.raises(LlextError, match="has a meaning of its own"):
        check_name(word)
    assert proposal(word) == f"{word}_ext"


def test_no_project_hides_a_package_that_llext_needs() -> None:
    """The wheel of a project holds a package of its name. Oracle: what the environment knows of our dependencies."""
    needed = set(map(_name, tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]))
    owners = importlib.metadata.packages_distributions().items()
    packages = {package for package, names in owners if needed & set(map(_name, names))}
    assert packages >= {"numpy", "elftools", "unicorn"}
    for package in sorted(packages):
        with pytest.raises(LlextError, match="cannot be the name"):
            check_name(package)


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


@pytest.mark.parametrize("name", ["con", "prn", "aux", "nul", "com1", "lpt9"])
def test_names_of_windows_devices_are_no_names(name: str) -> None:
    """Oracle: Python's own list of them."""
    reserved = getattr(ntpath, "isreserved", None) or (lambda path: PureWindowsPath(path).is_reserved())  # until 3.13
    assert reserved(name)
    test_words_of_c_and_cmake_are_no_names(name)


def test_a_folder_with_something_in_it_is_left_alone() -> None:
    Path("blink").mkdir()
    Path("blink/notes.txt").write_text("mine")
    code, text = llext("new", "blink")
    assert code == 2
    assert "`blink` is there already and not empty" in text
    assert [path.name for path in Path("blink").iterdir()] == ["notes.txt"]
    Path("file").write_text("mine")
    assert llext("new", "file")[0] == 2
    Path("free").mkdir()
    assert "CMakeLists.txt" in made("free")


def test_what_cannot_be_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(templates.PLACES, "deep" * 80, "gitignore.in")  # longer than a name may be
    code, text = llext("new", "blink")
    assert code == 3
    assert "error[file-unwritable]" in text
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("targets", "built", "tested"),
    [
        (["rv32imac"], "for rv32imac", "in an environment of its own"),
        (["rv32imac", "cortex-m4"], "for both targets", "in an environment for each target"),
        (["rv32imac", "cortex-m4", "rv64gc"], "for all 3 targets", "in an environment for each target"),
    ],
)
def test_what_comes_next_is_for_so_many_targets(targets: list[str], built: str, tested: str) -> None:
    code, text = llext("new", "blink", *(f"--target={target}" for target in targets))
    assert code == 0, text
    said = dict(line.strip().split("  # ") for line in text.splitlines() if "  # " in line)
    assert (said["llext build"], said["tox"]) == (built, f"build and test, {tested}")
    assert said["pytest"] == "its tests, on rv32imac"


def test_an_unknown_target_is_refused() -> None:
    code, text = llext("new", "blink", "--target", "cortex-m44")
    assert code == 2
    assert "cortex-m4" in text
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("contents", "message", "help"),
    [
        ("[exports]\nf = 16\n", "error[elf-magic]: `zephyr $1.elf` is no firmware", "give its image, `zephyr.elf`"),
        ("", "error[elf-magic]: `zephyr $1.elf` is no firmware: it is not an ELF file", "a table is for llext.toml"),
        (1, "error[exports-missing]: `zephyr $1.elf` is an extension, not a firmware image", "has `--extension`"),
        (2, "error[exports-missing]: `zephyr $1.elf` has no export table", "build the firmware with `CONFIG_LLEXT=y`"),
    ],
    ids=["table", "empty", "extension", "without exports"],
)  # fmt: skip
def test_what_is_no_firmware(contents: str | int, message: str, help: str) -> None:
    """A number is that of ELF's type: ET_REL, ET_EXEC."""
    path = Path("zephyr $1.elf")
    if isinstance(contents, str):
        path.write_text(contents)
    else:
        path.write_bytes(tiny(kind=contents))
    for options in ([], ["--target", "cortex-m4"]):
        code, said = llext("new", "blink", "--firmware", path.name, *options)
        text = " ".join(said.split())
        assert code != 0
        assert message in text
        assert help in text
        assert "on the board" not in text, "it is no extension"
        assert not Path("blink").exists()
