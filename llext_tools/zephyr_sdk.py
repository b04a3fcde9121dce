"""Zephyr's SDK: where it is installed, and where in it the compilers are.

The variable ``ZEPHYR_SDK_INSTALL_DIR`` names it, as for a build of Zephyr. Without the variable Zephyr looks in the
user's package registry of CMake, in which the SDK's setup script enters it, and in some folders, for names that begin
with ``zephyr-sdk``; of several the newest counts.

Sources: Zephyr's ``FindZephyr-sdk.cmake``; of the SDK ``target.cmake`` and ``zephyr_sdk_export.cmake``, 0.16 to 1.0.
"""

from __future__ import annotations

import os
import re
import shutil
from glob import glob

VARIABLE = "ZEPHYR_SDK_INSTALL_DIR"
PLACES = ("/usr", "/usr/local", "/opt", "~", "~/.local", "~/.local/opt", "~/bin")
REGISTRY = "~/.cmake/packages/Zephyr-sdk"
BIN = ("gnu/{0}/bin", "{0}/bin")
"""The folder of a compiler, by its name without the last dash: of SDK 1.0, and of those before."""


def chosen() -> str:
    """The folder that the user has named; ``""`` if there is none."""
    return os.environ.get(VARIABLE, "")


def installed() -> list[str]:
    """The SDKs that are found without being named, the newest first."""
    found: dict[str, None] = {}
    for entry in sorted(glob(os.path.join(os.path.expanduser(REGISTRY), "*"))):
        try:
            with open(entry, encoding="utf-8", errors="surrogateescape") as file:
                found[os.path.dirname(file.readline(4096).strip())] = None  # what is entered is its folder `cmake`
        except OSError:
            continue
    for place in PLACES:
        found |= dict.fromkeys(sorted(glob(os.path.join(os.path.expanduser(place), "zephyr-sdk*"))))
    return sorted((sdk for sdk in found if os.path.isdir(sdk)), key=lambda sdk: _order(version(sdk)), reverse=True)


def version(sdk: str) -> str:
    """``0.16.8``; ``""`` if its file does not say so."""
    try:
        with open(os.path.join(sdk, "sdk_version"), encoding="utf-8", errors="replace") as file:
            return file.readline(80).strip()
    except OSError:
        return ""


def _order(text: str) -> tuple[list[int], bool, str]:
    """What versions are sorted by: ``0.17.0-rc1`` comes before ``0.17.0``."""
    numbers, _, candidate = text.partition("-")
    return [int(digits) for digits in re.findall(r"\d+", numbers)], not candidate, candidate


def compiler(sdk: str, prefix: str) -> str:
    """The GCC of a prefix such as ``arm-zephyr-eabi-`` in an SDK; ``""`` if the SDK has none."""
    folders = [os.path.join(os.path.abspath(sdk), name.format(prefix.removesuffix("-"))) for name in BIN]
    return shutil.which(f"{prefix}gcc", path=os.pathsep.join(folders)) or ""
