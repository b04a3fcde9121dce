"""A terminal obeys what it is sent: names in a hostile file, or what an extension prints, may be meant for it."""

from __future__ import annotations

from typing import Any

from llext_tools.diag import spelt_out


class Terminal:
    """Stands for a stream to a terminal: what would be obeyed is spelt out, but for what is harmless."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(text if text.isprintable() else spelt_out(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def bare(stream: Any) -> Any:
    """The stream itself, for whoever moves the cursor and prints nothing that comes from a file."""
    return stream.stream if isinstance(stream, Terminal) else stream
