"""The words of a kit's flags: sorted by kind, and without those that an extension must not have.

The kit has the flags of the firmware's own build, less than what Zephyr takes out. Some of them are no concern of the
extension (how much to optimize, where the linker looks), some name folders of the machine that built the firmware,
some would make code that the loader refuses. ``NEVER`` and what contradicts our own flags is taken out, whatever the
compiler says; ``SPARE`` may be missing where the compiler does not know it. Both say why, and `llext edk` repeats it.
What is left goes to the compiler only if ``policy`` has no objection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from llext_tools import toolchains
from llext_tools.arch.model import Target
from llext_tools.edk.policy import objection
from llext_tools.jobs import ToolchainName

NEVER: tuple[tuple[str, str], ...] = (
    (r"-O.*", "how much to optimize is the extension's own choice"),
    (r"-g.*", "the toolchain file asks for debug information, the shipped extension has none"),
    (r"-Werror", "how strict to be with an extension is its own choice"),
    (r"-flto.*|-f(no-)?(fat|thin)-lto.*|-fuse-linker-plugin", "the extension is optimized by itself; it may set -flto"),
    (r"-nostdlib|-nodefaultlibs|-nostartfiles|-static|-shared|-r|-[lL].*|-Wl,.*|-Xlinker|-T.*|-fuse-ld=.*|-z.*",
     "for a linker; llext_add_extension() has its own way to link"),
    (r"-c|-S|-E|-M.*|-pipe|--?save-temps.*|-v", "what to do with a source is the build's own business"),
    (r"--?sysroot(=.*)?|-isysroot.*", "names a folder of the machine that built the firmware"),
    (r"-f(macro|debug|file|profile)-prefix-map=.*", "names folders of the machine that built the firmware"),
    (r"-nostdinc(\+\+)?", "the headers of the firmware's compiler are not there; those of this one are"),
    (r"--?target=.*|-target|--config.*|-B.+|-resource-dir.*|-f(no-)?integrated-as",
     "LLEXT_TARGET and LLEXT_TOOLCHAIN say it"),
    (r"-fdiagnostics-.*|-f(no-)?color-diagnostics", "how messages look is not for a firmware to say"),
    (r"-msave-restore", "calls __riscv_save_0 and the like of libgcc, which firmware does not export"),
    (r"-fstack-usage|-fcallgraph-info.*", "writes notes beside each object, which are the build's own business"),
    (r"-pg|-p|--coverage|-fprofile.*|-ftest-coverage", "calls functions of a profiler, which firmware lacks"),
)  # fmt: skip
"""Pattern of whole words -> why an extension goes without them."""

SPARE: tuple[tuple[str, str], ...] = (
    (r"-W.*|-w|-pedantic.*", "only changes which warnings there are"),
    (r"--param=.*", "tunes GCC's own passes"),
    (r"-f(no-)?(reorder-functions|defer-pop|printf-return-value|strict-overflow|schedule-insns2?|tree-.*|ipa-.*|gcse)",
     "switches one of GCC's own optimizations"),
    (r"-mfp16-format=ieee", "the only format of __fp16 that Clang has"),
    (r"--?specs=.*", "names the C library of GCC; an extension gets what it calls from the firmware"),
    (r"-mtp=soft|-ftls-model=local-exec", "about thread-local variables, which the loader does not load"),
    (r"-fverbose-asm|-fno-(gnu-)?unique|-fzero-init-padding-bits=.*",
     "writes comments, or says what the other compiler does anyway"),
    (r"-mthumb-interwork|-mno-thumb-interwork|-munaligned-access", "what code for a Cortex-M does anyway"),
)  # fmt: skip
"""Pattern of whole words -> why nothing is lost where the compiler does not know them."""

CPU = re.compile(
    r"-m(cpu|arch|abi|float-abi|fpu)=[\w.+-]*|-m(thumb|arm|32|64|hard-float|soft-float|(big|little)-endian)"
)
"""What says for which CPU and by which calling convention. The target says it with words of its own."""

MACRO = re.compile(r"[A-Za-z_$][\w$]*(\(.*)?(=.*)?", re.DOTALL)
"""What ``-D`` may be followed by."""

TUNING = re.compile(r"-mtune=.*")

COMPILERS_OWN = re.compile(r"/lib(64|exec)?/(gcc|gcc-lib)/[^/]+/[^/]+/include(-fixed)?/?$|/lib/clang/[^/]+/include/?$")
"""The headers that belong to one compiler: stddef.h, arm_acle.h. Another one cannot read them."""

WITH_VALUE = ("-imacros", "-include", "-isystem", "-iquote", "-idirafter", "-I", "-D", "-U")
FOLLOWED = (
    "-target", "-isysroot", "--sysroot", "-T", "-L", "-l", "-u", "-e", "-z", "-x", "-o", "-B", "--param",
    "-MF", "-MT", "-MQ", "-Xlinker", "-Xassembler", "-Xpreprocessor", "-Xclang", "-mllvm", "-load", "-wrapper",
    "-aux-info", "-dumpdir", "-dumpbase", "-dumpbase-ext",
)  # fmt: skip
"""Words that may have their value in the next one."""
JOINED = dict.fromkeys(WITH_VALUE, "") | {"--param": "="}
"""What makes one word of two; others keep the space between them, and no compiler is asked about them."""


class Dropped(NamedTuple):
    """A word of the kit that extensions are not compiled with."""

    word: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A kit's flags by kind, each in its order."""

    defines: tuple[str, ...]  # "NAME" or "NAME=VALUE"
    includes: tuple[str, ...]  # folders of headers
    files: tuple[tuple[str, str], ...]  # ("-imacros" or "-include", file)
    options: tuple[str, ...]  # all others, but for cpu_words()
    dropped: tuple[Dropped, ...]
    steering: tuple[Dropped, ...]  # what no kit has to say


