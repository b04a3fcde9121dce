"""What is built is checked and run. Oracles: the loader's rules, CMake's and Ninja's own word on what is up to date."""

from __future__ import annotations

import pytest

from cmake_project import BOTH, HELLO, NOTHING_TO_DO, Project, need_toolchain, one_line, undefined
from llext_tools.errors import FormatError
from llext_tools.testing.find import find_extension

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]


def table(*names: str) -> str:
    return "[exports]\n" + "".join(f"{name} = 0x{0x8001 + 16 * i:x}\n" for i, name in enumerate(names))


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_a_refused_extension_leaves_nothing_behind(project: Project, generator: str) -> None:
    """What is refused once is refused again, until its cause is gone; then it is built without being told."""
    need_toolchain("cortex-m4", "zig")
    project.write(hello__c=HELLO, board__toml=table("something_else"))
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\nllext_add_extension(hello SOURCES hello.c EXPORTS board)\n"
    )
    project.configured("cortex-m4", "zig", generator=generator)
    for _ in range(2):
        failed = project.build()
        assert failed.returncode != 0
        assert "error[undefined-symbol]: `printk`" in failed.stdout
        assert not project.path("hello.llext").exists()
        assert not project.path("hello.debug.elf").exists()
        assert not project.path("hello.json").exists()
        with pytest.raises(FormatError, match=r"there is no `hello\.llext`"):  # for a test in Python
            find_extension("hello", [project.build_dir], deep=True)

    project.write(board__toml=table("printk"))
    project.touch("board.toml")
    project.built()
    assert project.path("hello.llext").exists()
    log = project.built()
    assert "Linking" not in log, "the second build has nothing to do"

    project.write(board__toml=table("something_else"))
    project.touch("board.toml")
    assert project.build().returncode != 0, "the table is a dependency"
    assert not project.path("hello.llext").exists()


def test_exports_come_from_a_firmware_target(project: Project) -> None:
    """The firmware is built first, and checked against again when it changes; tests run on its code."""
    need_toolchain("cortex-m4", "zig")
    project.write(
        hello__c=HELLO,
        firmware__c="#include <llext/symbol.h>\nint printk(const char *f, ...) { return *f; }\nEXPORT_SYMBOL(printk);\n"
        "static int factor; void prepare(void) { factor = 10; } int scaled(int x) { return factor * x; }\n"
        "int sensor(void) { return -1; }\n"
        "EXPORT_SYMBOL(scaled); EXPORT_SYMBOL(sensor); void _start(void) {}\n",
        reader__c="#include <llext/symbol.h>\nint scaled(int); int sensor(void);\n"
        "int reading(void) { return scaled(sensor()); }\nEXPORT_SYMBOL(reading);\n",
        asker__c="#include <llext/symbol.h>\nint reading(void); int ask(void) { return 2 * reading(); }\n"
        "EXPORT_SYMBOL(ask);\n",
        board__py="def sensor():\n    return 7\n",
        other__toml=table("reading"),
        firmware__ld="SECTIONS { .text 0x8000000 : { *(.text*) } .rodata : { *(.rodata*) }\n"
        "llext_const_symbol_area : { KEEP(*(._llext_const_symbol.static.*)) KEEP(*(llext_const_symbol_area*)) }\n"
        ".bss 0x20000000 : { *(.bss*) } }\n",
    )
    project.cmake_lists(
        "add_executable(firmware firmware.c)\n"
        "target_link_libraries(firmware PRIVATE LlextTools::headers)\n"
        'target_link_options(firmware PRIVATE "LINKER:-T,${CMAKE_CURRENT_SOURCE_DIR}/firmware.ld")\n'
        "llext_add_exports(board FIRMWARE firmware)\n"
        "llext_add_extension(hello SOURCES hello.c EXPORTS board)\n"
        "llext_add_extension(reader SOURCES reader.c EXPORTS board)\n"
        "llext_add_extension(asker SOURCES asker.c)\n"
        'llext_add_test(reads AT_BUILD EXTENSION reader CALL "reading()" EXPECT_RETURN 70\n'
        "  OVERRIDE sensor=board.py:sensor INIT prepare)\n"
        'llext_add_test(asks AT_BUILD EXTENSION asker EXTENSIONS reader CALL "ask()" EXPECT_RETURN 140\n'
        "  OVERRIDE sensor=7 INIT prepare)\n"
        'llext_add_test(reads_zero AT_BUILD EXTENSION reader EXPORTS board CALL "reading()" EXPECT_RETURN 0\n'
        "  OVERRIDE sensor=7)\n"
    )
    project.configured("cortex-m4", "zig", "-DLLEXT_FIRMWARE=other.toml")
    project.built("--target", "hello")
    assert project.path("hello.llext").exists()
    project.touch("firmware.c")
    assert "hello.llext" in project.built("-v")
    assert NOTHING_TO_DO in project.built()


