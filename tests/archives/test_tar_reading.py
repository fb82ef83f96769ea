"""Every dialect of tar header, read as the program that wrote it meant it."""

from __future__ import annotations

import tarfile
from decimal import Decimal

import pytest

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import CutArchive, HostileArchive, NotAnArchive, TooLarge
from buildbot.archives.tar_reading import TarReader, read_header
from tests.archives import tars
from tests.archives.tars import THE_END, file, packed, resealed, symlink, tar


def entries(*blocks: bytes) -> list[Entry]:
    reader = TarReader()
    found = [part for part in reader.feed(b"".join(blocks) + THE_END) if isinstance(part, Entry)]
    reader.end()
    return found


def one(*blocks: bytes) -> Entry:
    (entry,) = entries(*blocks)
    return entry


def changed(start: int, field: bytes, block: bytes | None = None) -> bytes:
    """A header with a field of it replaced."""
    base = packed(file("name", b"")) if block is None else block
    return resealed(base[:start] + field + base[start + len(field) :])


@pytest.mark.parametrize(
    ("field", "size"),
    [
        (b"00000000017\0", 15),
        (b"        17 \0", 15),
        (b"77777777777\0", 8**11 - 1),
        (b"777777777777", 8**12 - 1),
        (bytes(12), 0),
        (b"\x80" + (8**11).to_bytes(11, "big"), 8**11),
        (b"\x80" + (2**70).to_bytes(11, "big"), 2**70),
    ],
)
def test_a_size_is_read_in_octal_and_in_base_256(field: bytes, size: int) -> None:
    assert read_header(changed(124, field)).size == size


@pytest.mark.parametrize(
    "field", [b"0000000001x\0", b"0x000000001\0", b"-0000000001\0", b"00000000008\0", b"1 1        \0"]
)
def test_a_number_that_is_none_is_no_header(field: bytes) -> None:
    with pytest.raises(NotAnArchive):
        read_header(changed(124, field))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(NotAnArchive, match="negative size"):
        read_header(changed(124, b"\xff" * 12))


@pytest.mark.parametrize(
    ("field", "mtime"), [(b"\xff" * 12, -1), (b"\xff" * 11 + b"\0", -256), (b"\x80" + b"\0" * 10 + b"\7", 7)]
)
def test_a_time_before_1970_is_read(field: bytes, mtime: int) -> None:
    assert one(changed(136, field)).mtime == mtime


@pytest.mark.parametrize(
    "said", ["1700000000.123456789", "-1.5", "-12", "0", "5.", "99999999999999999999.99999999999999999999"]
)
def test_a_time_in_a_pax_header_is_exact(said: str) -> None:
    assert one(tars.pax_header(("mtime", said)), packed(file("a", b""))).mtime == Decimal(said)


def test_the_prefix_counts_in_ustar_only() -> None:
    prefixed = changed(345, b"above", packed(file("a", b""), tars.PAX))
    assert one(prefixed).name == b"above/a"
    gnu = changed(345, b"12345670000\0", packed(file("a", b""), tars.GNU))
    assert one(gnu).name == b"a"


def test_a_header_of_version_seven_is_read() -> None:
    block = changed(257, bytes(255))
    assert one(changed(156, b"\0", block)) == Entry(b"name", Kind.FILE, 0o644, 0, Decimal(1_700_000_000))
    assert one(changed(0, b"dir/\0", changed(156, b"\0", block))).kind is Kind.DIRECTORY


def test_a_checksum_of_signed_characters_is_taken() -> None:
    block = changed(0, b"\xff\xfe")
    signed = sum(block[:148] + b" " * 8 + block[156:]) - 512
    assert one(block[:148] + b"%06o\0 " % signed + block[156:]).name == b"\xff\xfeme"


def test_a_wrong_checksum_is_no_header() -> None:
    block = packed(file("a", b""))
    with pytest.raises(NotAnArchive, match="no tar header"):
        read_header(b"b" + block[1:])


def test_a_name_without_room_for_its_nul_is_whole() -> None:
    assert one(changed(0, b"n" * 100)).name == b"n" * 100


@pytest.mark.parametrize("dialect", tars.DIALECTS)
def test_long_names_and_long_targets_are_read_in_both_dialects(dialect: tars.Dialect) -> None:
    entry = one(packed(symlink("n" * 300, "t" * 300), dialect))
    assert (entry.name, entry.link_name) == (b"n" * 300, b"t" * 300)


def test_pax_has_the_last_word_over_gnu_and_both_over_the_header() -> None:
    gnu = packed(file("n" * 300, b""), tars.GNU)
    for blocks in ((tars.pax_header(("path", "pax")), gnu), (gnu[:1024], tars.pax_header(("path", "pax")), gnu[1024:])):
        assert one(*blocks).name == b"pax"
    assert one(gnu).name == b"n" * 300


def test_a_global_header_holds_until_it_is_taken_back_and_an_own_one_goes_first() -> None:
    common = tars.pax_header(("mtime", "5"), ("comment", "0" * 40), is_global=True)
    own = tars.pax_header(("mtime", "6"))
    cancelled = tars.pax_header(("mtime", ""))
    back = tars.pax_header(("mtime", ""), is_global=True)
    plain = packed(file("a", b""))
    found = entries(common, plain, own, plain, plain, cancelled, plain, plain, back, plain)
    assert [int(entry.mtime) for entry in found] == [5, 6, 5, 1_700_000_000, 5, 1_700_000_000]


def test_a_size_in_a_pax_header_is_the_one_that_counts() -> None:
    content = packed(file("a", b"x" * 600))
    zero = changed(124, b"00000000000\0", content)
    found = entries(tars.pax_header(("size", "600")), zero, packed(file("b", b"")))
    assert [(entry.name, entry.size) for entry in found] == [(b"a", 600), (b"b", 0)]


def test_content_comes_in_pieces_without_its_padding() -> None:
    data = tar(file("a", b"12345"), file("b", b""), file("c", b"67890" * 300))
    for size in (1, 3, 511, 512, 513, 100_000):
        reader = TarReader()
        parts = [bytes(p) for chunk in tars.chunks(data, size) for p in reader.feed(chunk) if not isinstance(p, Entry)]
        reader.end()
        assert b"".join(parts) == b"12345" + b"67890" * 300


def test_what_is_behind_the_end_is_ignored() -> None:
    reader = TarReader()
    assert list(reader.feed(THE_END + b"anything" * 1000)) == []
    reader.end()


def test_where_it_was_cut_is_told() -> None:
    reader = TarReader()
    list(reader.feed(packed(file("src/main.c", b"x" * 2000))[:900]))
    with pytest.raises(CutArchive, match=r"it stops after 'src/main\.c' without an end"):
        reader.end()


@pytest.mark.parametrize("flag", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_an_extended_header_is_never_gathered_beyond_its_limit(flag: bytes) -> None:
    block = changed(156, flag, changed(124, b"77777777777\0"))
    with pytest.raises(TooLarge, match="an extended header"):
        list(TarReader().feed(block))


def test_a_mode_keeps_its_permissions_and_nothing_else() -> None:
    assert one(changed(100, b"0104755\0")).mode == 0o4755


def test_an_unknown_kind_is_refused_by_its_name() -> None:
    with pytest.raises(HostileArchive, match=r"'name' is an entry of the unknown kind '.udcff'"):
        one(changed(156, b"\xff"))
