"""``llext doctor``: which toolchains and tools are installed, where, and how to get the others."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from llext_tools import __version__, arch, paths, toolchains, zephyr_sdk
from llext_tools.cli.render import BOLD, GREEN, RED, Paint

DESCRIPTION = """\
Say which toolchains and tools were found, where, in which version, and the command
that installs what is missing. Exit code 0 if every target can be built, else 11."""
EXAMPLE = "llext doctor"

PACKAGES = ("cmake", "ninja", "numpy", "pyelftools", "unicorn")
MISSING = 11  # errors.ToolError.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked for. ``install`` is empty if it is there."""

    kind: str  # toolchain, package
    name: str
    found: bool
    version: str = ""
    path: str = ""
    targets: tuple[str, ...] = ()
    install: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    findings = [*toolchain_findings(), *package_findings()]
    built = {name for f in findings if f.kind == "toolchain" and f.found for name in f.targets}
    without = [name for name in arch.targets() if name not in built]
    broken = [f.name for f in findings if f.kind == "package" and not f.found]
    if args.json:
        print(
            json.dumps(
                {
                    "version": __version__,
                    "cmake_dir": paths.cmake_dir(),
                    "findings": [asdict(f) for f in findings],
                    "targets_without_toolchain": without,
                },
                indent=2,
            )
        )
    else:
        _print(findings, without)
    return MISSING if without or broken else 0


def toolchain_findings() -> list[Finding]:
    """Each GNU toolchain that some target needs, then zig."""
    targets = arch.targets()
    by_prefixes: dict[tuple[str, ...], list[str]] = {}
    for target in targets.values():
        by_prefixes.setdefault(target.gcc_prefixes, []).append(target.name)
    findings = []
    for prefixes, names in by_prefixes.items():
        target = targets[names[0]]
        gcc = toolchains.find_gcc(target)
        findings.append(
            Finding(
                kind="toolchain",
                name=os.path.basename(gcc.path) if gcc else f"{prefixes[0]}gcc",
                found=gcc is not None,
                version=gcc.version if gcc else "",
                path=gcc.path if gcc else "",
                targets=tuple(names),
                install="" if gcc else toolchains.install_command(target, "gcc"),
            )
        )
    findings += sdk_findings()
    zig = toolchains.find_zig()
    findings.append(
        Finding(
            kind="toolchain",
            name="zig clang",
            found=zig is not None,
            version=zig.version if zig else "",
            path=zig.path if zig else "",
            targets=tuple(targets),
            install="" if zig else toolchains.install_command(next(iter(targets.values())), "zig"),
        )
    )
    return findings


def sdk_findings() -> list[Finding]:
    """The Zephyr SDK whose compilers count, if there is one: that which is named, else the newest."""
    named = zephyr_sdk.chosen()
    path = named or next(iter(zephyr_sdk.installed()), "")
    if not path:
        return []
    there = os.path.isdir(path)
    return [
        Finding(
            kind="toolchain",
            name="zephyr sdk",
            found=there,
            version=zephyr_sdk.version(path),
            path=path if there else "",
            install="" if there else f"{zephyr_sdk.VARIABLE} names `{path}`, which is no folder",
        )
    ]


def package_findings() -> list[Finding]:
    """The Python packages that we stand on. CMake and Ninja come as packages, too."""
    findings = [
        Finding(kind="package", name="python", found=True, version=platform.python_version(), path=sys.executable)
    ]
    for name in PACKAGES:
        try:
            findings.append(Finding(kind="package", name=name, found=True, version=version(name)))
        except PackageNotFoundError:
            findings.append(Finding(kind="package", name=name, found=False, install=f"pip install {name}"))
    return findings


def _print(findings: list[Finding], without: list[str]) -> None:
    paint = Paint(sys.stdout)
    width = max(len(f.name) for f in findings)
    for kind, title in (("toolchain", "toolchains"), ("package", "packages")):
        print(paint(title, BOLD))
        for f in (f for f in findings if f.kind == kind):
            mark = paint("ok", GREEN) if f.found else paint("--", RED)
            print(f"  {mark} {f.name:{width}}  " + (f"{f.version:9} {f.path}".rstrip() if f.found else f.install))
    print(paint("cmake package", BOLD))
    print(f"  {paths.cmake_dir()}")
    if without:
        print(f"\nno toolchain for {', '.join(without)}")
