"""Compilers: where they are, which version, and the one place where a target's flags are put together.

Two toolchains. ``gcc`` is a GNU cross compiler under one of the target's prefixes, in PATH or of a Zephyr SDK. ``zig``
is the wheel ``ziglang`` from PyPI, of which we use the parts that it is made of: ``zig clang`` is Clang's own driver,
so it takes the flags, writes the dependency files and gives the messages that CMake knows from Clang; ``zig cc`` would
translate flags, put a cache of its own between CMake and the compiler, and set up a hosted C library. ``zig ld.lld`` is
LLVM's linker, ``zig ar`` its archiver.

Sources: "Invoking GCC" of the GCC 12 manual; "Clang command line argument reference" (22).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal

from llext_tools import zephyr_sdk
from llext_tools.arch.model import Flag, Target
from llext_tools.diag import fail
from llext_tools.files import reason
from llext_tools.jobs import TOOLCHAINS, ToolchainName
from llext_tools.paths import cache_dir, include_dir, source_dirs

Language = Literal["C", "CXX", "ASM"]

RESOURCES = "-resource-dir="
"""Clang's option for the folder above its own headers."""
LANGUAGES: tuple[Language, ...] = ("C", "CXX", "ASM")

FLAGS = (
    Flag(flag="-Os", why="extensions go to RAM; a build type (Release, Debug) overrides it"),
    Flag(flag="-g", why="`llext run` names source lines; the shipped file has no debugging sections"),
    Flag(flag="-ffreestanding", why="there is no C library but what the firmware exports"),
    Flag(flag="-fno-pic", why="position-independent code needs a GOT, which the loader does not build for ET_REL"),
    Flag(flag="-fno-pie", why="as -fno-pic, for compilers that make executables position-independent by default"),
    Flag(flag="-fno-common", why="a common symbol has no section, and the loader refuses it"),
    Flag(flag="-fno-unwind-tables", why="unwinding needs a run-time library that firmware does not export"),
    Flag(flag="-fno-asynchronous-unwind-tables", why="as -fno-unwind-tables; Clang and GCC know two kinds"),
    Flag(flag="-fno-addrsig", why="a table for a final link, which an extension never sees", only="zig"),
    Flag(flag="-fno-exceptions", why="the C++ run-time library is not exported by firmware", language="CXX"),
    Flag(flag="-fno-rtti", why="type information refers to the C++ run-time library", language="CXX"),
    Flag(
        flag="-fno-threadsafe-statics",
        why="the guards of local statics (__cxa_guard_acquire) are part of the C++ run-time library",
        language="CXX",
    ),
    Flag(
        flag="-fno-use-cxa-atexit",
        why="static destructors need no __cxa_atexit and __dso_handle: GCC then puts them into .fini_array",
        language="CXX",
    ),
)
"""The defaults of all targets; a target adds its own (``Target.flags``)."""


UNUSED_FLAGS = "-Wno-unused-command-line-argument"
"""For Clang, which warns, when it assembles, of each flag that is for C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A compiler that was found. Each tool is the first words of its command line: path, then sub-command."""

    name: ToolchainName
    version: str
    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    ld: tuple[str, ...]
    ar: tuple[str, ...]
    ranlib: tuple[str, ...]

    @property
    def path(self) -> str:
        """The program itself."""
        return self.cc[0]

    @property
    def programs(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(each[0] for each in (self.cc, self.cxx, self.ld, self.ar, self.ranlib)))


def find(target: Target, name: str = "auto") -> Toolchain:
    """The toolchain of that name for a target; ``auto`` is gcc if it is installed, else zig.

    Raises:
        UsageError: there is no toolchain of this name.
        ToolError: it is not installed; the help says how to install it.
    """
    if name == "auto":
        found = find_gcc(target) or find_zig()
        if found is None:
            fail(
                "tool-missing",
                f"no compiler for `{target.name}`: neither `{target.gcc_prefixes[0]}gcc` nor `ziglang` is installed",
                help=f"{install_command(target, 'zig')}, or {install_command(target, 'gcc')}{_sdk_cure(target)}",
            )
        return found
    if name not in TOOLCHAINS:
        fail("usage", f"there is no toolchain `{name}`", help="the toolchains are gcc, zig and auto")
    found = find_gcc(target) if name == "gcc" else find_zig()
    if found is None:
        what = f"`{target.gcc_prefixes[0]}gcc`" if name == "gcc" else "the Python package `ziglang`"
        fail(
            "tool-missing",
            f"{what} is not installed",
            help=install_command(target, "zig")
            if name == "zig"
            else install_command(target, "gcc") + _sdk_cure(target),
        )
    return found


def _sdk_cure(target: Target) -> str:
    """How an SDK would do; the target's last prefix is that of its compiler."""
    compiler, named = f"{target.gcc_prefixes[-1]}gcc", zephyr_sdk.chosen()
    text = f", or set {zephyr_sdk.VARIABLE} to a Zephyr SDK with `{compiler}`"
    return f"{text}; `{named}` has none" if named else text


