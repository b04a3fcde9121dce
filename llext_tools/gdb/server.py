"""A place on this computer's loopback address where one debugger at a time connects."""

from __future__ import annotations

import select
import socket
from collections import deque

from llext_tools.diag import fail
from llext_tools.files import reason
from llext_tools.gdb.packets import Decoder, Received, frame

HOST = "127.0.0.1"
PATIENCE = 0.25
"""Seconds that a wait lasts before it begins anew: in between, Ctrl-C in a terminal is heard on every system."""
SLOWEST = 20.0
"""Seconds that a client may take to read an answer."""
MOST_WAITING = 64
"""Packets that a client has sent and nobody has looked at; more are dropped."""
CHUNK = 1 << 14


class GoneError(Exception):
    """The client has closed the connection, or broken it off."""


class Client:
    """A connection. Acknowledges packets until ``quiet``, and sends the last answer again when asked to."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SLOWEST)
        self._socket = connection
        self._decoder = Decoder()
        self._waiting: deque[Received] = deque()
        self._interrupt = False
        self._last = b""
        self.quiet = False

    def receive(self, seconds: float) -> Received | None:
        """A packet, or one that is too long; None if none came in time.

        Raises:
            GoneError
        """
        if not self._waiting and select.select([self._socket], [], [], seconds)[0]:
            self._read()
        return self._waiting.popleft() if self._waiting else None

    def interrupted(self) -> bool:
        """Whether the client has asked the running program to stop. Packets wait until it is halted.

        Raises:
            GoneError
        """
        if select.select([self._socket], [], [], 0)[0]:
            self._read()
        found, self._interrupt = self._interrupt, False
        return found

    def send(self, payload: bytes) -> None:
        """Raises:
        GoneError"""
        self._last = frame(payload)
        self._send(self._last)

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            raise GoneError
        for received in self._decoder.feed(data):
            if received.kind == "damaged":
                self._answer(b"-")
            elif received.kind == "again":
                self._send(self._last)
            elif received.kind == "interrupt":
                self._interrupt = True
            elif received.kind != "ack":
                self._answer(b"+")
                if len(self._waiting) < MOST_WAITING:
                    self._waiting.append(received)

    def _answer(self, sign: bytes) -> None:
        if not self.quiet:
            self._send(sign)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            raise GoneError from None


class Server:
    """Listens on ``port`` of the loopback address, a free one if that is 0.

    Raises:
        UsageError: ``usage``: the port cannot be had.
    """

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((HOST, port))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            text = f"llext debug: port {port} of {HOST} cannot be used: {reason(error)}"
            fail("usage", text, help="without `--port`, a free one is taken")
        self.port: int = self._listener.getsockname()[1]
        self.client: Client | None = None

    def accept(self, seconds: float = 0) -> bool:
        """Whether there is a new client. While there is one, others are sent away."""
        if not select.select([self._listener], [], [], seconds)[0]:
            return False
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has gone already
            return False
        if self.client is not None:
            connection.close()
            return False
        self.client = Client(connection)
        return True

    def drop(self) -> None:
        """Close the connection to the client; the next one may come."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def close(self) -> None:
        self.drop()
        self._listener.close()
