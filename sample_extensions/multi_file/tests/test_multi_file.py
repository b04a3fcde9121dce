"""multi_file: C and assembly against the same functions in Python."""

import pytest


def rotate_right(word: int, count: int) -> int:
    return (word >> count | word << (32 - count)) & 0xFFFF_FFFF if count else word


def hash_of(block: bytes) -> int:
    word = 0
    for byte in block:
        word = (word + byte) & 0xFFFF_FFFF
        word = (word + (word << 10)) & 0xFFFF_FFFF
        word ^= rotate_right(word, 6)
    return word


@pytest.fixture
def hashes(llext_extension):
    extension = llext_extension("multi_file.llext")
    # It is written in assembly, of which no debug information tells what it takes.
    extension.prototype("uint32_t rotate_right(uint32_t word, uint32_t count)")
    return extension


@pytest.mark.parametrize("count", [0, 1, 7, 31])
@pytest.mark.parametrize("word", [0, 1, 0x8000_0001, 0xDEAD_BEEF])
def test_rotates(hashes, word, count):
    assert hashes.rotate_right(word, count) == rotate_right(word, count)


@pytest.mark.parametrize("text", ["", "a", "llext", "a longer text with several words"])
def test_hashes_texts(hashes, text):
    assert hashes.hash_text(text) == hash_of(text.encode())
    assert hashes.host.output == f'hash("{text}") = {hash_of(text.encode()):08x}\n'


def test_hashes_bytes(hashes):
    """A function of another file, which is not exported."""
    block = bytes(range(256))
    assert hashes.hash(block, len(block)) == hash_of(block)
