"""What `llext build` says on GitHub.

Oracles: a reader that undoes what GitHub's runner undoes; GCC's and CMake's outputs were recorded, ours are what the
renderer writes.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cmake_project import tool
from llext_tools.build import Failure, Job, Result, Step, Warned
from llext_tools.cli import matrix
from llext_tools.cli.annotate import MOST, annotate
from llext_tools.cli.render import Paint, render
from llext_tools.diag import Diagnostic, Location
from transcript import llext
from workflow import commands


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of the repository, which is the current one, as for a step of a workflow."""
    folder = tmp_path / "my project"
    (folder / "src").mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text("project(a)\n")
    (folder / "src" / "a.c").touch()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


def result(project: Path, target: str, *failures: Failure, warnings: tuple[str, ...] = ()) -> Result:
    build = project / "build" / f"{target}-gcc"
    return Result(
        job=Job(target=target, toolchain="gcc", build=build, output=project / "dist" / build.name),
        failures=failures,
        compiler_warnings=warnings,
    )


def ours(d: Diagnostic) -> tuple[str, ...]:
    return ("printed", *render(d, Paint(None), 10_000).splitlines(), "", "1 error; `llext explain` says more")


UNDEFINED = Diagnostic(
    "undefined-symbol",
    "`f` is not exported",
    location=Location("a.llext", ".text", 4, "g", 3, "src/a.c"),
    detail=("100% of it",),
    help="export it",
)


def test_our_errors_are_at_their_source(project: Path) -> None:
    failure = Failure(step=Step.BUILD, what="a", lines=ours(UNDEFINED))
    found = annotate([result(project, "cortex-m4", failure), result(project, "rv32imac", failure)], project)
    assert commands("\n".join(found)) == [
        (
            "error",
            {"file": "my project/src/a.c", "line": "3", "title": "undefined-symbol"},
            "\n".join(
                [
                    "`f` is not exported",
                    "at src/a.c:3, in `g` (a.llext: .text+0x4)",
                    "100% of it",
                    "note: on the board, llext_load() fails here with -ENODATA",
                    "note: cortex-m4-gcc: building `a` failed",
                    "note: and rv32imac-gcc: building `a` failed",
                    "help: export it",
                ]
            ),
        )
    ]


@pytest.mark.parametrize(("workspace", "current"), [("link", "."), (".", "link"), ("link", "link")])
def test_links_to_the_repository_are_followed(
    workspace: str, current: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a runner's folder is a link to a larger disk. GitHub knows the files of the repository alone."""
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / workspace))
    monkeypatch.chdir(tmp_path / current / project.name)
    failure = Failure(step=Step.BUILD, what="a", lines=ours(UNDEFINED))
    for source in (Path.cwd(), tmp_path / "link" / project.name):
        ((_, place, _),) = commands("\n".join(annotate([result(source, "cortex-m4", failure)], source)))
        assert place["file"] == "my project/src/a.c"


def test_a_place_that_is_no_file_of_the_project_is_only_said(project: Path) -> None:
    failure = Failure(step=Step.TEST, what="t", lines=ours(UNDEFINED._replace(location=Location("a.llext"))))
    (text,) = annotate([result(project, "cortex-m4", failure)], project)
    ((_, properties, message),) = commands(text)
    assert properties == {"title": "undefined-symbol"}
    assert "\nat a.llext\n" in message


