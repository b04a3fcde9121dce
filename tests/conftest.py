"""What all tests share: a skip is a failure where tools are required, and how hypothesis searches."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from needs import REQUIRED

for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
    os.environ.pop(name, None)  # tests that run there would say more, and write to the page of the run

pytest_plugins = ["pytester", "installed"]  # runs pytest in a test of tests/plugin; an environment with our wheel

settings.register_profile("quick", max_examples=100, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("thorough" if REQUIRED else "quick")  # --hypothesis-profile=search looks for new failures


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Under LLEXT_REQUIRE_TOOLS=1 nothing may be skipped: a tool that is missing there hides a whole part."""
    report = (yield).get_result()
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: LLEXT_REQUIRE_TOOLS=1, but: {reason}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the expected texts anew; look at the difference"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> bool:
    """Whether expected texts are to be written anew."""
    return bool(request.config.getoption("--update-golden"))
