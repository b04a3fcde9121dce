"""The table ``[build]`` of a settings file: what ``llext build`` builds where the command line does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from llext_tools.arch import targets
from llext_tools.build import Firmware
from llext_tools.cli.settings import Key, Source, config, heap, kind, one_path, paths, read_table, some_of, text
from llext_tools.jobs import TOOLCHAINS

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")

CALLED = "call the `llext` that is wanted"
FLAGS = "CMAKE_C_FLAGS, target_compile_options() and target_link_options() add to our flags"
LANGUAGES = ("C", "CXX", "ASM")
OURS = {
    "LLEXT_TARGET": "`--target T`, or `targets` of [build]",
    "LLEXT_TOOLCHAIN": "`--toolchain C`, or `toolchains` of [build]",
    "CMAKE_TOOLCHAIN_FILE": "`--toolchain C`, or `--preset NAME` for a toolchain file that includes ours",
    "CMAKE_MAKE_PROGRAM": "Ninja is the one that pip has installed beside llext, else the first one in PATH",
    "CMAKE_GENERATOR": "for others than Ninja, call CMake itself: `llext cmake-dir` says where our package is",
    "CMAKE_SYSTEM_NAME": "extensions are for Zephyr alone",
    "CMAKE_SYSTEM_PROCESSOR": "`--target T`, or `targets` of [build]",
    "CMAKE_TRY_COMPILE_TARGET_TYPE": "there is no C library to link a program with",
    **dict.fromkeys(
        (f"CMAKE_{each}_COMPILER" for each in LANGUAGES), "`--toolchain C`; `llext doctor` says what it is"
    ),
    **dict.fromkeys((f"LLEXT_{each}_FLAGS" for each in LANGUAGES), FLAGS),
    "CMAKE_EXE_LINKER_FLAGS_INIT": FLAGS,
    "LLEXT_LINK_OPTIONS": FLAGS,
    "LLEXT_COMMAND": CALLED,
    "LlextTools_DIR": CALLED,
}
"""Variables for CMake that nobody but ``llext build`` and its toolchain file set, with what to use instead."""
OF_ZIG = ("CMAKE_AR", "CMAKE_LINKER", "CMAKE_RANLIB", "CMAKE_USER_MAKE_RULES_OVERRIDE")
"""Those that the toolchain file sets for zig alone."""
OF_PRESETS = ("LLEXT_TARGET", "LLEXT_TOOLCHAIN", "CMAKE_TOOLCHAIN_FILE")
"""Those that a preset may leave to the command line."""


class BuildSettings(NamedTuple):
    """What the table says, None or empty where it says nothing."""

    targets: tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ()
    profile: str = ""
    heap: str = ""
    firmware: tuple[Firmware, ...] = ()
    jobs: int | None = None
    keep_going: bool | None = None
    run: bool | None = None
    define: tuple[str, ...] = ()
    output: str = ""
    build_dir: str = ""


def read(path: str, data: bytes | None = None) -> BuildSettings:
    """The table in a file; ``data``: what the file holds, where it has been read already.

    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    return BuildSettings(**read_table(path, "build", KEYS, data))


def _switch(source: Source, key: str, value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    source.error(f"`{key}` is {kind(value)}, not `true` or `false`", key)
    return None


def _number(source: Source, key: str, value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
        return value
    source.error(f"`{key}` is not a positive number", key)
    return None


def _define(source: Source, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict):
        source.error(f"`{key}` is {kind(value)}, not a table of variables", key)
        return ()
    found = []
    for name, given in value.items():
        if not re.fullmatch(r"[^\s=:]+", name):
            source.error(f"`{key}`: `{name}` is not the name of a variable", name)
        elif name in OURS:
            source.error(f"`{key}`: `{name}` is for `llext build` to set", name, OURS[name])
        elif isinstance(given, bool):
            found.append(f"{name}={'ON' if given else 'OFF'}")
        elif isinstance(given, (str, int)):
            found.append(f"{name}={given}")
        else:
            source.error(f"`{key}`: `{name}` is {kind(given)}, not text, a whole number or a truth value", name)
    return tuple(found)


def _firmware(source: Source, key: str, value: Any) -> tuple[Firmware, ...]:
    """A list of tables, each of which is one more dimension of the matrix."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        source.error(f"`{key}` is {kind(value)}, not a list of tables", key, "write `[[build.firmware]]` above each")
        return ()
    found: list[Firmware] = []
    start = source.first
    for table in value:
        source.first = source.line_of(key) or source.first
        source.first += 1
        if firmware := _one_firmware(source, table):
            if firmware.name in {each.name for each in found}:
                source.error(f"two firmwares have the name `{firmware.name}`", firmware.name)
            found.append(firmware)
    source.first = start
    return tuple(found)


def _one_firmware(source: Source, table: Mapping[str, Any]) -> Firmware | None:
    given = {name: FIRMWARE[name].judge(source, name, value) for name, value in source.known(table, FIRMWARE)}
    if "name" not in table or "file" not in table:
        source.error("a firmware needs a `name` and a `file`", next(iter(table), "firmware"))
        return None
    if given["name"] and not NAME.fullmatch(given["name"]):
        source.error(f"`{given['name']}` cannot be the name of a firmware: it names folders", "name")
    return Firmware(
        name=given["name"],
        files=given["file"],
        targets=given.get("target", ()),
        heap=given.get("heap", ""),
        profile=given.get("profile", ""),
        config=given.get("config", ()),
    )


FIRMWARE: dict[str, Key] = {
    "name": Key('"release"', "of the firmware, at the end of the job's name", text),
    "file": Key('["build/zephyr/zephyr.elf"]', "its ELF file or export tables", paths),
    "target": Key('["cortex-m4"]', "for these targets only", some_of(targets)),
    "heap": Key('"8K"', "of its extensions", heap),
    "profile": Key('"zephyr-4.2"', "its loader", text),
    "config": Key('["build/zephyr/.config"]', "its Kconfig options, for the check", config),
}
"""The keys of each table ``[[build.firmware]]``."""

KEYS: dict[str, Key] = {
    "targets": Key('["cortex-m4"]', "the CPUs; default: all that a toolchain is installed for", some_of(targets)),
    "toolchains": Key('["gcc", "zig"]', "gcc, zig or auto", some_of(lambda: (*TOOLCHAINS, "auto"))),
    "profile": Key('"zephyr-4.2"', "the loader, one of `llext profiles`", text),
    "heap": Key('"8K"', "the heap of extensions, for their check", heap),
    "firmware": Key('[{ name = "a", file = "a.elf" }]', "what the extensions are for, see below", _firmware),
    "jobs": Key("4", "processes at a time", _number),
    "keep-going": Key("true", "go on after a failure", _switch),
    "run": Key("false", "whether tests run", _switch),
    "define": Key('{ BOARD = "a" }', "variables for CMake", _define),
    "output": Key('"dist"', "where the extensions go", one_path),
    "build-dir": Key('"build"', "where to build", one_path),
}
"""The keys, in the order of docs/reference/settings.md."""