@BOTH
def test_extensions_are_run(project: Project, target: str, toolchain: str) -> None:
    """As a test for ctest and as a build step, with another extension loaded first."""
    need_toolchain(target, toolchain)
    project.write(
        base__c="#include <llext/symbol.h>\nint base(int a) { return 10 * a; }\nEXPORT_SYMBOL(base);\n",
        user__c="#include <llext/host.h>\n#include <llext/symbol.h>\nint base(int);\n"
        'int user(int a) { printk("[a;b] %d", base(a)); return base(a) + 1; }\nEXPORT_SYMBOL(user);\n',
    )
    project.cmake_lists(
        "llext_add_extension(base SOURCES base.c)\nllext_add_extension(user SOURCES user.c)\n"
        'llext_add_test(right EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN 41\n'
        '  EXPECT_OUTPUT "[[]a;b. 40" TIMEOUT 20)\n'
        'llext_add_test(wrong EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN -1)\n'
        'llext_add_test(step EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN ${EXPECTED} AT_BUILD)\n'
    )
    project.configured(target, toolchain, "-DEXPECTED=41")
    assert "Running step" in project.built()
    assert NOTHING_TO_DO in project.built()
    assert project.ctest("-R", "right").returncode == 0, project.ctest("-R", "right").stdout
    failed = project.ctest("-R", "wrong")
    assert failed.returncode != 0
    assert "error[expect-return]" in failed.stdout

    project.configured(target, toolchain, "-DEXPECTED=42")
    for _ in range(2):
        step = project.build()
        assert step.returncode != 0
        assert "error[expect-return]" in step.stdout
    project.configured(target, toolchain, "-DEXPECTED=41")
    project.touch("base.c")
    log = project.built()
    assert "Running step" in log, "an extension that it uses was built again"


def test_an_extension_is_checked_for_its_loader(project: Project) -> None:
    """Oracle: arch/arm/core/elf.c of Zephyr 4.2 has no R_ARM_TLS_LE32; the pull request 106643 has brought it."""
    need_toolchain("cortex-m4", "gcc")
    project.write(
        counter__c="#include <llext/symbol.h>\n"
        "__thread int mine;\nint count(void) { return ++mine; }\nEXPORT_SYMBOL(count);\n"
    )
    project.cmake_lists(
        "llext_add_extension(newer SOURCES counter.c)\n"
        "llext_add_extension(older SOURCES counter.c PROFILE zephyr-4.2)\n"
    )
    project.configured("cortex-m4", "gcc")
    refused = "error[reloc-refused]: the loader (zephyr-4.2) does not apply `R_ARM_TLS_LE32`"
    project.built("--target", "newer")
    assert refused in project.build("--target", "older").stdout
    assert not project.path("older.llext").exists()

    project.configured("cortex-m4", "gcc", "-DLLEXT_PROFILE=zephyr-4.2")
    assert refused in project.build("--target", "newer").stdout, "it is checked again, though no file has changed"
    assert not project.path("newer.llext").exists()


