"""Files of presets that somebody wrote by hand. Oracle: CMake's documentation, "cmake-presets", "Format"."""

from __future__ import annotations

from pathlib import Path

import pytest

from llext_tools.build.preset_files import PROJECT, foreign, read
from llext_tools.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"version": "6"}',
        '{"configurePresets": {}}',
        '{"testPresets": ["a"]}',
        '{"configurePresets": [{"name": ["a"]}]}',
        '{"testPresets": [{"name": "a", "inherits": 5}]}',
        '{"workflowPresets": [{"name": "a", "steps": null}]}',
        '{"workflowPresets": [{"name": "a", "steps": ["configure"]}]}',
    ],
)
def test_what_is_no_file_of_presets_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / PROJECT).write_text(text, encoding="utf-8")
    for reader in (lambda: read(tmp_path / PROJECT), lambda: {each["name"] for _, each in foreign(tmp_path)}):
        with pytest.raises(UsageError, match="is no file of presets"):
            reader()
