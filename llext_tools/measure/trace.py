"""A trace of calls: each with its arguments, indented by its depth, and with its result where it has returned.

    counter_run(2)
      counter_tick()
        printk("tick %u: total %d\\n", ...)
        counter_tick = 5
      counter_run = 5

A call that makes no others takes one line. Arguments and results have the types of debug information, the host's
functions those of their prototypes; where nothing is known, a call is shown without arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llext_tools.c.call import show_value
from llext_tools.c.types import CType, Prototype
from llext_tools.elf.names import without_parameters
from llext_tools.errors import LlextError
from llext_tools.host.guest import Guest
from llext_tools.host.memory import AccessError
from llext_tools.host.passing import Registers, fetch, result_memory, result_pieces, value_of_call
from llext_tools.measure.calls import Calls, Leaving, Stack
from llext_tools.measure.program import Symbol

LONGEST_TEXT = 64
"""Bytes of a string that are shown."""


UNSHOWN = (AccessError, LlextError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a value may raise that cannot be shown. Nothing must: who is told of a block raises nothing."""


class Tracer:
    """Writes lines as calls happen.

    Args:
        prototype_of: of a function of the extension or the firmware, None where nobody knows.
        most: lines; what comes later is left out, which the last line says.
    """

    def __init__(
        self,
        guest: Guest,
        calls: Calls,
        prototype_of: Callable[[Symbol], Prototype | None],
        write: Callable[[str], None],
        most: int,
    ) -> None:
        self._guest, self._calls, self._write, self._left = guest, calls, write, most
        self._prototype_of = prototype_of
        self._pending: str | None = None
        self._thread = calls.stack
        self._results: dict[int, list[int | None]] = {}  # where callers want results that are in memory, by stacks
        self._waiting: Stack | None = None
        calls.entered.append(self._entered)
        calls.left.append(self._returned)

    def finish(self) -> None:
        """Write what has been held back."""
        self._flush()

    def _entered(self, stack: Stack) -> None:
        self._flush()
        self._name_thread(stack)
        symbol = stack.calls[-1].node.function
        arguments, result = self._arguments(symbol)
        self._results.setdefault(id(stack), []).append(result)
        self._pending = f"{self._indent(stack)}{_name(symbol)}{arguments}"
        self._waiting = stack

    def _returned(self, stack: Stack, how: Leaving) -> None:
        symbol = stack.calls[-1].node.function
        shown = ""
        memory = self._results[id(stack)].pop()
        if how == "return":
            value = self._result(symbol, memory)
            shown = f" = {value}" if value else ""
        if self._pending is not None and self._waiting is stack:
            self._pending += shown
            self._flush()
        elif shown:
            self._flush()
            self._name_thread(stack)
            self._line(f"{self._indent(stack)}  {_name(symbol)}{shown}")

    def _name_thread(self, stack: Stack) -> None:
        """Say where it goes on, if that is somewhere else."""
        if stack is not self._thread:
            self._thread = stack
            name = stack.root.function.name
            self._line("-- interrupt" if name == "interrupt" else f"-- thread {name}")

    def _indent(self, stack: Stack) -> str:
        return "  " * (sum(not call.hidden for call in stack.calls) - 1)

    def _flush(self) -> None:
        if self._pending is not None:
            line, self._pending = self._pending, None
            self._line(line)

    def _line(self, line: str) -> None:
        self._left -= 1
        if self._left > 0:
            self._write(line)
        elif self._left == 0:
            self._write("... the trace is cut here: there are more calls")

    def _prototype(self, symbol: Symbol) -> Prototype | None:
        found = self._guest.functions.get(symbol.start)
        if found is None:
            return self._prototype_of(symbol)
        export, function = found
        with suppress(LlextError):
            return self._guest.prototype(function.prototype if function else export.prototype or "")
        return None

    def _arguments(self, symbol: Symbol) -> tuple[str, int | None]:
        """The arguments, and where the result comes if not in registers."""
        prototype = self._prototype(symbol)
        if prototype is None:
            return "(...)", None
        guest = self._guest
        shown = []
        memory = None
        with suppress(*UNSHOWN):
            source = Registers(guest, guest.placer(prototype.variadic))
            memory = result_memory(guest, prototype, source)
            for ctype in prototype.params:
                shown.append(self._show(ctype, value_of_call(guest, ctype, source.next(ctype, named=True))))
        return f"({', '.join(shown + ['...'] * prototype.variadic)})", memory

    def _result(self, symbol: Symbol, memory: int | None) -> str:
        prototype = self._prototype(symbol)
        if prototype is None or prototype.result.is_void:
            return ""
        guest, ctype = self._guest, prototype.result
        with suppress(*UNSHOWN):
            if memory is not None:
                data = guest.memory.read(memory, ctype.size)
            else:
                data = fetch(guest, result_pieces(guest, prototype) or (), 0, ctype.size)
            return self._show(ctype, value_of_call(guest, ctype, data))
        return ""

    def _show(self, ctype: CType, value: Any) -> str:
        if not ctype.is_scalar:
            return str(value)
        text = None
        if ctype.is_text and value:
            with suppress(*UNSHOWN):
                text = self._guest.memory.text(int(value), LONGEST_TEXT)
        return show_value(ctype, value, text)


def _name(symbol: Symbol) -> str:
    return without_parameters(symbol.in_source)
