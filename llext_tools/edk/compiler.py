"""What only the compiler knows: the flags that it takes, and the CPU that some flags are for.

Asking is running it on an empty file, in an empty folder that is removed again. All flags are tried at once; only if it
complains, in halves. A complaint is anything that it prints: Clang warns of what it ignores, GCC of what is for another
language. Answers are kept in the user's cache, for each compiler and question.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from llext_tools import arch, toolchains
from llext_tools.arch.base import Arch, Cpu
from llext_tools.arch.model import Target
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.files import write_atomically
from llext_tools.paths import cache_dir
from llext_tools.toolchains import Language, Toolchain

SOURCE = {"C": "c", "CXX": "c++"}


def refused(toolchain: Toolchain, target: Target, language: Language, words: Sequence[str]) -> tuple[str, ...]:
    """The words that the compiler does not take, beside the target's flags and those of the words that it takes."""
    ours = toolchains.flags(target, toolchain.name, language)
    question = ["refused", language, *ours, "--", *words]

    def complains(more: list[str]) -> bool:
        return _complains(toolchain, language, [*ours, *more])

    return tuple(_kept(toolchain, question, lambda: _search(complains, [], list(words))))


def _search(complains: Callable[[list[str]], bool], good: list[str], words: list[str]) -> list[str]:
    """Those of ``words`` that the compiler complains of when it has taken ``good``."""
    if not words or not complains(good + words):
        return []
    if len(words) == 1:
        return words
    half = len(words) // 2
    bad = _search(complains, good, words[:half])
    left = [word for word in words[:half] if word not in bad]
    return bad + _search(complains, good + left, words[half:])


def _complains(toolchain: Toolchain, language: Language, words: list[str]) -> bool:
    compiler = toolchain.cxx if language == "CXX" else toolchain.cc
    done = _run([*compiler, *words, "-fsyntax-only", "-x", SOURCE[language], "-"])
    return done is None or bool(done.returncode or done.stderr.strip())


def firmware_cpu(words: Sequence[str], toolchain: Toolchain | None = None, target: Target | None = None) -> Cpu | None:
    """What CPU a firmware is for whose flags these are; None if no compiler that is here can tell.

    The toolchain of the target is asked first, then another one, which may be newer, then those of the other
    architectures.
    """
    its = target.arch if target else ""
    for each in sorted(arch.discover(), key=lambda each: each.name != its):
        found = [toolchain] if toolchain and each.name == its else []
        found += [other for other in _installed(each.targets[0]) if other not in found]
        for one in found:
            triples = dict.fromkeys(other.clang_target for other in each.targets)
            for triple in [""] if one.name == "gcc" else triples:
                answer = _kept(one, ["cpu", *Cpu._fields, "--", triple, *words], partial(_compiled, one, triple, words))
                if answer is not None:
                    return Cpu._make(tuple(part) if isinstance(part, list) else part for part in answer)
    return None


def _installed(target: Target) -> list[Toolchain]:
    return [found for found in (toolchains.find_gcc(target), toolchains.find_zig()) if found]


def _compiled(toolchain: Toolchain, triple: str, words: Sequence[str]) -> Cpu | None:
    """The CPU that an empty file is compiled for."""
    target = [f"--target={triple}"] if triple else []
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "empty.o")
        done = _run([*toolchain.cc, *target, *words, "-c", "-x", "c", "-", "-o", result])
        if done is None or done.returncode or not os.path.isfile(result):
            return None
        try:
            obj = load_object(result)
        except LlextError:
            return None
    found = arch.by_machine(obj.machine)
    return found.cpu(obj) if found else None


def architecture(cpu: Cpu) -> Arch:
    """The architecture of a CPU that ``firmware_cpu()`` has found."""
    return arch.load(cpu.arch)


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    program = os.path.abspath(command[0]) if os.path.dirname(command[0]) else command[0]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        suppress(OSError, subprocess.TimeoutExpired),
    ):
        return subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            input="",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
        )
    return None


def _kept(toolchain: Toolchain, question: Sequence[str], ask: Callable[[], Any]) -> Any:
    """The answer of an earlier time, or that of ``ask()``; it is asked each time where the cache cannot be written."""
    try:
        program = os.stat(toolchain.path)
        state = [program.st_size, program.st_mtime_ns]
    except OSError:
        state = []
    key = json.dumps([toolchain.cc, toolchain.cxx, toolchain.version, state, *question])
    file = os.path.join(cache_dir(), "edk", "answers", f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json")
    with suppress(OSError, ValueError), open(file, encoding="utf-8") as stream:
        return json.load(stream)["answer"]
    answer = ask()
    with suppress(OSError, LlextError):
        os.makedirs(os.path.dirname(file), exist_ok=True)
        write_atomically(file, json.dumps({"answer": answer}))
    return answer
