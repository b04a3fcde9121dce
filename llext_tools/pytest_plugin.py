"""The pytest plugin: ``llext_extension``, a fixture that loads extensions into an emulated CPU.

    def test_blink(llext_extension):
        blink = llext_extension("blink.llext")
        blink.host.override("k_msleep", 0)
        assert blink.blink(3) == 3

Each test finds the extension as it is after its constructors; at the end the destructors run, and memory that is still
allocated then fails the test. What the extension does wrong is shown with its C source line.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from llext_tools.cli.settings import Settings
    from llext_tools.cli.settings_build import BuildSettings
    from llext_tools.errors import LlextError
    from llext_tools.jobs import Which
    from llext_tools.measure import Wanted
    from llext_tools.testing import Extension
    from llext_tools.testing.extension import Leaks
    from llext_tools.testing.program import Program

OPTIONS = {
    "build-dir": ("DIR", "where extensions are, in it or below; may be repeated, as the next ones"),
    "firmware": ("ELF", "an image whose code extensions call, or the name of a firmware in llext.toml"),
    "exports": ("TABLE", "what the host exports"),
    "mmio": ("DEVICE", "START+SIZE=KIND: a device, as for `llext run`"),
    "target": ("CPU", "the CPU that extensions run on, one of `llext targets`; default: what the file fits"),
    "toolchain": ("NAME", "gcc or zig: whose build is tested, where there are several"),
    "coverage": ("FILE", "write how often each line of the extensions ran, for lcov and genhtml"),
}
"""What stands behind ``--llext-``."""
REPEATED = ("build-dir", "firmware", "exports", "mmio")
ENVIRONMENT = {name: f"LLEXT_{name.upper().replace('-', '_')}" for name in OPTIONS if name != "mmio"}
"""The variables that count where an option is not given."""

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
CACHE = pytest.StashKey[Any]()
PARTS = pytest.StashKey[list[Any]]()
"""Coverage, as plain values."""
LOADER = pytest.StashKey["Loader"]()
"""Of a test that loads extensions."""
SEEN = pytest.StashKey[set[str]]()
"""Extensions that have been compared with their sources."""
FAILED = pytest.StashKey[bool]()
"""Of a test: whether something has gone wrong in it."""


class StaleExtensionWarning(pytest.PytestWarning):
    """An extension is older than its sources: tests run what was built before they were changed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("llext", "extensions for Zephyr (in brackets, what says the same in the environment)")
    for name, (what, text) in OPTIONS.items():
        action = "append" if name in REPEATED else "store"
        more = f" [{ENVIRONMENT[name]}]" if name in ENVIRONMENT else ""
        group.addoption(f"--llext-{name}", metavar=what, action=action, default=None, help=text + more)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (cache := config.stash.get(CACHE, None)) is not None:
        cache.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the coverage of all tests. Where several processes run them, each hands its own to the one that writes."""
    config = session.config
    cache, path = config.stash.get(CACHE, None), next(iter(_said(config, "coverage")), "")
    if not path:
        return
    if cache is not None:
        cache.close()
        config.stash.setdefault(PARTS, []).extend(part.plain() for part in cache.coverage)
    if hasattr(config, "workeroutput"):
        config.workeroutput["llext_coverage"] = config.stash.get(PARTS, [])
        return
    from llext_tools.files import write_all
    from llext_tools.measure.coverage import Coverage, merged, to_lcov

    parts = config.stash.get(PARTS, [])
    coverage = merged(Coverage.of_plain(part) for part in parts)
    write_all({os.path.join(config.invocation_params.dir, path): to_lcov(coverage)})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 - that is how pytest-xdist calls it
    parts = getattr(node, "workeroutput", {}).get("llext_coverage", [])
    node.config.stash.setdefault(PARTS, []).extend(parts)


@pytest.fixture
def llext_extension(request: pytest.FixtureRequest) -> Iterator[Loader]:
    """Load extensions: ``llext_extension("blink.llext", target="cortex-m4", firmware="zephyr.elf")``.

    Each call gives an extension of its own, fresh for this test. It takes the keywords of ``Extension.load()``; with
    ``bringup=False`` constructors run when the test says so, ``leaks="ignore"`` allows what is left at the end.
    """
    loader = Loader(request)
    yield loader
    wrong = loader.finish(judged=not request.node.stash.get(FAILED, False))
    if wrong:
        raise wrong[0]


class Loader:
    """Loads extensions for one test; called as the fixture says."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        from llext_tools.testing.cache import Cache

        self._config = request.config
        self._cache = request.config.stash.setdefault(CACHE, Cache(_measured(request.config)))
        self._folders, self._deep = _folders(request)
        self._taken: list[Extension] = []
        self._programs: dict[Program, str] = {}
        """Also one whose constructors have failed; with the output that a report has."""
        request.node.stash[LOADER] = self

    def __call__(
        self, path: str | os.PathLike[str], *, bringup: bool = True, leaks: Leaks = "fail", **given: Any
    ) -> Extension:
        from llext_tools.jobs import Which
        from llext_tools.testing import Extension
        from llext_tools.testing.options import options

        which = Which(given.get("target") or _target(self._config), _toolchain(self._config))
        given["target"] = which.target
        for key in ("firmware", "exports"):
            given[key] = [self._find(file, which) for file in _several(given.get(key))]
        given = _with_defaults(self._config, given)
        host = (*given["firmware"], *given["exports"])
        found = self._find(path, which, host)
        if not host:
            host = given["exports"] = _built_for(self._config, found)
        given["extensions"] = [self._find(file, which, host) for file in _several(given.get("extensions"))]
        chosen = options(found, **given)
        for each in (chosen.path, *chosen.extensions):
            if text := _stale(self._config, each):
                warnings.warn(StaleExtensionWarning(text), stacklevel=2)
        program = self._cache.take(chosen)
        self._programs[program] = ""
        program.fresh(bringup)
        extension = Extension(program, bringup=bringup, leaks=leaks)
        self._taken.append(extension)
        return extension

    def _find(self, path: str | os.PathLike[str], which: Which, host: Sequence[str] = ()) -> str:
        from llext_tools.testing.find import find_extension

        usual = partial(_usual, self._config, host)
        return find_extension(path, self._folders, deep=self._deep, which=which, usual=usual)

    def finish(self, *, judged: bool) -> list[LlextError]:
        """Tear all down; what is wrong then counts only for a test that is good so far."""
        from llext_tools.errors import LlextError

        wrong = []
        for extension in reversed(self._taken):
            try:
                if judged:
                    extension.finish()
            except LlextError as error:
                wrong.append(error)
            extension.release()
        for program in reversed(self._programs):
            self._cache.give_back(program)
        return wrong

    def new_output(self) -> Iterator[tuple[str, str]]:
        """What was printed since this was asked the last time: a title for it and the text, by extension."""
        names = [program.title for program in self._programs]
        for i, (program, before) in enumerate(self._programs.items()):
            text = self._programs[program] = program.session.output.text
            new = text.removeprefix(before)  # all of it, if the test has put the extension back
            again = f", {names[: i + 1].count(names[i])}" if names.count(names[i]) > 1 else ""
            if new:
                yield f"extension output{f' ({names[i]}{again})' if len(names) > 1 else ''}", new

    def __repr__(self) -> str:
        return f"<loader of extensions: {len(self._taken)} loaded>"


