"""Loader profiles and the command that shows them. Oracle: the TOML files, read here by themselves."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from conformance.cases import files
from llext_tools import arch, profile
from transcript import llext

FILES = {path.stem: path for path in Path(profile.__file__).parent.glob("*.toml")}


def data(name: str) -> dict[str, Any]:
    return tomllib.loads(FILES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_each_file_answers_each_question(name: str) -> None:
    """And none that nobody asks. The codes are those of rows that the loader has."""
    rest = data(name)
    rules = rest.pop("rules")
    relocs, deviations = rest.pop("relocs", {}), rest.pop("deviations", {})
    assert rest.keys() | rules.keys() == {"summary", *profile.RULES}
    assert not rest.keys() & rules.keys()
    assert rest.pop("weak_undefined") in ("error", "null")
    assert rest.pop("summary")
    assert all(type(value) is bool for value in [*rest.values(), *rules.values()])
    for machine, codes in relocs.items():
        assert len(codes) == len(set(codes))
        assert set(codes) <= {code for rows in arch.load(machine).loader_relocs.values() for code in rows}
    for machine, codes in deviations.items():
        assert set(codes) <= set(relocs[machine]) & arch.load(machine).loader_deviations.keys()


def test_list() -> None:
    code, text = llext("profiles")
    assert code == 0
    lines = dict(line.split(maxsplit=1) for line in re.sub(r"\n +", " ", text).splitlines())
    assert lines == {
        name: data(name)["summary"] + (" (default)" if name == "zephyr-next" else "") for name in sorted(FILES)
    }


def test_json() -> None:
    code, text = llext("profiles", "--json")
    assert code == 0
    for found in json.loads(text):
        wanted = data(found["name"])
        assert found["rules"] == {rule: wanted.get(rule, wanted["rules"].get(rule)) for rule in profile.RULES}
        assert {k: len(v) for k, v in found["relocations"].items()} == counts(wanted.get("relocs", {}))
        assert {k: len(v) for k, v in found["deviations"].items()} == counts(wanted.get("deviations", {}))


def counts(codes: dict[str, list[int]]) -> dict[str, int]:
    return {machine: len(numbers) for machine, numbers in codes.items()}


@pytest.mark.parametrize("name", FILES)
def test_one_profile_in_words(name: str) -> None:
    code, text = llext("profiles", name, environment={"COLUMNS": "999"})
    assert code == 0
    assert text.startswith(f"{name}: {data(name)['summary']}\n")
    for rule, value in data(name)["rules"].items():
        assert f"  {'yes' if value else 'no':5}  {profile.RULES[rule]}\n" in text
    for machine, codes in data(name).get("deviations", {}).items():
        for number in codes:
            assert f"\n      {arch.load(machine).loader_deviations[number]}\n" in text


@pytest.mark.parametrize(
    "command",
    [
        "profiles zephyr-4.3",
        "check blink.llext --profile zephyr-4.3",
        "load blink.llext --profile zephyr-4.3",
        "run blink.llext --profile zephyr-4.3",
        "link blink.llext -o new --profile zephyr-4.3",
        "finish blink.llext -o new --profile zephyr-4.3",
        "build . --profile zephyr-4.3",
        "demo new --profile zephyr-4.3",
    ],
    ids=lambda command: command.split()[0],
)
def test_an_unknown_name_is_a_usage_error_everywhere(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest name is offered, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("blink.llext").write_bytes(files()["ptrs_arm_gcc/e.llext"])
    Path("CMakeLists.txt").touch()
    code, text = llext(*command.split())
    assert code == 2
    assert text == ("error[usage]: there is no loader profile `zephyr-4.3`\n   = help: did you mean `zephyr-4.2`?\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CMakeLists.txt", "blink.llext"]


def test_finish_checks_for_the_loader_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracles: the record of Zephyr's loader, which takes it; 4.2 takes `.tbss` for a second `.bss` (until 112727)."""
    monkeypatch.chdir(tmp_path)
    Path("e.o").write_bytes(files()["arm_sec_tls_data_noref/e.llext"])
    command = ("finish", "e.o", "-o", "e.llext", "--check")
    assert llext(*command)[0] == llext(*command, "--profile", "zephyr-next")[0] == 0
    code, text = llext(*command, "--profile", "zephyr-4.2")
    assert code == 4
    assert "error[region-nobits]" in text
    assert llext(*command[:-1], "--profile", "zephyr-4.2") == (0, ""), "without the check nobody asks"
