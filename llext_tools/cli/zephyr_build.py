"""What a build of Zephyr says of its loader: its folder, its ``.config`` and its version.

Source: Zephyr, ``subsys/llext/Kconfig``, ``arch/arm/core/Kconfig``, ``arch/riscv/Kconfig``,
``cmake/modules/version.cmake``; the folder as ``west build`` leaves it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from llext_tools import arch as archs
from llext_tools.cli.kconfig import options_of
from llext_tools.diag import fail, listed, nearest
from llext_tools.files import read_bytes
from llext_tools.profile.releases import profile_for

KINDS = {
    "LLEXT_TYPE_ELF_OBJECT": "object",
    "LLEXT_TYPE_ELF_RELOCATABLE": "relocatable",
    "LLEXT_TYPE_ELF_SHAREDLIB": "shared",
}
"""What the build makes of an extension's sources: one compiled file, a partial link, a shared library."""
HEADERS = ("include/generated/zephyr/version.h", "include/generated/version.h")
STRING = re.compile(r'^\s*#\s*define\s+KERNEL_VERSION_STRING\s+"([^"]*)"', re.MULTILINE)
SKIPPED = ("CMakeFiles", ".git", "node_modules")


class Facts(NamedTuple):
    """What ``.config`` and version mean for the tools; empty where they do not say it."""

    target: str
    profile: str
    exact: bool  # the profile is that of this very release
    version: str
    kind: str  # one of KINDS
    storage: str
    slid: bool  # imports are looked up by number


class Build(NamedTuple):
    """The files of one build. ``folder`` is that with ``.config`` in it, ``root`` the one that ``-d`` names."""

    root: str
    folder: str
    config: str
    elf: str  # "" if it is not linked yet


def find_build(root: str) -> Build:
    """The build in a folder: its own, or the only one with extensions below it, as sysbuild has it.

    Raises:
        UsageError: ``usage``: there is none, or there are several.
    """
    if not os.path.isdir(root):
        fail("usage", f"there is no build folder `{root}`", help="name it: `-d BUILD_DIR`")
    folders = [root, os.path.join(root, "zephyr")]
    folder = next((each for each in folders if os.path.isfile(os.path.join(each, ".config"))), "")
    if not folder:
        several = list(_images(root))
        if len(several) > 1:
            names = ", ".join(f"`{os.path.relpath(os.path.dirname(each))}`" for each in several)
            fail("usage", f"`{root}` holds several builds with extensions: {names}", help="name one of them: `-d`")
        if not several:
            cure = "build there first, or name another folder: `-d BUILD_DIR`"
            fail("usage", f"`{root}` holds no build of Zephyr, for there is no `zephyr/.config`", help=cure)
        root, folder = os.path.dirname(several[0]), several[0]
    config = os.path.join(folder, ".config")
    name = options_of(config).get("KERNEL_BIN_NAME") or "zephyr"
    elf = os.path.join(folder, f"{name}.elf")
    return Build(root, folder, config, elf if os.path.isfile(elf) else "")


def _images(root: str) -> Iterator[str]:
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name, "zephyr")
        config = os.path.join(folder, ".config")
        if os.path.isfile(config) and options_of(config).get("LLEXT") == "y":
            yield folder


def version_in(folder: str) -> str:
    """The version of Zephyr that the headers of a build name, ``""`` if they are not made yet."""
    for header in HEADERS:
        path = os.path.join(folder, header)
        if os.path.isfile(path) and (found := STRING.search(read_bytes(path).decode("utf-8", "backslashreplace"))):
            return found[1]
    return ""


def facts_of(config: str, version: str) -> Facts:
    """What a ``.config`` says.

    Raises:
        UsageError: ``usage``: there can be no extensions, or they are for a CPU that is not supported.
        FormatError: ``file-unreadable``.
    """
    options = options_of(config)
    if options.get("LLEXT") != "y":
        fail("usage", f"`CONFIG_LLEXT` is off in `{config}`", help="a firmware without it loads no extensions")
    known = [arch.name for arch in archs.discover()]
    if not any(options.get(name.upper()) == "y" for name in known):
        fail("usage", f"`{config}` is of a CPU that is not supported", help=f"{' and '.join(known)} are")
    profile, exact = profile_for(version)
    if version and not profile:
        fail("usage", f"`{version}` is no version of Zephyr", help="it is one such as 4.2.0")
    return Facts(
        target=target_of(options),
        profile=profile,
        exact=exact,
        version=version,
        kind=next((kind for name, kind in KINDS.items() if options.get(name) == "y"), ""),
        storage="writable" if options.get("LLEXT_STORAGE_WRITABLE") == "y" else "",
        slid=options.get("LLEXT_EXPORT_BUILTINS_BY_SLID") == "y",
    )


def target_of(options: dict[str, str]) -> str:
    """The target of these options, ``""`` if there is none like it: then an extension is compared with the firmware."""
    on = {name for name, value in options.items() if value == "y"}
    for name, target in archs.targets().items():
        if target.kconfig and all((word.lstrip("!") in on) != word.startswith("!") for word in target.kconfig):
            return name
    return ""


def files_in(root: str) -> list[str]:
    """The extensions below a build folder, each once: a copy of another one, by the same name, is left out."""
    found: dict[tuple[str, bytes], str] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in SKIPPED and not each.startswith("."))
        for file in sorted(files):
            if file.endswith(".llext"):
                path = os.path.join(folder, file)
                found.setdefault((file, read_bytes(path)), path)
    return list(found.values())


def extensions_in(root: str) -> dict[str, str]:
    """The extensions below a build folder: name, as loaded, -> path. Those of one name have their paths for names."""
    files = files_in(root)
    names = [_name(path) for path in files]
    return {
        name if names.count(name) == 1 else os.path.relpath(path, root): path
        for name, path in zip(names, files, strict=True)
    }


def _name(path: str) -> str:
    return os.path.basename(path).removesuffix(".llext")


def extension_path(word: str, root: str) -> str:
    """The file that a word names: a path, or the name of an extension of the build.

    Raises:
        UsageError: ``usage``.
    """
    if os.path.exists(word):
        return word
    found = extensions_in(root)
    name = word.removesuffix(".llext")
    same = [path for path in found.values() if _name(path) == name]
    if len(same) > 1:
        fail("usage", f"`{root}` has {len(same)} extensions `{word}`: {listed(same)}", help="give the path of one")
    if name not in found:
        near = nearest(name, found)
        names = ", ".join(f"`{each}`" for each in found)
        cure = f"did you mean `{near}`?" if near else f"there are {names}" if names else "the build has made none"
        fail("usage", f"there is no extension `{word}` in `{root}`", help=cure)
    return found[name]