@pytest.mark.parametrize("name", ["llext.toml", "pyproject.toml"])
def test_an_extension_is_checked_by_the_settings_of_its_project(project: Project, name: str) -> None:
    """The nearest file above the CMakeLists.txt counts, outside of the project too, and its changes, or one by name."""
    need_toolchain("cortex-m4", "gcc")
    head = "" if name == "llext.toml" else "[project]\nversion = '1'\n\n[tool.llext]\n"
    above = project.root.parent / name
    above.write_text(head + 'exports = "gone/zephyr.elf"\n')
    (project.root / "sub dir" / "deeper").mkdir(parents=True)
    (project.root / "sub dir" / "deeper" / "quiet.c").write_text("int quiet(void) { return 1; }\n")
    (project.root / "sub dir" / "deeper" / "CMakeLists.txt").write_text("llext_add_extension(quiet SOURCES quiet.c)\n")
    project.cmake_lists('add_subdirectory("sub dir/deeper")\n')
    project.configured("cortex-m4", "gcc")
    assert f"`{above.parent}/gone/zephyr.elf`" in one_line(project.build().stdout), (
        "and no way through the build folder"
    )
    above.write_text(head)
    assert "warning[no-exports]" in project.built()
    above.write_text(head + "werror = true\n")
    assert "error[no-exports]" in project.build().stdout

    settings = project.root / "sub dir" / name
    settings.write_text(head + "werror = true\n")
    project.configured("cortex-m4", "gcc")
    assert "error[no-exports]" in project.build().stdout
    settings.write_text(head + 'ignore = "no-exports"\n')
    assert "no-exports" not in project.built(), "it is checked again, for the settings have changed"
    assert NOTHING_TO_DO in project.built()

    (project.root / "strict.toml").write_text("werror = true\n")
    project.configured("cortex-m4", "gcc", "-DLLEXT_SETTINGS=strict.toml")
    assert "error[no-exports]" in project.build().stdout
    project.configured("cortex-m4", "gcc", "-DLLEXT_SETTINGS=OFF")
    assert "warning[no-exports]" in project.built()


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_a_firmware_that_settings_name_is_noticed(project: Project, generator: str) -> None:
    """When it is replaced, and when they name another one."""
    need_toolchain("cortex-m4", "gcc")
    project.write(user__c="int meter(void); int user(void) { return meter(); }\n")
    project.cmake_lists("llext_add_extension(user SOURCES user.c)\n")
    first, second, settings = (project.root / name for name in ("fw 1.toml", "fw 2.toml", "llext.toml"))
    first.write_text(table("meter"))
    second.write_text(table("other"))
    settings.write_text(f'exports = "{first.name}"\nignore = "no-exports"\n')
    project.configured("cortex-m4", "gcc", generator=generator)
    assert "Linking" in project.built()
    assert "Linking" not in project.built()
    first.write_text(table("another"))
    assert "`meter`" in project.build().stdout
    first.write_text(table("meter"))
    project.built()
    settings.write_text(f'exports = "{second.name}"\nignore = "no-exports"\n')
    assert "`meter`" in project.build().stdout
    second.write_text(table("meter"))
    project.built()


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_settings_that_come_and_go_are_noticed(project: Project, generator: str) -> None:
    """Without being configured again by the user, and from any folder of the project."""
    need_toolchain("cortex-m4", "gcc")
    (project.root / "sub [1]").mkdir()
    (project.root / "sub [1]" / "CMakeLists.txt").write_text("llext_add_extension(quiet SOURCES quiet.c)\n")
    (project.root / "sub [1]" / "quiet.c").write_text("int quiet(void) { return 1; }\n")
    outer, inner, python = (project.root / name for name in ("llext.toml", "sub [1]/llext.toml", "pyproject.toml"))
    project.cmake_lists('add_subdirectory("sub [1]")\n')
    python.write_text("[project]\nversion = '1'\n")
    project.configured("cortex-m4", "gcc", generator=generator)
    assert "warning[no-exports]" in project.built()

    outer.write_text('ignore = "no-exports"\n')
    log = project.built()
    assert "Linking" in log
    assert "no-exports" not in log
    inner.write_text("werror = true\n")
    assert "error[no-exports]" in project.build().stdout
    inner.unlink()
    log = project.built()
    assert "Linking" in log
    assert "no-exports" not in log, "the outer one counts again"
    assert "Linking" not in project.built()
    outer.unlink()
    assert "warning[no-exports]" in project.built()
    python.write_text("[tool.llext]\nwerror = true\n")
    project.touch("pyproject.toml")
    assert "error[no-exports]" in project.build().stdout
    python.unlink()
    assert "warning[no-exports]" in project.built()


