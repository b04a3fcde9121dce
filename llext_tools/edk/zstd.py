"""A stream that zstd has compressed."""

from __future__ import annotations

from typing import IO

import zstandard


class Zstandard:
    """What comes out of it. A ``ValueError`` says that it is damaged."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)

    def read(self, size: int) -> bytes:
        try:
            return self.reader.read(size)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
