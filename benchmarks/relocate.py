"""Link one object in this process and print how long relocating itself took, in seconds: relocate.py OBJECT EXPORTS."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from llext_tools import link as linker
from llext_tools.elf.read import load_object
from llext_tools.host.tables import read_exports
from llext_tools.mem import Domain


def main(path: str, exports: str) -> None:
    spent = []
    relocate = vars(linker)["relocate"]

    def timed(*arguments: Any) -> None:
        start = perf_counter()
        relocate(*arguments)
        spent.append(perf_counter() - start)

    vars(linker)["relocate"] = timed  # the name by which link() finds it
    linker.link(load_object(path), exports=read_exports(exports), domain=Domain(start=0x2001_0000))
    print(sum(spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