def find_gcc(target: Target) -> Toolchain | None:
    """The GNU cross compiler under one of the target's prefixes, the first place of ``_compilers()`` that has one."""
    gcc = next(filter(None, _compilers(target.gcc_prefixes)), "")
    if not gcc:
        return None
    suffix = ".exe" if gcc.lower().endswith(".exe") else ""
    stem = gcc[: -len(f"gcc{suffix}")]
    return Toolchain(
        name="gcc",
        version=_gcc_version(gcc),
        cc=(gcc,),
        cxx=(f"{stem}g++{suffix}",),
        ld=(f"{stem}ld{suffix}",),
        ar=(f"{stem}ar{suffix}",),
        ranlib=(f"{stem}ranlib{suffix}",),
    )


@lru_cache(maxsize=16)
def _gcc_version(gcc: str) -> str:
    """Asked once for all targets of a compiler."""
    return _output([gcc, "-dumpfullversion"]).strip() or "unknown"


def _compilers(prefixes: tuple[str, ...]) -> Iterator[str]:
    """Where a GCC may be, in the order of preference; ``""`` where there is none.

    The Zephyr SDK that the user names, by which the firmware is built; PATH, which the user can change; an SDK that
    only lies where Zephyr would look for it.
    """
    if sdk := zephyr_sdk.chosen():
        yield from (zephyr_sdk.compiler(sdk, prefix) for prefix in prefixes)
    yield from (shutil.which(f"{prefix}gcc") or "" for prefix in prefixes)
    yield from (zephyr_sdk.compiler(sdk, prefix) for sdk in zephyr_sdk.installed() for prefix in prefixes)


def find_zig() -> Toolchain | None:
    """Clang and lld inside the Python package ``ziglang``. The version is Clang's."""
    spec = find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = next(iter(spec.submodule_search_locations))
    zig = os.path.join(folder, "zig.exe" if sys.platform == "win32" else "zig")
    if not os.path.isfile(zig):
        return None
    version = re.search(r"clang version (\S+)", _output([zig, "clang", "--version"]))
    headers = f"{RESOURCES}{os.path.join(folder, 'lib')}"  # stddef.h, stdint.h and the other freestanding headers
    return Toolchain(
        name="zig",
        version=version[1] if version else "unknown",
        cc=(zig, "clang", headers),
        cxx=(zig, "clang", "--driver-mode=g++", headers),
        ld=(zig, "ld.lld"),
        ar=(zig, "ar"),
        ranlib=(zig, "ranlib"),
    )


def install_command(target: Target, name: ToolchainName) -> str:
    """The command that installs a toolchain for a target."""
    return f"apt-get install {target.debian}" if name == "gcc" else 'pip install "llext-tools[zig]"'


def default_flags(target: Target, name: ToolchainName, language: Language) -> tuple[Flag, ...]:
    """The defaults beyond CPU and ABI, each with its reason, in the order of the command line."""
    return tuple(
        flag for flag in (*FLAGS, *target.flags) if flag.only in ("", name) and flag.language in ("", language)
    )


def flags(target: Target, name: ToolchainName, language: Language) -> tuple[str, ...]:
    """All flags to compile for a target with: CPU and ABI, then the other defaults, one word each."""
    words = [f"--target={target.clang_target}"] if name == "zig" else []
    words += target.cpu_flags
    if language == "ASM" and name == "zig":
        words.append(UNUSED_FLAGS)
    for flag in default_flags(target, name, language):
        words += flag.flag.split()
    return tuple(words)


def prefix_maps(toolchain: Toolchain, root: str = "") -> dict[str, str]:
    """Folders that differ from machine to machine, each with what stands for it in names of sources.

    ``root`` is the folder of a project. Of two that fit, compilers take the last one; that without a slash is for the
    folder that a compiler runs in.
    """
    maps = {}
    if root:
        names = dict.fromkeys((os.path.realpath(root), os.path.normpath(os.path.join(_current_folder(), root))))
        maps = dict.fromkeys(names, ".") | dict.fromkeys((os.path.join(name, "") for name in names), "")
    maps |= {f"{folder}{os.sep}": f"{name}/" for name, folder in source_dirs().items()}
    if toolchain.name == "zig":
        maps[os.path.dirname(toolchain.path) + os.sep] = "ziglang/"
    return maps


def map_options(toolchain: Toolchain, root: str = "") -> list[str]:
    """The options for ``prefix_maps()``. The assembler of GCC goes by the other one."""
    options = ("-ffile-prefix-map", "-fdebug-prefix-map")[: 1 + (toolchain.name == "gcc")]
    maps = prefix_maps(toolchain, root).items()
    return [f"{option}={old}={new}" for old, new in maps if "=" not in old for option in options]  # it ends the folder


def _current_folder() -> str:
    """Under the name that compilers give it: the shell's, if it is one, which may lead through a symbolic link."""
    name = os.environ.get("PWD", "")
    return name if os.path.isabs(name) and os.path.isdir(name) and os.path.samefile(name, ".") else os.getcwd()


