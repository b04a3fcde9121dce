"""Whether a firmware that looks symbols up by SLID finds the imports of an extension.

Its loader asks for the number in ``st_value`` of an undefined symbol, whatever the symbol's name is.
Source: Zephyr, ``subsys/llext/llext_link.c``, ``llext_lookup_symbol()``; ``doc/services/llext/config.rst``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.subject import Subject
from llext_tools.diag import Diagnostic, listed
from llext_tools.elf import structs as elf
from llext_tools.elf.slid import MOST, slid_of, slid_text, slids

INJECT = "`llext slid FILE` puts SLIDs in, as the last step of the build"


def imported_slids(subject: Subject) -> Iterator[Diagnostic]:
    """``slid-missing`` and ``slid-stale``, for those of the imports that are found by name.

    An extension without any SLIDs is one that has yet to get them: a warning, as is one that has SLIDs for a firmware
    which does not ask for them.
    """
    obj, y = subject.obj, subject.obj.symbols
    if subject.firmware is None:
        return
    exports, wanted = subject.firmware.exports, subject.imports
    index = [i for i in y.undefined.tolist() if y.name(i) in wanted]
    if not index:
        return
    names, at = y.names(index), subject.at(y.section)
    value = y.value[index].astype(np.uint64) & np.uint64((1 << obj.bits) - 1)
    if not exports.slid_bits:
        if exports.machine and value.all():  # the table is a firmware's own
            text = f"the imports have SLIDs, but {exports.source} looks symbols up by name"
            cure = "give the file as it was before `llext slid`"
            yield Diagnostic("slid-stale", text, severity="warning", location=at, help=cure)
        return
    if not value.any():
        text = f"the extension has no SLIDs, by which {exports.source} looks symbols up"
        yield Diagnostic("slid-missing", text, severity="warning", location=at, help=INJECT)
        return
    without = [i for i, known in zip(index, value.tolist(), strict=True) if not known]
    if without:
        weak = y.names(i for i in without if y.bind[i] == elf.STB_WEAK)
        yield Diagnostic(
            "slid-missing",
            f"{listed(y.names(without), MOST)} {'has' if len(without) == 1 else 'have'} no SLID",
            location=at,
            notes=(
                f"{exports.source} looks symbols up by SLID",
                *([f"weak symbols get none: {listed(weak, MOST)}"] if weak else []),
            ),
            help="declare what the firmware exports without `weak`" if len(weak) == len(without) else INJECT,
        )
    expected = slids(names, obj.bits)
    for i in np.flatnonzero((value != 0) & (value != expected)).tolist():
        wrong, right = slid_text(int(value[i]), obj.bits), slid_text(int(expected[i]), obj.bits)
        other = next((e.name for e in exports.symbols if slid_of(e.name, obj.bits) == int(value[i])), "")
        yield Diagnostic(
            "slid-stale",
            f"the SLID of `{names[i]}` is {right}, not {wrong}",
            location=at,
            notes=(f"the loader takes `{other}` for it" if other else "the loader finds nothing: -ENODATA",),
            help="put SLIDs in after the last step that renames symbols",
        )
