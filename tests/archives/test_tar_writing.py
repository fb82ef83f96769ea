"""Headers as they are written, judged by Python's tarfile and by the reader they have to agree with."""

from __future__ import annotations

import io
import tarfile
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.tar_reading import TarReader
from buildbot.archives.tar_writing import end_of_archive, header, padding

segments = st.binary(min_size=1, max_size=120).filter(lambda raw: not {0, 47} & set(raw))
paths = st.lists(segments, min_size=1, max_size=6).map(b"/".join)
times = st.one_of(st.integers(-(10**12), 10**12).map(Decimal), st.decimals(-(10**9), 10**11, places=9))
ENTRIES = st.builds(
    Entry,
    name=paths,
    kind=st.sampled_from([Kind.FILE, Kind.SYMLINK, Kind.HARD_LINK]),
    mode=st.integers(0, 0o7777),
    mtime=times,
    link_name=paths,
)


@given(ENTRIES)
def test_what_is_written_is_read_again(entry: Entry) -> None:
    assert list(TarReader().feed(header(entry))) == [entry]


@given(ENTRIES)
def test_pythons_tarfile_reads_the_same(entry: Entry) -> None:
    (member,) = tarfile.open(fileobj=io.BytesIO(header(entry) + end_of_archive(0)))  # noqa: SIM115
    assert member.name.encode("utf-8", "surrogateescape") == entry.name
    assert member.linkname.encode("utf-8", "surrogateescape") == entry.link_name
    assert member.mode == entry.mode
    assert member.mtime == pytest.approx(float(entry.mtime))


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 2**40])
def test_a_size_of_any_size_is_written(size: int) -> None:
    blocks = header(Entry(b"a", Kind.FILE, 0o644, size))
    (entry,) = TarReader().feed(blocks)
    assert isinstance(entry, Entry)
    assert entry.size == size
    assert tarfile.TarFile(fileobj=io.BytesIO(blocks)).next().size == size  # type: ignore[union-attr]
    assert (len(blocks) > 512) == (size >= 8**11)


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        (b"n" * 100, True),
        (b"n" * 101, False),
        (b"p" * 155 + b"/" + b"n" * 100, True),
        (b"p" * 156 + b"/" + b"n" * 100, False),
        (b"p" * 155 + b"/" + b"n" * 101, False),
        (b"p" * 10 + b"/" + b"q" * 90 + b"/" + b"n" * 100, True),
        (b"\xff" * 100, True),
    ],
)
def test_a_pax_header_is_written_only_where_ustar_has_no_room(name: bytes, is_plain: bool) -> None:
    assert (len(header(Entry(name, Kind.FILE, 0o644))) == 512) == is_plain


@pytest.mark.parametrize("length", [99, 100, 155, 156, 254, 255, 256])
def test_a_directory_keeps_its_slash_and_its_name(length: int) -> None:
    entry = Entry(b"d" * (length - 50) + b"/" + b"e" * 49, Kind.DIRECTORY, 0o755)
    (read,) = TarReader().feed(header(entry))
    assert isinstance(read, Entry)
    assert (read.name, read.kind) == (entry.name + b"/", Kind.DIRECTORY)


@given(st.integers(0, 10**6))
def test_everything_is_a_whole_number_of_blocks_and_records(size: int) -> None:
    whole = size + len(padding(size))
    assert whole % 512 == 0
    assert (whole + len(end_of_archive(whole))) % 10240 == 0
    assert len(end_of_archive(whole)) >= 1024
