"""Gzip undone, in pieces that stay small."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.archives.errors import CutArchive, NotAnArchive, TooLarge
from buildbot.archives.gunzipping import Gunzip
from buildbot.archives.limits import Allowance
from tests.archives.tars import chunks


def gunzip(packed: int = 10**9, unpacked: int = 10**9) -> Gunzip:
    return Gunzip(Allowance(packed, "in"), Allowance(unpacked, "out"))


@given(
    members=st.lists(st.binary(max_size=500), min_size=1, max_size=4),
    padding=st.sampled_from([0, 1, 700]),
    size=st.sampled_from([1, 2, 7, 100, 65536]),
)
def test_members_come_out_as_one_stream(members: list[bytes], padding: int, size: int) -> None:
    stream = gunzip()
    data = b"".join(gzip.compress(member) for member in members) + bytes(padding)
    assert b"".join(piece for chunk in chunks(data, size) for piece in stream.pieces(chunk)) == b"".join(members)
    stream.end()


def test_no_piece_is_larger_than_sixty_four_kibibytes() -> None:
    pieces = [len(piece) for piece in gunzip().pieces(gzip.compress(bytes(10**6)))]
    assert max(pieces) == 64 * 1024
    assert sum(pieces) == 10**6


def test_both_sides_are_counted() -> None:
    data = gzip.compress(bytes(1000))
    assert b"".join(gunzip(len(data), 1000).pieces(data)) == bytes(1000)
    with pytest.raises(TooLarge, match="in, the most"):
        list(gunzip(len(data) - 1, 1000).pieces(data))
    with pytest.raises(TooLarge, match="out, the most"):
        list(gunzip(len(data), 999).pieces(data))


def test_nothing_at_all_is_cut() -> None:
    with pytest.raises(CutArchive, match="before its first byte"):
        gunzip().end()


@pytest.mark.parametrize("length", [1, 2, 9, 10, 15, 20])
def test_a_beginning_is_cut(length: int) -> None:
    stream = gunzip()
    list(stream.pieces(gzip.compress(b"abc")[:length]))
    with pytest.raises(CutArchive):
        stream.end()


def test_one_byte_that_is_not_gzips_is_no_beginning() -> None:
    stream = gunzip()
    list(stream.pieces(b"<"))
    with pytest.raises(NotAnArchive, match="HTML"):
        stream.end()


def test_what_comes_behind_has_to_be_gzip_or_zeros() -> None:
    for behind in (b"\0\0x" + bytes(100), b"\x1fx"):
        with pytest.raises(NotAnArchive, match="after the end"):
            list(gunzip().pieces(gzip.compress(b"a") + behind))
