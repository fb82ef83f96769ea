"""Pax records, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.archives.errors import ArchiveError, HostileArchive, NotAnArchive
from buildbot.archives.pax import KEPT, read_records, written_records


@given(st.dictionaries(st.sampled_from(sorted(KEPT)), st.binary(max_size=1200)))
def test_what_is_written_is_read_again(records: dict[bytes, bytes]) -> None:
    assert read_records(written_records(records)) == records


@pytest.mark.parametrize("length", [1, 2, 3, 88, 89, 90, 91, 986, 987, 988, 9983])
def test_a_record_counts_its_own_digits(length: int) -> None:
    written = written_records({b"path": b"x" * length})
    assert int(written.split(b" ")[0]) == len(written)


def test_a_value_may_have_anything_in_it() -> None:
    assert read_records(b"16 path=a\n=\xff b\0\n") == {b"path": b"a\n=\xff b\0"}


def test_records_that_a_source_tree_is_not_made_of_are_left_out() -> None:
    others = {b"comment": b"0" * 40, b"uid": b"5", b"SCHILY.xattr.user.x": b"y", b"mtime": b"7"}
    assert read_records(written_records(others)) == {b"mtime": b"7"}


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"6 a=b",
        b"6 a=b\nx",
        b"7 a=b\n",
        b"5 a=b\n",
        b"0 a=b\n",
        b"2 a=b\n",
        b"-6 a=b\n",
        b"6 abc\n",
        b"6 =bc\n",
        b"99999999999 a=b\n",
        b"9" * 5000,
        b"\0" * 512,
    ],
)
def test_a_damaged_body_is_refused(body: bytes) -> None:
    with pytest.raises(NotAnArchive, match="pax header in it is damaged"):
        read_records(body)


@pytest.mark.parametrize("key", [b"GNU.sparse.map", b"GNU.sparse.name", b"SCHILY.realsize"])
def test_a_sparse_file_is_refused(key: bytes) -> None:
    with pytest.raises(HostileArchive, match="sparse"):
        read_records(written_records({key: b"1"}))


@given(st.binary(max_size=200) | st.from_regex(rb"\d{1,3} [a-z]*=?[a-z]*\n?"))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        found = read_records(body)
    except ArchiveError:
        return
    assert set(found) <= KEPT