@pytest.mark.parametrize(
    ("generator", "toolchain"), [("Ninja", "zig"), ("Unix Makefiles", "gcc"), ("Ninja Multi-Config", "gcc")]
)
def test_what_other_extensions_export_is_there(project: Project, generator: str, toolchain: str) -> None:
    """They are built first, and what uses them is checked again when they change."""
    need_toolchain("cortex-m4", toolchain)
    export = "#include <llext/symbol.h>\nint meter(void) {{ return 3; }}\nLL_EXTENSION_SYMBOL_NAMED(meter, {});\n"
    project.write(
        meter__c=export.format("meter_start"),
        log__c="#include <llext/symbol.h>\nint meter_start(void);\n"
        "int log_start(void) { return meter_start(); }\nLL_EXTENSION_SYMBOL(log_start);\n",
        board__toml=table("printk"),
    )
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\n"
        "llext_add_extension(meter SOURCES meter.c EXPORTS board)\n"
        "llext_add_extension(log SOURCES log.c EXPORTS board EXTENSIONS meter)\n"
        "llext_add_extension(alone SOURCES log.c EXPORTS board)\n"
        "set_target_properties(alone PROPERTIES EXCLUDE_FROM_ALL TRUE)\n"
    )
    project.configured("cortex-m4", toolchain, generator=generator)
    folder = project.path("Debug" if "Multi" in generator else ".")
    project.built("--target", "log")
    assert (folder / "log.llext").exists()
    assert (folder / "meter.llext").exists()
    assert "meter_start" in undefined(folder / "log.llext")
    assert "Linking" not in project.built("--target", "log")
    alone = project.build("--target", "alone").stdout
    assert "error[undefined-symbol]: `meter_start`" in alone
    assert "if another extension exports it" in one_line(alone)

    project.write(meter__c=export.format("meter_begin"))
    project.touch("meter.c")
    for _ in range(2):
        assert "error[undefined-symbol]: `meter_start`" in project.build().stdout
    assert not (folder / "log.llext").exists()
    project.write(meter__c=export.format("meter_start"))
    project.touch("meter.c")
    project.built()
    assert (folder / "log.llext").exists()


def test_an_extension_is_run_by_the_rules_of_its_loader(project: Project) -> None:
    """Oracles: gABI, "Symbol Table", where an undefined weak symbol is 0; and Zephyr's loader, which gives -ENODATA."""
    need_toolchain("cortex-m4", "gcc")
    project.write(
        ask__c="#include <llext/symbol.h>\nint board(void) __attribute__((weak));\n"
        "int ask(void) { return board ? board() : 7; }\nEXPORT_SYMBOL(ask);\n",
        board__toml=table("something_else"),
    )
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\n"
        "llext_add_extension(lacking SOURCES ask.c EXPORTS board)\n"
        "set(LLEXT_PROFILE abi)\n"
        "llext_add_extension(ask SOURCES ask.c EXPORTS board)\n"
        "set(LLEXT_PROFILE zephyr-next)\n"
        'llext_add_test(asks EXTENSION ask CALL "ask()" EXPECT_RETURN 7)\n'
        'llext_add_test(asks_zephyr EXTENSION ask CALL "ask()" PROFILE zephyr-next)\n'
    )
    project.configured("cortex-m4", "gcc")
    assert "error[weak-undefined]: `board`" in project.build("--target", "lacking").stdout
    project.built("--target", "ask")
    assert project.ctest("-R", "asks$").returncode == 0, "by the profile of its extension"
    failed = project.ctest("-R", "asks_zephyr")
    assert failed.returncode != 0
    assert "error[weak-undefined]: `board`" in failed.stdout
