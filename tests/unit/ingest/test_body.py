"""Bodies in pieces: lines however they are cut, gzip however it expands."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.body import PIECE_BYTES, BadEncoding, Gunzip, Lines


@given(
    st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=20),
    st.lists(st.integers(1, 9), min_size=1),
    st.booleans(),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    stream = b"\n".join(lines) + (b"\n" if ended else b"")
    splitter, found, position = Lines(8), list[bytes | None](), 0
    while position < len(stream):
        size = cuts[position % len(cuts)]
        found += splitter.feed(stream[position : position + size])
        position += size
    found += splitter.end()
    whole = stream.split(b"\n")
    if not whole[-1]:
        whole.pop()
    assert found == [None if len(line) > 9 else line.strip(b" \t\r") for line in whole]


def test_a_line_that_never_ends_is_not_kept() -> None:
    splitter = Lines(1_000)
    for _ in range(1_000):
        assert list(splitter.feed(b"x" * 1_000)) == []
    assert list(splitter.feed(b"\nnext\n")) == [None, b"next"]
    assert list(splitter.end()) == []


@given(st.binary(max_size=5_000), st.integers(1, 700))
def test_gzip_is_the_same_however_it_is_cut(data: bytes, size: int) -> None:
    packed = gzip.compress(data) + gzip.compress(data[::-1])
    decoder = Gunzip()
    found = b"".join(piece for first in range(0, len(packed), size) for piece in decoder.feed(packed[first : first + size]))
    decoder.end()
    assert found == data + data[::-1]


def test_a_bomb_comes_in_pieces_of_bounded_size() -> None:
    sizes = [len(piece) for piece in Gunzip().feed(gzip.compress(bytes(20_000_000)))]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize("body", [b"plain", b"\x1f\x8b\x08junk", gzip.compress(b"x" * 100)[:-1], gzip.compress(b"x") + b"trailing", b""])
def test_what_is_no_gzip(body: bytes) -> None:
    def decode() -> None:
        decoder = Gunzip()
        list(decoder.feed(body))
        decoder.end()

    with pytest.raises(BadEncoding):
        decode()
