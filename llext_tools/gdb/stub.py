"""What a debugger asks while the program is halted, and the answers.  Source: the GDB manual, "Packets" and after.

A request that is not known gets an empty answer, one that cannot be read ``E16``, one that cannot be done another
error: nothing that a client sends ends more than its connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from llext_tools.diag import printable, spelt_out
from llext_tools.gdb.fields import PacketError, hexed, pair, parsed, part, point
from llext_tools.gdb.packets import LARGEST, unescaped
from llext_tools.gdb.program import SIGTRAP, WATCH_NAMES, WATCHES, Program, Thread, Watch
from llext_tools.gdb.server import PATIENCE, Client
from llext_tools.machine.protocol import Stop

OK = "OK"
MALFORMED, NO_ACCESS, NO_THREAD, NO_ROOM = "E16", "E0e", "E03", "E1c"
"""Errors: EINVAL, EFAULT, ESRCH and ENOSPC of C, in hex."""
SUPPORTED = (
    f"PacketSize={LARGEST:x};QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+;swbreak+;hwbreak+;"
    "multiprocess-"
)
"""There is no map of the memory: GDB reads it once, but memory comes and goes."""
ANNEX = "target.xml"

Monitor = Callable[[str], str]
"""Carries out what a person typed behind `monitor`, and returns what to print."""


class KilledError(Exception):
    """The debugger ends the program."""


class Halt(NamedTuple):
    """Why the program is halted. ``stop`` is for the host, if it goes on with the signal."""

    signal: int
    stop: Stop | None = None
    kind: str = ""  # such as "swbreak" or "watch", with ``address``
    address: int = 0


class Resume(NamedTuple):
    """How the program goes on. ``thread`` is the one that steps, 0 whichever runs; ``inside``: while it is in there."""

    step: bool = False
    signal: int = 0
    thread: int = 0
    inside: tuple[int, int] | None = None


class Stub:
    """Talks with one client about a program."""

    def __init__(self, program: Program, client: Client, monitor: Monitor) -> None:
        self._program, self._client, self._monitor = program, client, monitor
        self._halt = Halt(SIGTRAP)
        self._thread = 0  # that g and the like mean; 0: the one that runs
        self._reports: set[str] = set()  # of "swbreak" and "hwbreak", what the client understands
        self._owes = False  # an answer to the packet that made the program go on
        self.detached = False

    def halted(self, halt: Halt) -> Resume:
        """Answer requests until the program is to go on.

        Raises:
            GoneError: the client has left without a word.
            KilledError
        """
        self._halt, self._thread = halt, 0
        if self._owes:
            self._owes = False
            self._client.send(self._why().encode())
        while True:
            received = self._client.receive(PATIENCE)
            if received is None:
                continue
            if received.kind == "too long":
                self._client.send(MALFORMED.encode())
                continue
            try:
                answer = self._answer(received.payload)
            except PacketError:
                answer = MALFORMED
            if isinstance(answer, Resume):
                self._owes = not self.detached
                return answer
            self._client.send(answer if isinstance(answer, bytes) else answer.encode())

    def print(self, text: str) -> None:
        """Show text in the debugger, which it takes while the program runs only, and hands to its terminal as it is."""
        if self._owes:
            data = spelt_out(text).encode()
            for at in range(0, len(data), LARGEST // 4):
                self._client.send(b"O" + data[at : at + LARGEST // 4].hex().encode())

    def exited(self, code: int) -> None:
        """Tell the client, if it waits, that the program is over."""
        if self._owes:
            self._owes = False
            self._client.send(b"W%02x" % (code & 0xFF))

    # ---- one request

    def _answer(self, payload: bytes) -> str | bytes | Resume:
        text = payload.decode("latin-1")
        for prefix, method in self.REQUESTS.items():
            if text.startswith(prefix):
                rest = text[len(prefix) :]
                if prefix[-1].isalnum() and prefix[0] in "qQv" and rest[:1].isalnum():
                    continue  # a longer name
                return method(self, rest)
        return ""

    def _why(self) -> str:
        """The stop reply, with the program counter and stack pointer, which every client asks for next."""
        program, halt = self._program, self._halt
        current = program.current
        text = f"T{halt.signal:02x}"
        for name in (program.arch.callconv.pc, program.arch.callconv.sp):
            number = program.registers.sources.index(name)
            text += f"{number:02x}:{program.get(number, current)};"
        text += f"thread:{current.id:x};"
        if halt.kind in WATCH_NAMES.values():
            text += f"{halt.kind}:{halt.address:x};"
        elif halt.kind in self._reports:
            text += f"{halt.kind}:;"
        return text

    def _reason(self, _rest: str) -> str:
        return self._why()

    # ---- registers

    def _chosen(self) -> Thread:
        found = self._program.thread(self._thread) if self._thread else None
        return found or self._program.current

    def _read_all(self, _rest: str) -> str:
        return self._program.get_all(self._chosen())

    def _write_all(self, rest: str) -> str:
        thread = self._chosen()
        done = [
            self._program.set(number, value, thread) for number, value in self._program.registers.unpack(hexed(rest))
        ]
        return OK if done and all(done) else NO_ACCESS

    def _read_one(self, rest: str) -> str:
        return self._program.get(self._register(rest), self._chosen())

    def _write_one(self, rest: str) -> str:
        number, _, value = rest.partition("=")
        i = self._register(number)
        data = hexed(value)
        if len(data) * 8 != self._program.registers.all[i].bits:
            raise PacketError
        return OK if self._program.set(i, int.from_bytes(data, "little"), self._chosen()) else NO_ACCESS

    def _register(self, text: str) -> int:
        number = parsed(text)
        if number >= len(self._program.registers.all):
            raise PacketError
        return number

    # ---- memory

    def _read_memory(self, rest: str) -> str:
        address, size = pair(rest)
        data = self._program.read(address, min(size, LARGEST // 2))
        return data.hex() if data or not size else NO_ACCESS

    def _write_memory(self, rest: str) -> str:
        where, _, data = rest.partition(":")
        return self._write_bytes(where, hexed(data))

    def _write_binary(self, rest: str) -> str:
        where, _, data = rest.partition(":")
        return self._write_bytes(where, unescaped(data.encode("latin-1")))

    def _write_bytes(self, where: str, data: bytes) -> str:
        address, size = pair(where)
        if size != len(data):
            raise PacketError
        return OK if self._program.write(address, data) else NO_ACCESS

    # ---- breakpoints and watchpoints

    def _insert(self, rest: str) -> str:
        kind, address, size = point(rest)
        if address + size >> self._program.target.bits:
            return NO_ACCESS
        if kind in WATCHES:
            return OK if self._program.watch(Watch(kind, address, size)) else NO_ROOM
        return OK if self._program.break_at(address, kind) else NO_ROOM

    def _remove(self, rest: str) -> str:
        kind, address, size = point(rest)
        if kind in WATCHES:
            self._program.unwatch(Watch(kind, address, size))
        else:
            self._program.unbreak(address, kind)
        return OK

    # ---- going on

    def _continue(self, rest: str) -> Resume:
        self._go_to(rest)
        return Resume()

    def _step(self, rest: str) -> Resume:
        self._go_to(rest)
        return Resume(step=True)

    def _continue_with(self, rest: str) -> Resume:
        signal, _, where = rest.partition(";")
        self._go_to(where)
        return Resume(signal=parsed(signal) & 0xFF)

    def _step_with(self, rest: str) -> Resume:
        return self._continue_with(rest)._replace(step=True)

    def _go_to(self, where: str) -> None:
        if where:
            self._program.machine.set(self._program.arch.callconv.pc, parsed(where))

    def _vcont(self, rest: str) -> str | Resume:
        """The first action that fits a thread holds for it. All threads run, or none does."""
        if rest == "?":
            return "vCont;c;C;s;S;t;r"
        actions = [self._action(text) for text in rest.removeprefix(";").split(";")]
        current = self._program.current.id
        steps = next((action for action in actions if action.step), Resume())
        own = next((action for action in actions if action.thread in (0, current)), Resume())
        return steps._replace(signal=own.signal)

    def _action(self, text: str) -> Resume:
        what, _, thread = text.partition(":")
        kind, rest = what[:1], what[1:]
        resume = Resume(step=kind in ("s", "S", "r"), thread=self._thread_id(thread) if thread else 0)
        if kind in ("C", "S"):
            return resume._replace(signal=parsed(rest) & 0xFF)
        if kind == "r":
            start, end = pair(rest)
            return resume._replace(inside=(start, end))
        if rest or kind not in ("c", "s", "t"):
            raise PacketError
        return resume

    def _detach(self, _rest: str) -> Resume:
        self.detached = True
        self._client.send(OK.encode())
        return Resume()

    def _kill(self, rest: str) -> str:
        if rest:  # vKill;pid
            self._client.send(OK.encode())
        raise KilledError

    # ---- threads

    def _thread_id(self, text: str) -> int:
        """0 for any and for all. Process numbers, as in ``p1.2``, are not used, but understood."""
        text = text.rpartition(".")[2].removeprefix("p")
        return 0 if text == "-1" else parsed(text)

    def _choose(self, rest: str) -> str:
        number = self._thread_id(rest[1:])
        if number and self._program.thread(number) is None:
            return NO_THREAD
        if rest.startswith("g"):
            self._thread = number
        return OK

    def _is_alive(self, rest: str) -> str:
        return OK if self._program.thread(self._thread_id(rest)) else NO_THREAD

    def _current(self, _rest: str) -> str:
        return f"QC{self._program.current.id:x}"

    def _first_threads(self, _rest: str) -> str:
        return "m" + ",".join(f"{thread.id:x}" for thread in self._program.threads())

    def _more_threads(self, _rest: str) -> str:
        return "l"

    def _thread_name(self, rest: str) -> str:
        thread = self._program.thread(self._thread_id(rest.removeprefix(",")))
        return printable(f"{thread.name}: {thread.state}").encode().hex() if thread else NO_THREAD

    # ---- everything else

    def _features(self, rest: str) -> str:
        for feature in rest.removeprefix(":").split(";"):
            name, sign = feature[:-1], feature[-1:]
            if sign == "+" and name in ("swbreak", "hwbreak"):
                self._reports.add(name)
        return SUPPORTED

    def _no_acks(self, _rest: str) -> str:
        self._client.quiet = True
        return OK

    def _transfer_features(self, rest: str) -> bytes | str:
        annex, _, where = rest.partition(":")
        return part(self._program.registers.description, where) if annex == ANNEX else "E00"

    def _transfer_threads(self, rest: str) -> bytes | str:
        threads = "".join(
            f'<thread id="{t.id:x}" name={quoteattr(printable(t.name))}>{escape(printable(t.state))}</thread>'
            for t in self._program.threads()
        )
        return part(f'<?xml version="1.0"?>\n<threads>{threads}</threads>\n', rest.removeprefix(":"))

    def _command(self, rest: str) -> str:
        """`monitor`: what a person typed, in hex, and so is the answer."""
        try:
            text = hexed(rest).decode()
        except UnicodeDecodeError:
            raise PacketError from None
        return spelt_out(self._monitor(text)).encode().hex() or OK

    def _attached(self, _rest: str) -> str:
        """Yes: a debugger that quits detaches, and the run goes on."""
        return "1"

    def _ok(self, _rest: str) -> str:
        return OK

    REQUESTS: ClassVar[dict[str, Callable[[Stub, str], str | bytes | Resume]]] = {
        "?": _reason,
        "g": _read_all,
        "G": _write_all,
        "p": _read_one,
        "P": _write_one,
        "m": _read_memory,
        "M": _write_memory,
        "X": _write_binary,
        "Z": _insert,
        "z": _remove,
        "c": _continue,
        "s": _step,
        "C": _continue_with,
        "S": _step_with,
        "vCont": _vcont,
        "D": _detach,
        "k": _kill,
        "vKill;": _kill,
        "H": _choose,
        "T": _is_alive,
        "qC": _current,
        "qfThreadInfo": _first_threads,
        "qsThreadInfo": _more_threads,
        "qThreadExtraInfo": _thread_name,
        "qSupported": _features,
        "QStartNoAckMode": _no_acks,
        "qXfer:features:read:": _transfer_features,
        "qXfer:threads:read:": _transfer_threads,
        "qRcmd,": _command,
        "qAttached": _attached,
        "qSymbol": _ok,
    }
    """Beginning of a request -> what answers it, given the rest."""
