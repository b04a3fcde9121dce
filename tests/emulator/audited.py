"""Runs extensions while the interpreter reports what the process does: a program of ``test_sandbox.py``.

    python audited.py TARGET SEED SEQUENCES EXTENSION...

The first extension offers ``call(function, a, b, c, d, e, f)``: functions of the host are called with random arguments,
among them what earlier calls have returned. Of the others each function is called once. Prints JSON: the audit events
meanwhile, how often each code has ended something, exceptions that are no diagnostics, how much the process has grown.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import traceback
from collections import Counter
from importlib import import_module

from llext_tools import arch
from llext_tools.diag import Reporter
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host import builtin
from llext_tools.run import Limits, Session, Setup, load, run
from llext_tools.run.plan import Step, plan

INNOCENT = {"builtins.id", "ctypes.addressof", "ctypes.create_string_buffer"}
"""How the emulator's registers are read."""

CALLS = 12
"""Calls of a sequence at most."""

events: list[str] = []
listening = False


def listen(event: str, arguments: tuple[object, ...]) -> None:
    if listening and event not in INNOCENT:
        events.append(f"{event} {arguments!r:.200}")


def value(pick: random.Random, known: list[int]) -> int:
    """Addresses, sizes, small numbers, and numbers near the ends of their types."""
    return pick.choice(
        [
            *pick.choices(known, k=4),
            pick.choice(known) + pick.choice((-16, -4, -1, 1, 4, 8, 100)),
            pick.randrange(0, 40),
            1 << pick.randrange(0, 64),
            (1 << pick.randrange(1, 65)) - pick.randrange(1, 9),
            pick.getrandbits(64),
        ]
    )


def sequence(session: Session, step: Step, pick: random.Random, names: list[str]) -> str:
    """Call functions of the host until one of them ends it; returns the code, or ""."""
    y = session.images[0].obj.symbols
    known = [
        int(session.images[0].sym_tab.S[i]) for i in range(len(y)) if y.name(i) in ("data", "less", "text", "call")
    ]
    known += [int(session.machine.get("sp")), 0, 0x2000_0000, 0x1FFF_0000]
    exports = {export.name: export.address for export, _ in session.guest.functions.values()}
    word = (1 << session.setup.target.bits) - 1
    try:
        for _ in range(CALLS):
            arguments = [exports[pick.choice(names)], *(value(pick, known) & word for _ in range(6))]
            signed = [a - word - 1 if a > word // 2 else a for a in arguments]
            known.append(int(session.guest.call(step.address, step.prototype, step.types, signed) or 0))
    except LlextError as error:
        return error.diagnostics[0].code
    return ""


def main(target: str, seed: str, count: str, *paths: str) -> None:
    global listening  # noqa: PLW0603 - the hook can never be removed
    cpu, pick = arch.target(target), random.Random(seed)
    ended, wrong = Counter[str](), []
    setup = Setup(cpu, limits=Limits(seconds=0.3, output=1 << 16, memory=1 << 24, threads=8))
    (caller, *others) = [load([load_object(path)], cpu) for path in paths]
    import_module("llext_tools.host.kernel.fibers")  # what is imported late is there now
    run(caller, "call(0, 0, 0, 0, 0, 0, 0)", setup)
    sys.addaudithook(listen)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names = sorted(builtin.BY_NAME)
    with Session(caller, setup) as session:
        (step,) = plan(caller, ["call(0, 0, 0, 0, 0, 0, 0)"], (), session.described, Reporter())
        start = session.snapshot()
        for _ in range(int(count)):
            session.start_clock()
            listening = True
            try:
                ended[sequence(session, step, pick, names)] += 1
            except Exception:  # noqa: BLE001 - the parent fails for it
                wrong.append(traceback.format_exc())
            listening = False
            session.rollback(start)
    for images in others:
        for export in images[0].exp_tab.symbols:
            listening = True
            fault = run(images, f"{export.name}()", setup).fault
            listening = False
            ended[fault.code if fault else ""] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"events": events[:20], "ended": ended, "wrong": wrong[:3], "grown": grown << 10}))


if __name__ == "__main__":
    main(*sys.argv[1:])
