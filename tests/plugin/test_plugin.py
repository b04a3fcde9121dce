"""The plugin as a person meets it. Oracle: texts that somebody has read, in ``golden/``, and pytest's own counts."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

import llext_tools
from emulator.compiled import compile_c
from llext_tools import arch
from transcript import llext

pytestmark = pytest.mark.emulator

GOLDEN = Path(__file__).parent / "golden"
PLUGIN = ("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider", "-W", "error")
SOURCE = """\
static int level;
static char *kept;

__attribute__((noinline, used)) static int inner(const int *values, int i)
{
	int value = *(const volatile int *)&values[i];

	level += value;
	return value;
}

int outer(const int *values)
{
	return inner(values, 0) + 1;
}
EXPORT_SYMBOL(outer);

int rise(int by)
{
	printk("rise by %d\\n", by);
	k_msleep(by);
	return level += by;
}
EXPORT_SYMBOL(rise);

void keep(const char *text)
{
	kept = malloc(strlen(text) + 1);
	strcpy(kept, text);
}
EXPORT_SYMBOL(keep);

void drop(void)
{
	free(kept);
}
EXPORT_SYMBOL(drop);

int empty(int by)
{
	assert(by <= level);
	return level -= by;
}
EXPORT_SYMBOL(empty);

void give_up(void)
{
	abort();
}
EXPORT_SYMBOL(give_up);
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tank.llext``, its sources and debug information."""
    folder = tmp_path_factory.mktemp("built")
    compiled = compile_c(
        SOURCE, arch.target("cortex-m4"), "gcc", folder, f"-ffile-prefix-map={folder}=src", name="tank"
    )
    assert llext("finish", compiled.path) == (0, "")
    return folder


@pytest.fixture
def project(built: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with the extension in ``build``, where pytest is run in a terminal of 80 columns."""
    for name, value in {
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "PYTHONPATH": str(Path(llext_tools.__file__).parents[1]),
    }.items():
        monkeypatch.setenv(name, value)
    for name in list(os.environ):
        if name.startswith(("LLEXT_", "PYTEST_ADDOPTS")) or name in ("CI", "BUILD_NUMBER"):  # there pytest cuts nothing
            monkeypatch.delenv(name)
    shutil.copytree(built, pytester.path / "build")
    return pytester


def failures(result: pytest.RunResult, folder: Path) -> str:
    """What pytest shows of the tests that fail, without what differs from run to run."""
    text = result.stdout.str()
    text = text[text.index("=== ") :] if "=== FAILURES" not in text and "=== ERRORS" not in text else text
    start = re.search(r"^=+ (ERRORS|FAILURES) =+$", text, re.MULTILINE)
    assert start is not None, text
    text = text[start.start() :]
    text = re.sub(r" in \d+\.\d+s", " in 0.00s", text)
    return text.replace(str(folder), "/project") + "\n"


def test_what_a_person_sees_of_failures(project: pytest.Pytester, golden: bool) -> None:
    project.makepyfile(
        test_tank="""
        def test_fault(llext_extension):
            tank = llext_extension("tank.llext")
            assert tank.rise(2) == 2
            tank.outer(None)

        def test_abort(llext_extension):
            llext_extension("tank").give_up()

        def test_assertion(llext_extension):
            llext_extension("tank").empty(1)

        def test_leak(llext_extension):
            tank = llext_extension("tank.llext")
            tank.keep("forgotten")

        def test_wrong_value(llext_extension):
            tank = llext_extension("tank.llext")
            assert tank.rise(2) == 3

        def test_error_in_an_override(llext_extension):
            tank = llext_extension("tank.llext")

            @tank.host.override("k_msleep")
            def sleep(ms):
                assert ms < 10, "too long"

            tank.rise(20)

        def test_not_there(llext_extension):
            llext_extension("tonk.llext")
        """
    )
    result = project.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(failed=6, errors=1, passed=1)
    shown = failures(result, project.path)
    assert "llext_tools/" not in shown
    path = GOLDEN / "failures.txt"
    if golden:
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


def sections(text: str) -> list[str]:
    """What pytest shows as captured: each title with the lines below it, up to the next rule."""
    found = re.findall(r"^-+ Captured (.*?) -+\n((?:(?!([-_=])\3\3).*\n)*)", text, re.MULTILINE)
    return [f"{title}: {' / '.join(lines.splitlines())}" for title, lines, _ in found]