def _several(files: Any) -> Sequence[str | os.PathLike[str]]:
    """One file or several, as a test gives them."""
    return (files,) if isinstance(files, str | os.PathLike) else files or ()


# ---- what the options, the environment and the settings say


def _measured(config: pytest.Config) -> Wanted:
    from llext_tools.measure import Wanted

    return Wanted(coverage=bool(_said(config, "coverage")))


def _said(config: pytest.Config, name: str) -> list[str]:
    """An option's values, else the environment's."""
    given = config.getoption(f"--llext-{name}")
    if given:
        return [given] if isinstance(given, str) else list(given)
    value = os.environ.get(ENVIRONMENT[name], "")
    return [part for part in value.split(os.pathsep) if part]


def _paths(config: pytest.Config, name: str) -> list[str]:
    """The same of an option for files: from where pytest was called, wherever a test is when it loads."""
    return [os.path.join(config.invocation_params.dir, each) for each in _said(config, name)]


def _target(config: pytest.Config) -> str:
    return next(iter(_said(config, "target")), "") or _settings(config).target


def _toolchain(config: pytest.Config) -> str:
    name = next(iter(_said(config, "toolchain")), "")
    return "" if name == "auto" else name  # as `llext build` has it


def _usual(config: pytest.Config, host: Sequence[str]) -> list[Which]:
    """What ``llext build`` builds by its settings, of firmwares for those whose files an extension runs on."""
    from llext_tools.jobs import Which

    build = _build_settings(config)
    files = set(map(os.path.realpath, host))
    every = [each.name for each in build.firmware]
    same = [each.name for each in build.firmware if not files.isdisjoint(map(os.path.realpath, each.files))]
    said = (build.targets, build.toolchains, same or every)
    return [Which(*each) for each in product(*(names or ("",) for names in said))]


