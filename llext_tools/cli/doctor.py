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
from llext_tools.arch.model import Target
from llext_tools.cli.render import BOLD, GREEN, RED, Paint
from llext_tools.jobs import ToolchainName

DESCRIPTION = """\
Say which toolchains and tools were found, where, in which version, and the command
that installs what is missing. Each compiler is tried. Exit code 0 if every target can
be built and all that is there works, else 11."""
EXAMPLE = "llext doctor"

PACKAGES = ("cmake", "ninja", "numpy", "pyelftools", "unicorn")
MISSING = 11  # errors.ToolError.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked for. ``install`` is empty if it is there and works, else it says what to do."""

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
    broken = [f.name for f in findings if not f.found and (f.kind == "package" or f.path)]
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
        name = os.path.basename(gcc.path) if gcc else f"{prefixes[0]}gcc"
        findings.append(_toolchain(name, gcc, [targets[each] for each in names], "gcc"))
    findings += sdk_findings()
    findings.append(_toolchain("zig clang", toolchains.find_zig(), list(targets.values()), "zig"))
    return findings


def _toolchain(name: str, found: toolchains.Toolchain | None, targets: list[Target], kind: ToolchainName) -> Finding:
    """A compiler, which is tried for the first of its targets."""
    install = toolchains.install_command(targets[0], kind)
    names = tuple(target.name for target in targets)
    if found is None:
        return Finding(kind="toolchain", name=name, found=False, targets=names, install=install)
    fault = toolchains.fault(targets[0], found)
    return Finding(
        kind="toolchain",
        name=name,
        found=not fault,
        version=found.version,
        path=found.path,
        targets=names,
        install=f"`{found.path}` fails: {fault}; to have another: {install}" if fault else "",
    )


def sdk_findings() -> list[Finding]:
    """The Zephyr SDK whose compilers count, if there is one: that which is named, else the newest."""
    named = zephyr_sdk.chosen()
    path = named or next(iter(zephyr_sdk.installed()), "")
    if not path:
        return []
    prefixes = dict.fromkeys(target.gcc_prefixes[-1] for target in arch.targets().values())
    why = ""
    if not os.path.isdir(path):
        why = f"{zephyr_sdk.VARIABLE} names `{path}`, which is no folder"
    elif not any(zephyr_sdk.compiler(path, prefix) for prefix in prefixes):
        names = " nor ".join(f"`{prefix}gcc`" for prefix in prefixes)
        why = f"`{path}` has neither {names}; its setup script gets them"
    return [
        Finding(
            kind="toolchain",
            name="zephyr sdk",
            found=not why,
            version=zephyr_sdk.version(path),
            path="" if why else path,
            install=why,
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
