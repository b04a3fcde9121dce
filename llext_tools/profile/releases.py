"""Which profile is nearest to the loader of a release of Zephyr.

What ``zephyr-next`` does differently came after Zephyr 4.4: the numbers of the pull requests stand in
``zephyr-4.2.toml``. A version whose last number is 99 is on its way to the next release.
"""

from __future__ import annotations

import re

VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?!\d).*", re.DOTALL)
FIRST = (("zephyr-next", (4, 5)), ("zephyr-4.2", (0, 0)))
"""The first release, major and minor number, that each profile is for; the newest first."""
EXACT = {"zephyr-4.2": (4, 2)}
"""The release whose loader a profile was made of."""


def profile_for(version: str) -> tuple[str, bool]:
    """The profile for a release, and whether that is its very loader; ``("", False)`` if this is no version."""
    found = VERSION.fullmatch(version.strip())
    if found is None:
        return "", False
    release = int(found[1]), int(found[2]) + (found[3] == "99")
    name = next(name for name, first in FIRST if release >= first)
    return name, EXACT.get(name) == release and found[3] != "99"
