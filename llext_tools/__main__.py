"""``python -m llext_tools`` is the command ``llext``."""

from __future__ import annotations

import sys

from llext_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
