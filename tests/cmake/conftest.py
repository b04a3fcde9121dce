"""A fresh project for each test, in a folder with a space in its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmake_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "my project"
    root.mkdir()
    return Project(root)
