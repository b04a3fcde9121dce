"""Packets of GDB's remote protocol as bytes.  Source: the GDB manual, "Remote Serial Protocol", "Overview".

``$payload#cc``, where cc is the sum of the payload's bytes modulo 256 in hex. The receiver answers ``+``, or ``-`` to
have it again, until ``QStartNoAckMode`` has switched that off. ``0x03`` outside of a packet asks a running program to
stop. In a payload ``}`` announces that the next byte is changed by 0x20: ``#``, ``$``, ``}``, and ``*`` in answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

LARGEST = 0x4000
"""Bytes of a payload that a client may send; it is told by ``qSupported``."""
ESCAPE, FLIP = 0x7D, 0x20
SPECIAL = frozenset(b"#$}*")

Kind = Literal["packet", "damaged", "too long", "interrupt", "ack", "again"]
SINGLE: dict[int, Kind] = {0x03: "interrupt", ord("+"): "ack", ord("-"): "again"}


class Received(NamedTuple):
    """One thing that a client has sent. ``payload`` is that of a packet, as it came: still with escapes."""

    kind: Kind
    payload: bytes = b""


class Decoder:
    """A stream of bytes as packets. It holds no more than one packet of ``LARGEST`` bytes."""

    def __init__(self) -> None:
        self._payload = bytearray()
        self._state: Literal["outside", "inside", "first digit", "second digit"] = "outside"
        self._sum = 0
        self._length = 0
        self._digit = b""

    def feed(self, data: bytes) -> Iterator[Received]:
        """What these bytes complete. Bytes between packets that mean nothing are passed over."""
        for byte in data:
            if self._state == "outside":
                if byte == ord("$"):
                    self._begin()
                elif byte in SINGLE:
                    yield Received(SINGLE[byte])
            elif self._state == "inside":
                if byte == ord("#"):
                    self._state = "first digit"
                elif byte == ord("$"):  # the client has given up the packet before
                    self._begin()
                else:
                    self._add(byte)
            elif self._state == "first digit":
                self._digit, self._state = bytes((byte,)), "second digit"
            else:
                self._state = "outside"
                yield self._end(self._digit + bytes((byte,)))

    def _begin(self) -> None:
        self._state = "inside"
        self._payload.clear()
        self._sum = self._length = 0

    def _add(self, byte: int) -> None:
        self._sum += byte
        self._length += 1
        if self._length <= LARGEST:
            self._payload.append(byte)

    def _end(self, digits: bytes) -> Received:
        if digits.lower() != b"%02x" % (self._sum & 0xFF):
            return Received("damaged")
        if self._length > LARGEST:
            return Received("too long")
        return Received("packet", bytes(self._payload))


def frame(payload: bytes) -> bytes:
    """A packet around a payload, which has its escapes already."""
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)


def escaped(data: bytes) -> bytes:
    """Any bytes as a part of a payload that the client reads."""
    if not SPECIAL.intersection(data):
        return data
    out = bytearray()
    for byte in data:
        out += bytes((ESCAPE, byte ^ FLIP)) if byte in SPECIAL else bytes((byte,))
    return bytes(out)


def unescaped(data: bytes) -> bytes:
    """The bytes that a part of a payload stands for; an escape at its end stands for nothing."""
    out, rest = bytearray(), iter(data)
    for byte in rest:
        if byte == ESCAPE:
            out += bytes(b ^ FLIP for b in (next(rest, None),) if b is not None)
        else:
            out.append(byte)
    return bytes(out)