def _with_defaults(config: pytest.Config, given: dict[str, Any]) -> dict[str, Any]:
    """What a test leaves open, the command line, the environment or the settings file say, in this order."""
    if not given.get("firmware") and not given.get("exports"):
        given["firmware"], given["exports"] = [], _paths(config, "exports")
        named = _firmware(config) if _said(config, "firmware") else {}
        for said, file in zip(_said(config, "firmware"), _paths(config, "firmware"), strict=True):
            given["exports" if said in named else "firmware"] += named.get(said, (file,))
        if not given["firmware"] and not given["exports"]:
            given["exports"] = _settings(config).exports
    if not given.get("mmio"):
        given["mmio"] = config.getoption("--llext-mmio") or ()
    return given


def _settings(config: pytest.Config) -> Settings:
    from llext_tools.cli import settings

    path = settings.find(str(config.rootpath))
    return settings.read(path) if path else settings.Settings()


def _build_settings(config: pytest.Config) -> BuildSettings:
    from llext_tools.cli import settings, settings_build

    path = settings.find(str(config.rootpath))
    return settings_build.read(path) if path else settings_build.BuildSettings()


def _firmware(config: pytest.Config) -> dict[str, tuple[str, ...]]:
    """The files of each firmware that the settings name: images whose code runs, and tables."""
    return {each.name: each.files for each in _build_settings(config).firmware}


def _built_for(config: pytest.Config, path: str) -> tuple[str, ...]:
    """The files of the firmware that an extension was built for, by the name of its job; none if nobody knows it."""
    from llext_tools.jobs import parts

    built_for = [parts(folder.name).firmware for folder in Path(path).absolute().parents]
    named = _firmware(config) if any(built_for) else {}
    return next((named[name] for name in built_for if name in named), ())


def _folders(request: pytest.FixtureRequest) -> tuple[list[str], bool]:
    """Where extensions are looked for, and whether in folders below, too."""
    config = request.config
    if given := _paths(config, "build-dir"):
        return given, True
    above = [each for each in request.path.parents[2:] if each.is_relative_to(config.rootpath)]
    near = (*request.path.parents[:2], *above, config.invocation_params.dir, config.rootpath)
    return [str(each) for each in dict.fromkeys(near)], False


# ---- what a person sees


def _stale(config: pytest.Config, path: str) -> str:
    """That an extension is older than its sources, in a session once."""
    from llext_tools.build.stale import find_stale
    from llext_tools.jobs import parts
    from llext_tools.paths import shown

    seen = config.stash.setdefault(SEEN, set())
    found = None if path in seen else find_stale(path, config.rootpath)
    seen.add(path)
    if found is None:
        return ""
    newest, *others = map(shown, found.sources)
    more = f" and {len(others)} more" if others else ""
    cure = "llext build" if parts(found.build.name).target else f"cmake --build {shown(found.build)}"
    return f"`{shown(Path(path))}` was built before `{newest}`{more} {found.how}: build it again, `{cure}`"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    if (loader := item.stash.get(LOADER, None)) is not None:
        for title, text in loader.new_output():
            item.add_report_section(call.when, title, text)
    if call.excinfo is None:
        return (yield)
    item.stash[FAILED] = True
    error = call.excinfo.value
    _hide(error)
    report = yield
    if type(error).__module__.startswith("llext_tools."):
        _show(report, error)
    return report


def _hide(error: BaseException) -> None:
    """Take frames of this package out of a traceback, if the test's own are there."""
    kept = []
    at = error.__traceback__
    while at is not None:
        if not at.tb_frame.f_code.co_filename.startswith(HERE):
            kept.append(at)
        at = at.tb_next
    for one, following in zip(kept, [*kept[1:], None], strict=True):
        one.tb_next = following


def _is_pytests(error: BaseException) -> bool:
    """Whether an exception has come through code of pytest only."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and f"{os.sep}_pytest{os.sep}" in at.tb_frame.f_code.co_filename


def _show(report: Any, error: BaseException) -> None:
    """The diagnostics as the command line prints them, in the place of the exception."""
    from llext_tools.cli.render import Paint, columns, render
    from llext_tools.errors import LlextError

    if not isinstance(error, LlextError):
        return
    entries: Any = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    lines = getattr(entries[-1], "lines", None) if entries else None
    if lines is None:
        return
    text = "\n\n".join(render(each, Paint(None), columns() - 4) for each in error.diagnostics)
    code = [line for line in lines if not line.startswith("E")]
    if (crash := getattr(report.longrepr, "reprcrash", None)) is not None:
        crash.message = str(error)
    if _is_pytests(error):  # found by the fixture, after the test: no line of the test is concerned
        del entries[:-1]
        entries[-1].reprfuncargs = entries[-1].reprlocals = entries[-1].reprfileloc = None
        code = []
    lines[:] = [*code, *(f"E   {line}".rstrip() for line in text.splitlines())]