def pairs(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of each word, or of two that belong together; an option without a value is ``(word, "")``."""
    rest = iter(words)
    for word in rest:
        if word in WITH_VALUE or word in FOLLOWED:
            yield word, next(rest, "")
            continue
        start = next((each for each in WITH_VALUE if word.startswith(each)), "")
        yield (start, word[len(start) :]) if start else (word, "")


def cpu_words(words: Iterable[str]) -> tuple[str, ...]:
    """Those that say for which CPU, and by which calling convention."""
    return tuple(dict.fromkeys(option for option, _ in pairs(words) if CPU.fullmatch(option)))


def sort(words: Iterable[str], target: Target, toolchain: ToolchainName) -> Words:
    """Sort a kit's words for a target and a toolchain."""
    defines: dict[str, None] = {}
    folders: dict[str, list[str]] = {"-I": [], "-isystem": [], "-idirafter": []}
    files: list[tuple[str, str]] = []
    options: list[str] = []
    dropped: dict[Dropped, None] = {}
    steering: dict[Dropped, None] = {}
    ours = against(target, toolchain)
    for option, value in pairs(words):
        word = f"{option}{JOINED.get(option, ' ')}{value}" if value else option
        if option == "-D":
            if MACRO.fullmatch(value):
                defines[value] = None
            else:
                steering[Dropped(word, "no names of macros")] = None
        elif option == "-iquote":
            folders["-I"].append(value)
        elif option in folders:
            if COMPILERS_OWN.search(value):
                dropped[Dropped(word, "the headers of one compiler; each has its own")] = None
            else:
                folders[option].append(value)
        elif option in ("-imacros", "-include"):
            files.append((option, value))
        elif CPU.fullmatch(option):
            pass  # see cpu_words()
        elif why := unwanted(option, ours):
            dropped[Dropped(word, why)] = None
        elif why := objection(word):
            steering[Dropped(word, why)] = None
        else:
            options.append(word)
    return Words(
        defines=tuple(defines),
        includes=tuple(dict.fromkeys(folder for each in folders.values() for folder in each)),
        files=tuple(dict.fromkeys(files)),
        options=tuple(dict.fromkeys(options)),
        dropped=tuple(dropped),
        steering=tuple(steering),
    )


def unwanted(word: str, ours: dict[str, str]) -> str:
    """Why an extension goes without this word, ``""`` if it does not."""
    if TUNING.fullmatch(word):
        return "LLEXT_TARGET says it"
    name = word.partition("=")[0] + "=" * ("=" in word)
    if why := ours.get(word) or ours.get(name):
        return why
    return next((why for pattern, why in NEVER if re.fullmatch(pattern, word)), "")


def spare(word: str) -> str:
    """Why nothing is lost where a compiler does not know this word, ``""`` if something is."""
    return next((why for pattern, why in SPARE if re.fullmatch(pattern, word)), "")


def against(target: Target, toolchain: ToolchainName) -> dict[str, str]:
    """What is, or contradicts, a flag that extensions need: word, or its part up to ``=`` -> why ours stays.

    Not so the size of an enumeration: that is the firmware's to say.
    """
    found: dict[str, str] = {}
    for language in toolchains.LANGUAGES:
        for flag in toolchains.default_flags(target, toolchain, language):
            word = flag.flag
            if word.startswith(("-f", "-m")) and word != "-fshort-enums":
                prefix, no = word[:2], word[2:].startswith("no-")
                name = word[5:] if no else word[2:]
                named = [name.partition("=")[0] + "="] if "=" in name else [name, f"no-{name}"]
                if name in ("pic", "pie"):
                    named += [name.upper(), f"no-{name.upper()}"]
                for each in named:
                    found[prefix + each] = flag.why
    return found
