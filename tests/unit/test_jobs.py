"""Names of jobs. Oracle: they are put together here, of all targets and toolchains and of odd firmwares."""

from __future__ import annotations

import pytest

from llext_tools import arch
from llext_tools.jobs import OPEN, TOOLCHAINS, Named, belongs, job_name, named, parts


@pytest.mark.parametrize("firmware", ["", "v2", "v1.2-rc", "zig", "my-gcc-board", "gcc-zig"])
@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_a_name_comes_apart_into_what_it_was_made_of(toolchain: str, firmware: str) -> None:
    for target in arch.targets():
        name = f"{target}-{toolchain}-{firmware}" if firmware else f"{target}-{toolchain}"
        assert job_name(target, toolchain, firmware) == name
        assert parts(name) == (target, toolchain, firmware)


@pytest.mark.parametrize(
    "name", ["", "cortex-m4", "gcc", "-gcc", "release", "cortex-m4-gccx", "cortex-m4-gcc-", "m4gcc"]
)
def test_other_names_have_no_parts(name: str) -> None:
    assert parts(name) == OPEN


def test_a_job_belongs_to_its_target_and_toolchain() -> None:
    job = "cortex-m4-gcc-v2"
    assert all(belongs(job, each) for each in (job, "cortex-m4-gcc", "cortex-m4"))
    assert not any(belongs(job, each) for each in ("cortex-m", "cortex-m4-gcc-v", "cortex-m4-gcc-v2-x", "m4"))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("blink", Named("", "blink", None)),
        ("my-own.ext:blink_2", Named("my-own.ext", "blink_2", None)),
        ("blink@cortex-m4-gcc-v1.2", Named("", "blink", "cortex-m4-gcc-v1.2")),
        ("a-b:c@d@e", Named("a-b", "c", "d@e")),
        ("blink@", Named("", "blink", "")),
        *((each, None) for each in ("", "blink.llext", "./blink", "C:blink", "@x", ":blink", "blink@a/b", "-", "a b")),
    ],
)
def test_names_of_installed_extensions(word: str, expected: Named | None) -> None:
    assert named(word) == expected
