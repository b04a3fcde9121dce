"""The samples, for each target and toolchain: built, checked, run in the emulator.

Oracle: the expectations in the samples' own CMakeLists.txt, worked out by hand there; the code of each target computes
the other side. The firmware's CRC is compared with the check value that the algorithm's descriptions give.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from builders.by_hand import assert_built_alike
from cmake_project import need_toolchain
from llext_tools import arch
from llext_tools.build import Job, Options, Step, build, cores, diagnose
from llext_tools.cli.render import Paint, render
from llext_tools.elf.read import load_object
from llext_tools.link import ExportTable, link
from llext_tools.link.exports import Export
from llext_tools.mem import Domain, Mem
from llext_tools.paths import samples_dir
from oracle.gnu_ld import definitions, relinked, run, tool

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.emulator]

SAMPLES = Path(samples_dir())
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/CMakeLists.txt"))
TARGETS = tuple(arch.targets())
AS_FLAGS = ("-mcpu=", "-march=", "-mabi=")  # of a target's flags those that gas knows


def named(command: str, target: str, *samples: str) -> set[str]:
    """The first arguments of all calls of a CMake command; RISC-V does without the variant that uses short calls."""
    texts = (SAMPLES.joinpath(sample, "CMakeLists.txt").read_text(encoding="utf-8") for sample in samples)
    found = {name for text in texts for name in re.findall(rf"^ *{command}\((\w+)", text, re.MULTILINE)}
    return found if arch.target(target).arch == "arm" else {name for name in found if not name.startswith("near_call")}


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
@pytest.mark.parametrize("target", TARGETS)
def test_all_samples(target: str, toolchain: str, tmp_path: Path) -> None:
    need_toolchain(target, toolchain)
    job = Job(target=target, toolchain=toolchain, build=tmp_path / "build", output=tmp_path / "dist")
    (result,) = build([job], Options(source=SAMPLES, cores=cores(), keep_going=True))
    assert result.passed, "\n".join(render(found, Paint(sys.stderr)) for found in diagnose([result]))
    assert not [each.diagnostic for each in result.warnings]
    assert {path.stem for path in result.artifacts} == named("llext_add_extension", target, *NAMES)
    assert {test.name for test in result.tests} == named("llext_add_test", target, *NAMES)
    for path in result.artifacts:
        assert path.parent == job.output
        assert path.with_suffix(".debug.elf").exists()
        assert_manifest(path.with_suffix(".json"), job)
        assert_linked_as_by_gnu_ld(path, arch.target(target).cpu_flags)
    for name, sources in {"multi_file": "main.c hash.c rotate.S", "cpp": "report.cpp shapes.cpp support.cpp"}.items():
        chosen = ("--target", target, "--toolchain", toolchain)
        assert_built_alike(job.build, name, [SAMPLES / name / file for file in sources.split()], tmp_path, *chosen)


def assert_manifest(path: Path, job: Job) -> None:
    """Oracles: jsonschema with the schema that is shipped; hashlib."""
    text = path.read_text(encoding="utf-8")
    document = json.loads(text)
    schema = json.loads((files("llext_tools.artifact") / "schema.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    assert document["target"]["name"] == job.target
    assert (document["toolchain"]["name"], document["checked"]["warnings"]) == (job.toolchain, [])
    assert set(document["toolchain"]["flags"]) & {"C", "CXX"}
    for flags in document["toolchain"]["flags"].values():
        assert {"-g", *arch.target(job.target).cpu_flags} <= set(flags)
    assert str(job.build) not in text
    digests = {name: entry["sha256"] for name, entry in document["files"].items()}
    beside = [path.with_suffix(".llext"), path.with_suffix(".debug.elf")]
    assert digests == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in beside}


def assert_linked_as_by_gnu_ld(path: Path, flags: Iterable[str]) -> None:
    """Oracle: GNU ld links the shipped file with each section at the address that our link gives it."""
    obj = load_object(str(path))
    machine = arch.by_machine(obj.machine)
    assert machine is not None
    y = obj.symbols
    missing = y.names(np.flatnonzero((y.shndx == 0) & (y.name_at > 0)).tolist())
    host = tuple(Export(name, 0x2010_0000 + 16 * i | machine.thumb, "func") for i, name in enumerate(missing))
    exports = ExportTable(source="host", symbols=host)
    ours = link(obj, exports=exports, domain=Domain(start=0x2000_0000))
    at = {obj.sections.name[i]: int(a) for i, a in enumerate(ours.layout.section_addr) if a}
    stub = path.with_suffix(".host.s")
    stub.write_text(definitions(host), encoding="utf-8")
    run(
        tool(machine.name, "as"),
        *(f for f in flags if f.startswith(AS_FLAGS)),
        str(stub),
        "-o",
        str(stub.with_suffix(".o")),
    )
    theirs = relinked(machine.name, obj.bits, (path, stub.with_suffix(".o")), at)
    assert {".text"} <= theirs.keys() <= at.keys()
    for name, data in theirs.items():
        index = obj.sections.index(name)
        assert index is not None
        mem = Mem(int(ours.regions.region[index]))
        start = int(ours.regions.offset[index])
        if mem is not Mem.BSS:
            assert ours.mem[mem][start : start + len(data)].tobytes() == data, f"{path.name}: {name}"


@pytest.mark.parametrize("sample", NAMES)
def test_each_sample_is_a_project_of_its_own(sample: str, tmp_path: Path) -> None:
    """Copied somewhere else, alone: nothing of its neighbours or of the project around it is used."""
    target, toolchain = ("rv32imac", "gcc") if shutil.which("riscv64-unknown-elf-gcc") else ("rv32imac", "zig")
    need_toolchain(target, toolchain)
    shutil.copytree(SAMPLES / sample, tmp_path / sample)
    job = Job(target=target, toolchain=toolchain, build=tmp_path / "build", output=tmp_path / "dist")
    (result,) = build([job], Options(source=tmp_path / sample, cores=cores()))
    assert result.passed, "\n".join(render(found, Paint(sys.stderr)) for found in diagnose([result]))
    assert {path.stem for path in result.artifacts} == named("llext_add_extension", target, sample)
    assert set(result.seconds) == set(Step)


def test_arrays_of_clang_suit_an_older_loader(tmp_path: Path) -> None:
    """Oracle: Zephyr 4.2 refuses an array whose sh_entsize is not the size of a pointer; Clang leaves it 0."""
    need_toolchain("rv32imac", "zig")
    job = Job(target="rv32imac", toolchain="zig", build=tmp_path / "build", output=tmp_path / "dist")
    (result,) = build([job], Options(source=SAMPLES / "init_fini", cores=cores(), profile="zephyr-4.2"))
    assert result.passed, "\n".join(render(found, Paint(sys.stderr)) for found in diagnose([result]))
    assert result.tests


def test_a_build_is_configured_anew_for_another_loader(tmp_path: Path) -> None:
    """Oracle: arch/arm/core/elf.c of Zephyr 4.2 has no R_ARM_TLS_LE32."""
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(counter LANGUAGES C)\nfind_package(LlextTools REQUIRED)\n"
        "llext_add_extension(counter SOURCES counter.c)\n"
    )
    (tmp_path / "counter.c").write_text(
        "#include <llext/symbol.h>\n__thread int mine;\nint count(void) { return ++mine; }\nEXPORT_SYMBOL(count);\n"
    )
    command = ("build", ".", "--target", "cortex-m4", "--toolchain", "gcc")
    output = tmp_path / "dist" / "cortex-m4-gcc" / "counter.llext"
    for profile, code in (((), 0), (("--profile", "zephyr-4.2"), 4), (("--profile", "zephyr-next"), 0)):
        done = llext(*command, *profile, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        found = "error[reloc-refused]" if code else "warning[reloc-deviates]"  # what it takes, it writes otherwise
        assert "`R_ARM_TLS_LE32`" in done.stderr.partition(found)[2]
        assert output.exists() == (code == 0)


def test_an_up_to_date_build_compiles_nothing(tmp_path: Path) -> None:
    need_toolchain("rv32imac", "gcc")
    job = Job(target="rv32imac", toolchain="gcc", build=tmp_path / "build", output=tmp_path / "dist")
    options = Options(source=SAMPLES / "multi_file", cores=cores())
    build([job], options)
    before = {path: path.stat().st_mtime_ns for path in job.output.iterdir()}
    (again,) = build([job], options)
    assert again.passed
    assert "ninja: no work to do." in job.log.read_text(encoding="utf-8")
    assert {path: path.stat().st_mtime_ns for path in job.output.iterdir()} == before


def test_an_export_taken_from_the_firmware_fails_the_build_of_its_extension(tmp_path: Path) -> None:
    need_toolchain("cortex-m3", "gcc")
    shutil.copytree(SAMPLES / "firmware", tmp_path / "firmware")
    exports = tmp_path / "firmware" / "exports.c"
    text = exports.read_text(encoding="utf-8")
    exports.write_text(text.replace("EXPORT_SYMBOL(crc32);", ""), encoding="utf-8")
    job = Job(target="cortex-m3", toolchain="gcc", build=tmp_path / "build", output=tmp_path / "dist")
    (result,) = build([job], Options(source=tmp_path / "firmware", cores=cores()))
    (failure,) = result.failures
    assert failure.codes == ("symbol-unexported",)
    assert any("`crc32`" in line for line in failure.lines)
    assert not job.output.exists()


def test_keep_going_runs_no_extension_of_an_earlier_build(tmp_path: Path) -> None:
    need_toolchain("rv32imac", "gcc")
    project = shutil.copytree(SAMPLES / "hello", tmp_path / "hello")
    lists = (project / "CMakeLists.txt").read_text(encoding="utf-8")
    (project / "two.c").write_text("#include <llext/symbol.h>\nint two(void) { return 2; }\nEXPORT_SYMBOL(two);\n")
    (project / "CMakeLists.txt").write_text(
        f'{lists}llext_add_extension(two SOURCES two.c)\nllext_add_test(two_runs EXTENSION two CALL "two()")\n'
    )
    job = Job(target="rv32imac", toolchain="gcc", build=tmp_path / "build", output=tmp_path / "dist")
    (result,) = build([job], Options(source=project, cores=cores()))
    assert len(result.tests) == 3
    (project / "hello.c").write_text("int hello(void) { return oops; }\n", encoding="utf-8")
    (result,) = build([job], Options(source=project, cores=cores(), keep_going=True))
    assert [failure.what for failure in result.failures] == ["hello.c.obj"]
    assert (result.tests, result.up_to_date) == ((), ("two_runs",)), "it has passed, and is what it was"
    assert result.not_run == ("hello_runs", "hello_greets")


def test_the_readme_lists_all_samples() -> None:
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[`(\w+)`\]\(\1\)", text, re.MULTILINE) == re.findall(
        r"add_subdirectory\((\w+)\)", (SAMPLES / "CMakeLists.txt").read_text(encoding="utf-8")
    )
    assert set(re.findall(r"add_subdirectory\((\w+)\)", (SAMPLES / "CMakeLists.txt").read_text())) == set(NAMES)


def llext(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llext_tools", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=cwd, check=False)


def test_demo_keeps_what_was_edited_and_leaves_other_folders_alone(tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    build_one = ("--target", "cortex-m4", "--toolchain", "gcc", "--json", "result.json")
    done = llext("demo", "mine", *build_one, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(NAMES)} samples in mine" in done.stdout
    assert (tmp_path / "result.json").exists()

    hello = tmp_path / "mine" / "hello" / "hello.c"
    hello.write_text(hello.read_text(encoding="utf-8").replace("return 42;", "return 41;"), encoding="utf-8")
    done = llext("demo", "mine", *build_one, cwd=tmp_path)
    assert done.returncode == 10, "the edited sample does not meet its expectation"
    assert "hello_runs" in done.stderr

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    done = llext("demo", "foreign", *build_one, cwd=tmp_path)
    assert done.returncode == 2
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]