def test_compilers_and_cmake(project: Path) -> None:
    lines = (
        f"{project}/src/a.c: In function 'a':",
        f"{project}/src/a.c:2:31: error: 'z' undeclared (first use in this function)",
        "    2 | int a(void){return z;}",
    )
    cmake = Failure(step=Step.CONFIGURE, what="CMakeLists.txt:1", lines=('Unknown CMake command "foo".',))
    strange = Failure(step=Step.BUILD, what="ninja gave exit code 3", lines=("no idea",))
    warned = f"{project}/src/a.c:7:13: warning: unused variable 'x' [-Wunused-variable]"
    results = [
        result(project, "cortex-m4", Failure(step=Step.BUILD, what="a.c.obj", lines=lines), warnings=(warned,)),
        result(project, "rv32imac", cmake, warnings=(warned, "warning: of a linker")),
        result(project, "rv64gc", strange),
    ]
    assert commands("\n".join(annotate(results, project))) == [
        (
            "error",
            {"file": "my project/src/a.c", "line": "2", "title": "compiler error"},
            "'z' undeclared (first use in this function)\ncortex-m4-gcc: building `a.c.obj` failed",
        ),
        (
            "error",
            {"file": "my project/CMakeLists.txt", "line": "1", "title": "build-failed"},
            'rv32imac-gcc: configuring `CMakeLists.txt:1` failed\nUnknown CMake command "foo".',
        ),
        ("error", {"title": "build-failed"}, "rv64gc-gcc: building `ninja gave exit code 3` failed\nno idea"),
        (
            "warning",
            {"file": "my project/src/a.c", "line": "7", "title": "compiler warning"},
            "unused variable 'x' [-Wunused-variable]\nfor cortex-m4-gcc, rv32imac-gcc",
        ),
        ("warning", {"title": "compiler warning"}, "warning: of a linker\nfor rv32imac-gcc"),
    ]


LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(a LANGUAGES NONE)
enable_testing()
function(llext_add_test name)
  add_test(NAME ${name} COMMAND false)
endfunction()
llext_add_test(ours)
foreach(name IN ITEMS theirs)
  add_test(NAME ${name} COMMAND false)
endforeach()
"""


def test_a_test_is_where_the_project_defines_it(project: Path) -> None:
    """Oracle: the lines above, by way of CMake and CTest. A build step is no test of CTest."""
    (project / "CMakeLists.txt").write_text(LISTS, encoding="utf-8")
    said = {"ours": ours(Diagnostic("expect-return", "it returned 3")), "theirs": ("no idea",), "at_build": ("none",)}
    failures = (Failure(step=Step.TEST, what=name, lines=lines) for name, lines in said.items())
    found = result(project, "cortex-m4", *failures)
    command = [tool("cmake"), "-S", str(project), "-B", str(found.job.build), "-G", "Ninja"]
    subprocess.run([*command, f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"], check=True, stdout=subprocess.DEVNULL)
    at = [properties for _, properties, _ in commands("\n".join(annotate([found], project)))]
    file = "my project/CMakeLists.txt"
    assert at == [
        {"file": file, "line": "7", "title": "expect-return"},
        {"file": file, "line": "9", "title": "build-failed"},
        {"title": "build-failed"},
    ]


def test_no_more_than_github_shows(project: Path) -> None:
    lines = tuple(f"{project}/src/a.c:{i}:1: error: {'x' * i}" for i in range(1, 30))
    warnings = tuple(f"{project}/src/a.c:{i}:1: warning: {'x' * i}" for i in range(1, 30))
    failure = Failure(step=Step.BUILD, what="a.c.obj", lines=lines)
    found = commands("\n".join(annotate([result(project, "cortex-m4", failure, warnings=warnings)], project)))
    assert [kind for kind, _, _ in found] == ["error"] * MOST + ["warning"] * MOST


@pytest.mark.parametrize("given", [None, "false", "true"])
def test_only_on_github(project: Path, given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = Diagnostic("firmware-unused", "it is not used", severity="warning")
    extension = project / "a.llext"
    extension.touch()
    found = replace(result(project, "cortex-m4"), artifacts=(extension,), warnings=(Warned(diagnostic=warning),))
    monkeypatch.setattr(matrix, "choose_jobs", lambda *_: ((found.job,), ()))
    monkeypatch.setattr(matrix, "build", lambda *_: [found])
    if given:
        monkeypatch.setenv("GITHUB_ACTIONS", given)
    code, text = llext("build", "--build-dir", "elsewhere")
    assert code == 0
    expected = [("warning", {"title": "firmware-unused"}, "it is not used")] if given == "true" else []
    assert commands(text) == expected


def test_what_is_no_part_of_the_project_has_its_own_code_and_cure(project: Path) -> None:
    """As a folder that cannot be written: it is said once."""
    text, cure = "cannot write `dist`: read-only file system", "take another folder: `--output FOLDER`"
    failure = Failure(step=Step.BUILD, what="", lines=(text,), codes=("file-unwritable",), help=cure)
    (found,) = commands("\n".join(annotate([result(project, "cortex-m4", failure)], project)))
    assert found == ("error", {"title": "file-unwritable"}, f"cortex-m4-gcc: {text}\nhelp: {cure}")
