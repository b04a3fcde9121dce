"""A debugger that is none: raw packets of the remote protocol, to a small program on an emulated Cortex-M4."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llext_tools import arch
from llext_tools.gdb.machine import DebugMachine
from llext_tools.gdb.monitor import Command, Monitor
from llext_tools.gdb.program import Thread
from llext_tools.gdb.server import HOST, Server
from llext_tools.gdb.stub import KilledError
from llext_tools.machine.protocol import Stop
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.mem import Perm

if TYPE_CHECKING:
    from typing import Self

SECONDS = 60
"""After that a test fails that hangs."""
CODE, DATA, RETURN = 0x1000, 0x2000_0000, 0x1FFF_0000
LOOP, END = CODE + 4, CODE + 8
# movs r0, #1; adds r0, #1; 1: cmp r3, #0; beq 1b; bx lr
PROGRAM = bytes.fromhex("0120 0130 002b fdd0 7047")
R3, LR, PC = 3, 14, 15


class Running:
    """The program in a thread of its own. It loops until r3 is not 0, and ends with a ``trap``."""

    def __init__(self, threads: Sequence[Thread] = (Thread(1, "main"),), *, wait: bool = True) -> None:
        cpu = arch.target("cortex-m4")
        self.server = Server()
        monitor = Monitor({"output": Command("what was printed", lambda: "printed\n")})
        inner = UnicornMachine(cpu.emulator)
        self.machine = DebugMachine(inner, arch.load("arm"), cpu, self.server, monitor, wait=wait)
        self.machine.program.threads = lambda: threads
        self.machine.map(CODE, 0x1000, Perm.R | Perm.X)
        self.machine.map(DATA, 0x1000, Perm.R | Perm.W)
        self.machine.trap(RETURN, 0x1000)
        self.machine.write(CODE, PROGRAM)
        self.machine.set("lr", RETURN | 1)
        self._clients: list[Client] = []
        self.ended: Stop | Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ended = self.machine.run(CODE | 1, math.inf)
        except (KilledError, OSError, ValueError) as error:  # the last two: close() has come before the end
            self.ended = error

    def end(self) -> Stop | Exception | None:
        """What the host gets in the end."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the program is still halted, or runs"
        return self.ended

    def connect(self, *, quiet: bool = True) -> Client:
        self._clients.append(Client(self.server, quiet=quiet))
        return self._clients[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for client in self._clients:
            client.socket.close()
        self.server.close()
        self._thread.join(SECONDS)
        self.machine.close()


class Client:
    """Sends and receives, without any knowledge of what it means."""

    def __init__(self, server: Server, *, quiet: bool = True) -> None:
        self.socket = socket.create_connection((HOST, server.port), SECONDS)
        self._buffer = b""
        if quiet:
            assert self.ask("QStartNoAckMode") == "OK"

    def send(self, payload: str | bytes) -> None:
        data = payload if isinstance(payload, bytes) else payload.encode("latin-1")
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))

    def byte(self) -> bytes:
        """The next byte, b"" if the connection is closed."""
        if not self._buffer:
            self._buffer = self.socket.recv(4096)
        first, self._buffer = self._buffer[:1], self._buffer[1:]
        return first

    def answer(self) -> str:
        """The payload of the next packet; signs in front of it are passed over."""
        while (byte := self.byte()) != b"$":
            assert byte in (b"+", b"-"), byte
        data = b""
        while (byte := self.byte()) != b"#":
            assert byte, "the connection is closed"
            data += byte
        assert int(self.byte() + self.byte(), 16) == sum(data) % 256
        return data.decode("latin-1")

    def ask(self, payload: str | bytes) -> str:
        self.send(payload)
        return self.answer()

    def interrupt(self) -> None:
        self.socket.sendall(b"\x03")

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")
