"""Coverage: how often each line and function ran, and the trace file that lcov and genhtml read.

Source: man page geninfo(1) of lcov 1.16, "FILES"; a file that another run has written is merged by ``lcov -a``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from llext_tools.elf.rows import Unit
from llext_tools.measure.graph import Way, blocks, steps
from llext_tools.measure.lines import counts, labels
from llext_tools.measure.places import meant
from llext_tools.measure.program import Program, Programs
from llext_tools.measure.source import Source


class FunctionCount(NamedTuple):
    """How often a function was called that ``line`` declares."""

    line: int
    name: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCoverage:
    """``lines``: number of each line that can run -> how often it did."""

    lines: Mapping[int, int]
    functions: tuple[FunctionCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """``files``: by their paths, absolute where the compiler says in which folder it ran."""

    files: Mapping[str, FileCoverage]

    def __add__(self, other: Coverage) -> Coverage:
        return merged([self, other])

    def plain(self) -> dict[str, tuple[dict[int, int], list[tuple[int, str, int]]]]:
        """As values that go from one process to another."""
        return {
            path: (dict(file.lines), [(f.line, f.name, f.calls) for f in file.functions])
            for path, file in self.files.items()
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, tuple[Mapping[int, int], Iterable[tuple[int, str, int]]]]) -> Coverage:
        files = {
            path: FileCoverage(lines=dict(lines), functions=tuple(FunctionCount(*f) for f in functions))
            for path, (lines, functions) in plain.items()
        }
        return cls(files=files)


def measure(ways: Mapping[Way, int], programs: Programs, wanted: Iterable[Program]) -> Coverage:
    """The coverage of some programs.

    Args:
        ways: how often control went each way.
        programs: all that was loaded.
    """
    taken = steps(ways, programs.code, programs.start_of)
    lines: dict[str, Counter[int]] = defaultdict(Counter)
    functions: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    source = Source()
    for unit in (unit for program in wanted for unit in program.units if not _is_of_compiler(unit)):
        of = meant(unit, programs.code, taken, source)
        graph = blocks(unit, of.places, programs.code, taken)
        found = counts(graph, of.returns, taken.hits)
        for (file, line), count in (labels(unit, of.places, graph, taken.hits, source) | found).items():
            lines[file][line] += count
        for function in unit.functions:
            if not function.implicit:
                known = programs.name_at(function.start)  # debug information has no mangled names of static functions
                name = known if known.startswith("_Z") > function.name.startswith("_Z") else function.name
                functions[function.file][function.line, name] += taken.called.get(function.start, 0)
    return _coverage(lines, functions)


def _is_of_compiler(unit: Unit) -> bool:
    """Whether all functions have names that C reserves: the compiler's own library, of which nobody has the source."""
    return all(function.name.startswith("__") for function in unit.functions)


def merged(parts: Iterable[Coverage]) -> Coverage:
    """The sum of several runs."""
    lines: dict[str, Counter[int]] = defaultdict(Counter)
    functions: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    for path, file in (item for part in parts for item in part.files.items()):
        lines[path].update(file.lines)
        functions[path].update({(line, name): count for line, name, count in file.functions})
    return _coverage(lines, functions)


def _coverage(
    lines: Mapping[str, Mapping[int, int]], functions: Mapping[str, Mapping[tuple[int, str], int]]
) -> Coverage:
    files = {}
    for path in sorted(lines.keys() | functions.keys()):
        named = tuple(FunctionCount(line, name, n) for (line, name), n in sorted(functions.get(path, {}).items()))
        files[path] = FileCoverage(lines=dict(sorted(lines.get(path, {}).items())), functions=named)
    return Coverage(files=files)


def to_lcov(coverage: Coverage, test: str = "") -> str:
    """A trace file. ``test``: the name of the test, of letters, digits and underscores."""
    out = []
    for path, file in coverage.files.items():
        out += [f"TN:{test}", f"SF:{path}"]
        out += [f"FN:{f.line},{f.name}" for f in file.functions]
        out += [f"FNDA:{f.calls},{f.name}" for f in file.functions]
        out += [f"FNF:{len(file.functions)}", f"FNH:{sum(f.calls > 0 for f in file.functions)}"]
        out += [f"DA:{line},{count}" for line, count in file.lines.items()]
        out += [f"LF:{len(file.lines)}", f"LH:{sum(count > 0 for count in file.lines.values())}", "end_of_record"]
    return "".join(f"{line}\n" for line in out)