@pytest.mark.parametrize("show", ["all", "stdout", "no"])
def test_what_it_printed_is_in_the_report(project: pytest.Pytester, show: str) -> None:
    """Oracle: pytest, whose own section of what the test prints comes and goes with ours; what the C code prints."""
    project.makepyfile(
        test_tank="""
        import pytest

        @pytest.fixture
        def raised(llext_extension):
            tank = llext_extension("tank.llext")
            tank.rise(1)
            return tank

        def test_plain(raised):
            print("of the test")
            raised.rise(2)
            assert 0

        def test_fault_of_one_of_several(llext_extension):
            tank, same, other = map(llext_extension, ["tank.llext", "tank.llext", "tank.debug.elf"])
            tank.rise(3), same.rise(4), other.rise(5)
            tank.outer(None)

        def test_at_the_end(llext_extension):
            tank = llext_extension("tank.llext")
            tank.rise(6)
            tank.keep("forgotten")

        def test_good(llext_extension):
            llext_extension("tank.llext").rise(7)
        """
    )
    result = project.runpytest_inprocess(*PLUGIN, f"--show-capture={show}")
    result.assert_outcomes(failed=2, passed=2, errors=1)
    found = sections(result.stdout.str())
    ours = [
        "extension output call: rise by 6",
        "extension output setup: rise by 1",
        "extension output call: rise by 2",
        "extension output (tank.llext, 1) call: rise by 3",
        "extension output (tank.llext, 2) call: rise by 4",
        "extension output (tank.debug.elf) call: rise by 5",
    ]
    pytests = "stdout call: of the test"
    assert sorted(found) == sorted({"all": [*ours, pytests], "stdout": [pytests], "no": []}[show])


def test_what_constructors_and_destructors_printed(project: pytest.Pytester) -> None:
    source = """
    static int level;
    __attribute__((constructor)) static void up(void) { printk("up\\n"); if (BAD) abort(); }
    __attribute__((destructor)) static void down(void) { printk("down\\n"); if (level) abort(); }
    void raise(void) { level++; } EXPORT_SYMBOL(raise);
    """
    for bad in (0, 1):
        compile_c(source, arch.target("cortex-m4"), "gcc", project.path / "build", f"-DBAD={bad}", name=f"bad{bad}")
    project.makepyfile(
        """
        def test_down(llext_extension):
            llext_extension("bad0.debug.elf").symbols["raise"]()

        def test_up(llext_extension):
            llext_extension("bad1.debug.elf")
        """
    )
    result = project.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(failed=1, passed=1, errors=1)
    assert sections(result.stdout.str()) == [
        "extension output call: up",
        "extension output teardown: down",
        "extension output call: up",
    ]


def test_each_test_finds_a_fresh_state(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_tank="""
        import pytest

        @pytest.fixture
        def tank(llext_extension):
            tank = llext_extension("tank.llext")
            yield tank
            tank.drop()

        @pytest.mark.parametrize("by", range(1, 5))
        def test_rises_from_zero(tank, by):
            tank.keep("freed by the fixture")
            assert tank.rise(by) == by
            assert tank.host.output == f"rise by {by}\\n"
            assert tank.host.clock == by

        def test_fails(tank):
            tank.host.override("k_msleep", 5)
            tank.rise(3)
            tank.outer(0)

        def test_is_not_spoilt_by_that(tank):
            assert tank.rise(7) == 7
            assert tank.host.clock == 7

        def test_two_of_a_kind(llext_extension):
            one, other = llext_extension("tank.llext"), llext_extension("tank.llext")
            assert (one.rise(1), one.rise(1), other.rise(1)) == (1, 2, 1)
        """
    )
    project.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=6, failed=1)


def test_a_leak_counts_only_for_a_good_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_tank="""
        import pytest
        from llext_tools import ExtensionError

        def test_wrong(llext_extension):
            llext_extension("tank.llext").keep("x")
            assert False

        def test_skipped(llext_extension):
            llext_extension("tank.llext").keep("x")
            pytest.skip("not today")

        def test_expects_a_fault(llext_extension):
            tank = llext_extension("tank.llext")
            tank.keep("x")
            with pytest.raises(ExtensionError, match="where there is no memory"):
                tank.outer(0)

        def test_allows_it(llext_extension):
            llext_extension("tank.llext", leaks="ignore").keep("x")
        """
    )
    project.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=2, failed=1, skipped=1)


def test_a_file_that_changes_is_loaded_anew(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_tank="""
        import os, pathlib

        def test_before(llext_extension):
            assert llext_extension("tank.llext").rise(1) == 1

        def test_after(llext_extension):
            path = pathlib.Path("build/tank.llext")
            path.write_bytes(path.read_bytes().replace(b"rise by %d", b"RISE BY %d"))
            tank = llext_extension("tank.llext")
            tank.rise(1)
            assert tank.host.output == "RISE BY 1\\n"
        """
    )
    project.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=2)


