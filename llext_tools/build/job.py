"""What a job is, what it tells while it runs, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from llext_tools.diag import Diagnostic
from llext_tools.jobs import job_name

LOG = "llext.log"


class Step(StrEnum):
    """What a job does, in this order."""

    CONFIGURE = "configure"
    BUILD = "build"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What extensions are for: ELF files or export tables, and what else is known of it. No ``targets``: any."""

    name: str
    files: tuple[str, ...]
    targets: tuple[str, ...] = ()
    heap: str = ""
    profile: str = ""
    config: tuple[str, ...] = ()  # files, and options as CONFIG_X=y

    @property
    def paths(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.files, *(word for word in self.config if "=" not in word))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One target with one toolchain, perhaps for one firmware, and its folders.

    With a ``preset`` of the project that one is configured in place of our own arguments. What it is for may be unknown
    until CMake has run: then ``target`` and ``toolchain`` are "".
    """

    target: str
    toolchain: str
    build: Path
    output: Path
    firmware: Firmware | None = None
    preset: str = ""
    programs: tuple[str, ...] = ()  # of the toolchain; unknown with a preset

    @property
    def name(self) -> str:
        return self.preset or self.usual_name

    @property
    def usual_name(self) -> str:
        """That of a job without a preset."""
        return job_name(self.target, self.toolchain, self.firmware.name if self.firmware else "")

    @property
    def log(self) -> Path:
        return self.build / LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job has reached ``done`` of ``total`` in a step; ``total`` is 0 while it is not known."""

    job: Job
    step: Step
    done: int = 0
    total: int = 0
    built: int = 0  # extensions, while tests run


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test that ran, with what it printed."""

    name: str
    passed: bool
    seconds: float
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that went wrong: where, the lines of the log that say so, and the codes of our diagnostics in them.

    ``what`` is "" where it is no part of the project that fails: then the only line says what does, and it has a code.
    ``help`` is the cure, where the lines have none. A test that is a build step (``AT_BUILD``) fails as a test.
    """

    step: Step
    what: str
    lines: tuple[str, ...]
    codes: tuple[str, ...] = ()
    help: str = ""

    @property
    def code(self) -> str:
        """That of the diagnostic that tells of it."""
        return "build-failed" if self.what else self.codes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning of our own commands, and the test that ran into it, if it was one."""

    diagnostic: Diagnostic
    test: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a job ended."""

    job: Job
    artifacts: tuple[Path, ...] = ()  # the .llext files, in the build folder if the job failed
    against: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)  # of each: the firmware of its check
    tests: tuple[Case, ...] = ()
    up_to_date: tuple[str, ...] = ()  # tests that have passed before, with the same files
    not_run: tuple[str, ...] = ()  # tests of extensions that were not built, with keep_going
    seconds: Mapping[Step, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    compiler_warnings: tuple[str, ...] = ()  # their first lines
    warnings: tuple[Warned, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def without_firmware(self) -> int:
        """How many extensions were checked by the loader's rules alone: nobody has looked for what they import."""
        return sum(not files for files in self.against.values())

    @property
    def good_tests(self) -> int:
        """How many have passed, now or before."""
        return sum(test.passed for test in self.tests) + len(self.up_to_date)

    @property
    def all_tests(self) -> int:
        """How many there are; of those that are steps of the build only the failed ones are known."""
        at_build = {each.what for each in self.failures if each.step is Step.TEST} - {test.name for test in self.tests}
        return len(self.tests) + len(self.up_to_date) + len(at_build)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all jobs of a call share."""

    source: Path
    cores: int
    keep_going: bool = False
    run: bool = True  # the tests
    rerun: bool = False  # also those that are up to date
    heap: str = ""  # of extensions, for a job whose firmware does not say
    profile: str = ""  # the loader; "" leaves it to the project
    settings: str = ""  # of the check: a file, or OFF; "" for the nearest one
    define: tuple[str, ...] = ()  # NAME=VALUE for CMake
    said: frozenset[str] = frozenset()  # variables that the command line gives: they go before those of presets


Observer = Callable[[Progress | Result], None]
