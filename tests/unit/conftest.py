"""What several files of unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import Tools


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path, monkeypatch)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is kept between calls lies here."""
    folder = tmp_path / "the cache"
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(folder))
    return folder