@pytest.mark.parametrize("how", ["option", "environment", "settings"])
def test_where_target_and_folder_come_from(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    project.makepyfile(
        """
        def test_target(llext_extension):
            assert llext_extension("tank.llext").target == "cortex-m33"
        """
    )
    options = []
    if how == "option":
        (project.path / "build").rename(project.path / "elsewhere")
        options = ["--llext-target", "cortex-m33", "--llext-build-dir", "elsewhere"]
    elif how == "environment":
        (project.path / "build").rename(project.path / "elsewhere")
        monkeypatch.setenv("LLEXT_TARGET", "cortex-m33")
        monkeypatch.setenv("LLEXT_BUILD_DIR", str(project.path / "elsewhere"))
    else:
        (project.path / "llext.toml").write_text('target = "cortex-m33"\n')
    project.runpytest_inprocess(*PLUGIN, *options).assert_outcomes(passed=1)


@pytest.mark.parametrize("how", ["option", "environment", "settings"])
def test_which_of_several_builds(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    for job in ("cortex-m4-gcc", "cortex-m4-zig", "cortex-m7-zig"):
        shutil.copytree(project.path / "build", project.path / "dist" / job)
    shutil.rmtree(project.path / "build")
    project.makepyfile(
        """
        def test_folder(llext_extension):
            assert "cortex-m4-zig" in llext_extension("tank.llext").path
        """
    )
    options = ["--llext-target", "cortex-m4"]
    project.runpytest_inprocess(*PLUGIN, *options).assert_outcomes(failed=1)
    if how == "option":
        options += ["--llext-toolchain", "zig"]
    elif how == "environment":
        monkeypatch.setenv("LLEXT_TOOLCHAIN", "zig")
    else:
        text = '[build]\ntargets = ["cortex-m4"]\ntoolchains = ["zig"]\n'
        (project.path / "llext.toml").write_text(text, encoding="utf-8")
        options = []
    project.runpytest_inprocess(*PLUGIN, *options).assert_outcomes(passed=1)


def table() -> str:
    """A firmware that exports all that the extension needs."""
    names = ("printk", "k_msleep", "malloc", "strlen", "strcpy", "free", "__assert_func", "abort")
    return "[exports]\n" + "".join(f"{name} = {0x0800_0001 + 16 * i:#x}\n" for i, name in enumerate(names))


@pytest.mark.parametrize("name", ["old", "new"])
def test_the_build_for_the_firmware_that_it_runs_on(project: pytest.Pytester, name: str) -> None:
    """Named in the settings, given on the command line or by the test; here each is a table of addresses."""
    for each in ("old", "new"):
        shutil.copytree(project.path / "build", project.path / "dist" / f"cortex-m4-gcc-{each}")
        (project.path / f"{each}.toml").write_text(table(), encoding="utf-8")
    shutil.rmtree(project.path / "build")
    entries = {each: f'[[build.firmware]]\nname = "{each}"\nfile = "{each}.toml"\n' for each in ("old", "new")}
    (project.path / "llext.toml").write_text("".join(entries.values()), encoding="utf-8")
    project.makepyfile(
        f"""
        def test_folder(llext_extension):
            assert "cortex-m4-gcc-{name}" in llext_extension("tank.llext").path

        def test_in_the_test(llext_extension):
            assert "cortex-m4-gcc-old" in llext_extension("tank.llext", exports="old.toml").path
        """
    )
    for job in ("cortex-m4-gcc", "cortex-m4-gcc-older"):  # left of builds before the settings said what they say
        shutil.copytree(project.path / "dist" / "cortex-m4-gcc-old", project.path / "dist" / job)
    found = project.runpytest_inprocess(*PLUGIN)
    found.assert_outcomes(failed=1, passed=1)
    found.stdout.fnmatch_lines(["*`dist/cortex-m4-gcc-new` and `dist/cortex-m4-gcc-old`"])
    project.runpytest_inprocess(*PLUGIN, "--llext-exports", f"{name}.toml").assert_outcomes(passed=2)
    (project.path / "llext.toml").write_text(entries[name], encoding="utf-8")
    project.runpytest_inprocess(*PLUGIN, "-k", "folder").assert_outcomes(passed=1, deselected=1)


def test_files_of_options_are_found_from_another_folder(project: pytest.Pytester) -> None:
    (project.path / "board.toml").write_text(table(), encoding="utf-8")
    project.makepyfile(
        """
        def test_elsewhere(llext_extension, monkeypatch, tmp_path):
            monkeypatch.chdir(tmp_path)
            tank = llext_extension("tank.llext")
            tank.host.override("printk", 0)
            tank.host.override("k_msleep", 0, prototype="int k_msleep(int ms)")
            assert tank.rise(2) == 2
        """
    )
    project.runpytest_inprocess(*PLUGIN, "--llext-exports", "board.toml").assert_outcomes(passed=1)


def test_with_several_processes(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("by", range(1, 9))
        def test_rises(llext_extension, by):
            assert llext_extension("tank.llext").rise(by) == by
        """
    )
    project.runpytest_subprocess(*PLUGIN, "-n", "2").assert_outcomes(passed=8)


def test_nothing_heavy_is_loaded_before_an_extension_is(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_modules():
            assert "llext_tools.pytest_plugin" in sys.modules
            assert not {"unicorn", "numpy", "elftools", "pycparser", "llext_tools.testing"} & sys.modules.keys()
        """
    )
    project.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_the_help_names_the_options(project: pytest.Pytester) -> None:
    text = project.runpytest_subprocess(*PLUGIN, "--help").stdout.str()
    names = ("target=CPU", "toolchain=NAME", "firmware=ELF", "exports=TABLE", "build-dir=DIR")
    assert all(f"--llext-{name}" in text for name in names)
    assert "LLEXT_TOOLCHAIN" in text