def extension_flags(target: Target, toolchain: Toolchain, language: Language, root: str = "") -> tuple[str, ...]:
    """``flags()``, and what an extension sees: that it is one, and our headers, whose names do not say where they lie.

    Neither do those of the sources below ``root``, if that is given.
    """
    own = ("-DLL_EXTENSION_BUILD", f"-I{include_dir()}")
    return (*flags(target, toolchain.name, language), *own, *map_options(toolchain, root))


def link_command(toolchain: Toolchain) -> tuple[str, ...]:
    """What links partially: GCC's driver, which finds its linker and that one's plugin; of zig the linker itself."""
    return toolchain.ld if toolchain.name == "zig" else toolchain.cc


def link_options(name: ToolchainName) -> tuple[str, ...]:
    """The options of the partial link for ``link_command()``, but for the CPU and the merge script.

    ``-d``: room for common symbols. ``--no-gc-sections``: picolibc's specs, the default of the Zephyr SDK 1.0, ask for
    the contrary, for which a partial link has no entry. ``--force-group-allocation``: one section for each region,
    though templates and inline functions come in sections of their own; lld merges them without being told. With
    ``-flto`` GCC would write its own intermediate code, as for another link, without ``nolto-rel``; lld always makes
    code of it.
    """
    if name == "zig":
        return ("-r",)
    linker = "-Wl,-d,--force-group-allocation,--no-gc-sections,-z,noexecstack"
    return ("-r", "-nostdlib", "-flinker-output=nolto-rel", linker)


def link_flags(target: Target, name: ToolchainName, script: str) -> tuple[str, ...]:
    """All flags to link partially with, one word each; ``script`` is the merge script."""
    cpu = () if name == "zig" else target.cpu_flags
    return (*cpu, *link_options(name), f"-T{script}")


def compiler_runtime(target: Target, toolchain: Toolchain) -> str:
    """The archive with the compiler's helper functions: ``libgcc.a``, or Zig's compiler-rt.

    Zig builds its library from source, which takes seconds; it is kept in the user's cache.

    Raises:
        ToolError: the toolchain has none for this target.
    """
    if toolchain.name == "zig":
        return _zig_runtime(target, toolchain)
    archive = _output([toolchain.path, *target.cpu_flags, "-print-libgcc-file-name"]).strip()
    if not os.path.isfile(archive):
        cure = f"install all of it, or take another one: {install_command(target, 'gcc')}"
        fail("tool-missing", f"`{toolchain.path}` has no libgcc.a for `{target.name}`", help=cure)
    return archive


def _zig_runtime(target: Target, toolchain: Toolchain) -> str:
    """Build once for each Zig and target. Two builds at a time make the same file; a rename puts it in place."""
    zig = toolchain.path
    model = [f.flag for f in target.flags if f.flag.startswith("-mcmodel=")]
    version = _output([zig, "version"]).strip()
    folder = os.path.join(cache_dir(), f"zig-{version}")
    archive = os.path.join(folder, f"libcompiler_rt-{target.name}.a")
    if os.path.isfile(archive):
        return archive
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            source = os.path.join(scratch, "empty.zig")
            with open(source, "wb"):
                pass
            result = os.path.join(scratch, "libcompiler_rt.a")
            command = [zig, "build-lib", source, "-fcompiler-rt", "-target", target.zig_target]
            command += ["-mcpu=" + target.zig_cpu, *model, "-O", "ReleaseSmall", "-fstrip", "-femit-bin=" + result]
            command += ["--cache-dir", scratch, "--global-cache-dir", scratch]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode or not os.path.isfile(result):
                text = (done.stderr.strip().splitlines() or ["no message"])[0]
                cure = "take another version of ziglang, or `--toolchain gcc`"
                fail("tool-missing", f"zig {version} cannot build compiler-rt for `{target.name}`: {text}", help=cure)
            os.replace(result, archive)
    except OSError as error:
        fail(
            "file-unwritable",
            f"cannot write the cache `{folder}`: {reason(error)}",
            help="set LLEXT_CACHE_DIR to a folder that can be written",
        )
    return archive


def fault(target: Target, toolchain: Toolchain) -> str:
    """Why a compiler does not make an object file, with its own words; ``""`` if it does."""
    how = ("-c",) if toolchain.name == "zig" else ("-r", "-nostdlib")  # through the linker, which may be missing, too
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "empty.c")
        with open(source, "wb"):
            pass
        output = os.path.join(scratch, "empty.o")
        command = [*toolchain.cc, *flags(target, toolchain.name, "C"), *how, source, "-o", output]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=60)
        except OSError as error:
            return reason(error)
        except subprocess.TimeoutExpired:
            return "it does not end"
    said = done.stderr.strip() or done.stdout.strip() or f"it gives exit code {done.returncode}"
    return said.splitlines()[0] if done.returncode else ""


def _output(command: list[str]) -> str:
    """What a program prints; ``""`` when it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
