"""What ``llext new`` makes a project of: files of this folder, in which ``@NAME@`` and the like stand for words.

No engine reads them: a word between two ``@`` is replaced, and nothing is repeated or left out. What differs between
projects by more than a word is a word that holds lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

PLACES = {
    "CMakeLists.txt": "CMakeLists.txt.in",
    "llext.toml": "llext.toml.in",
    "src/@NAME@.@SUFFIX@": "source.@SUFFIX@.in",
    "tests/test_@NAME@.py": "test.py.in",
    "pyproject.toml": "pyproject.toml.in",
    "python/CMakeLists.txt": "python-CMakeLists.txt.in",
    "python/@NAME@/__init__.py": "package.py.in",
    "tox.ini": "tox.ini.in",
    ".github/workflows/ci.yml": "ci.yml.in",
    ".gitignore": "gitignore.in",
    "README.md": "README.md.in",
}
"""The files of a project -> the templates. Words are replaced in both names, too."""


def fill(words: Mapping[str, str]) -> dict[str, str]:
    """The files of a project, by their paths in it.

    Args:
        words: what stands for ``@NAME@`` and so on, by the word in capitals.
    Raises:
        KeyError: a template has a word that is not given.
    """

    def filled(text: str) -> str:
        return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)

    folder = resources.files(__name__)
    return {
        filled(path): filled((folder / filled(template)).read_text(encoding="utf-8"))
        for path, template in PLACES.items()
    }
