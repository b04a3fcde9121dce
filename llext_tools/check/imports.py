"""Rules about what an extension takes from the firmware, beyond whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.slids import imported_slids
from llext_tools.check.subject import Rule, Subject
from llext_tools.check.thumb import is_m_profile
from llext_tools.diag import Diagnostic, Location


def thumb_exports(subject: Subject) -> Iterator[Diagnostic]:
    """``exports-thumb``: imported functions that the table gives an even address, on a CPU of Thumb code.

    Where the table does not say what a name is, it is a function if a branch goes there.
    """
    if subject.firmware is None or not subject.arch.thumb or not subject.imports or not is_m_profile(subject):
        return
    exports, relocs = subject.firmware.exports, subject.relocs
    if exports.machine not in (0, subject.obj.machine):
        return  # as `abi-machine` says
    branches = np.isin(relocs.type, list(subject.arch.branches))
    called = frozenset(subject.obj.symbols.names(relocs.symbol[branches].tolist()))
    found = [export for name in subject.imports if (export := exports.find(name))]
    even = [e for e in found if not e.address & 1 and (e.kind == "func" or (not e.kind and e.name in called))]
    if not even:
        return
    first = even[0]
    more = f", and {len(even) - 1:,} more" if len(even) > 1 else ""
    yield Diagnostic(
        "exports-thumb",
        f"the function `{first.name}` is exported at {first.address:#010x}, without the Thumb bit{more}",
        severity="warning",
        location=Location(file=exports.source),
        help=f"give {first.address | 1:#010x}: addresses of Thumb functions are odd",
    )


RULES: tuple[Rule, ...] = (thumb_exports, imported_slids)
