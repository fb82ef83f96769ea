"""What comes out of an assembly, as other programs read it, and what never does."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildbot.archives.assembly import (
    ArchiveError,
    Assembly,
    CutArchive,
    HostileArchive,
    NotAnArchive,
    TooLarge,
    WrongTopDirectory,
)
from tests.archives import tars
from tests.archives.tars import PLENTY, Thing, directory, file, hard_link, relayed, symlink, tar, tar_gz, unpacked
from tests.archives.trees import names, things

Call = Callable[[], bytes]
TOP = "repo-0123456789abcdef"
TREE = [
    directory("a"),
    file("a/tool", b"#!/bin/sh\n" * 100, 0o755),
    symlink("a/link", "../b"),
    hard_link("h" * 120, "a/tool"),
    file("/".join(["d" * 80] * 3), b"deep"),
    file("b", bytes(70_000)),
]
GNU_TAR = shutil.which("tar")
GIT = shutil.which("git")
needs_tar = pytest.mark.skipif(GNU_TAR is None, reason="needs tar on the PATH")
needs_git = pytest.mark.skipif(GIT is None, reason="needs git on the PATH: without it git's archives are not tried")


def rooted(tree: list[Thing], dialect: tars.Dialect = tars.PAX) -> bytes:
    return tar_gz(directory(TOP), *(thing.below(TOP) for thing in tree), dialect=dialect)


SAMPLE = rooted(TREE)
SMALL = tar(
    tars.pax_header(("comment", "0" * 40), is_global=True),
    directory(TOP),
    file(f"{TOP}/a", b"abc"),
    symlink(f"{TOP}/b", "/etc"),
    file(f"{TOP}/{'c' * 120}", b"def"),
    hard_link(f"{TOP}/d", f"{TOP}/a"),
)


# What other programs find in it


@settings(max_examples=150, deadline=None)
@given(tree=things(), dialect=st.sampled_from(tars.DIALECTS), size=st.integers(1, 5000))
def test_every_tree_comes_out_as_it_went_in_less_its_top_directory(
    tree: list[Thing], dialect: tars.Dialect, size: int
) -> None:
    assert unpacked(relayed(rooted(tree, dialect), size=size, has_top=True)) == tree


@settings(max_examples=50, deadline=None)
@given(tree=things())
def test_a_source_without_a_top_directory_comes_out_whole(tree: list[Thing]) -> None:
    assert unpacked(relayed(tar_gz(*tree), has_top=False)) == tree


@settings(max_examples=50, deadline=None)
@given(tree=things(), into=st.lists(names, min_size=1, max_size=3).map("/".join))
def test_a_submodule_lies_where_it_belongs(tree: list[Thing], into: str) -> None:
    out = unpacked(relayed(rooted(tree), into=into, has_top=True))
    assert {thing.name for thing in out[:2]} == {into}
    assert out[2:] == [thing.below(into) for thing in tree]


@needs_tar
@settings(max_examples=40, deadline=None)
@given(tree=things(), dialect=st.sampled_from(tars.DIALECTS))
def test_gnu_tar_unpacks_what_went_in(tree: list[Thing], dialect: tars.Dialect) -> None:
    with tempfile.TemporaryDirectory() as made:
        into = Path(made)
        extract(relayed(rooted(tree, dialect), has_top=True), into)
        assert set(found(into)) == {thing.name for thing in tree}
        for thing in tree:
            assert_same(into / thing.name, thing, into)


def extract(archive: bytes, into: Path) -> None:
    told = subprocess.run(["tar", "xzpf", "-", "-C", into], input=archive, capture_output=True, check=True)
    assert told.stderr == b""


def found(into: Path) -> Iterator[str]:
    for above, directories, files in os.walk(into):
        yield from (os.path.relpath(Path(above) / name, into) for name in (*directories, *files))


def assert_same(path: Path, thing: Thing, into: Path) -> None:
    seen = path.lstat()
    if thing.type == tarfile.SYMTYPE:
        assert os.readlink(path) == thing.link  # noqa: PTH115
    elif thing.type == tarfile.LNKTYPE:
        assert seen.st_ino == (into / thing.link).lstat().st_ino
    else:
        assert stat.S_ISDIR(seen.st_mode) == (thing.type == tarfile.DIRTYPE)
        assert stat.S_IMODE(seen.st_mode) == thing.mode
        assert int(seen.st_mtime) == thing.mtime
        assert stat.S_ISDIR(seen.st_mode) or path.read_bytes() == thing.content


@needs_git
def test_what_git_archives_comes_out_as_it_was_committed(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    commit = committed(repository)
    archive = git(repository, "archive", "--format=tar.gz", f"--prefix=repository-{commit}/", "HEAD")
    out = unpacked(relayed(archive))
    listed = git(repository, "ls-tree", "-r", "-z", "--name-only", "HEAD").rstrip(b"\0").split(b"\0")
    assert [os.fsencode(thing.name) for thing in out if thing.type != tarfile.DIRTYPE] == listed
    by_name = {thing.name: thing for thing in out}
    assert by_name["run"].mode & 0o111
    assert not by_name["Dockerfile"].mode & 0o111
    assert by_name["Dockerfile"].content == b"FROM busybox\n"
    assert by_name["link"].link == "Dockerfile"
    assert by_name["far"].link == "f" * 150
    assert {thing.mtime for thing in out} == {1_700_000_000}


@needs_git
@needs_tar
def test_what_git_archives_without_a_prefix_has_no_top_directory(tmp_path: Path) -> None:
    repository, into = tmp_path / "repository", tmp_path / "into"
    committed(repository)
    into.mkdir()
    archive = git(repository, "archive", "--format=tar.gz", "HEAD")
    extract(relayed(archive), into)
    extract(relayed(archive, has_top=False), into)
    assert (into / "Dockerfile").read_bytes() == b"FROM busybox\n"
    assert (into / "prüfung" / ("n" * 200)).read_bytes() == b"long\n"
    with pytest.raises(WrongTopDirectory, match="no top directory"):
        relayed(archive, has_top=True)


def git(repository: Path, *arguments: str) -> bytes:
    when = "2023-11-14T22:13:20+00:00"
    settings_of_nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(
        command, cwd=repository, env={**settings_of_nobody, **dates}, check=True, capture_output=True
    ).stdout


def committed(repository: Path) -> str:
    (repository / "prüfung").mkdir(parents=True)
    (repository / "Dockerfile").write_bytes(b"FROM busybox\n")
    (repository / "run").write_bytes(b"#!/bin/sh\n")
    (repository / "run").chmod(0o755)
    (repository / "link").symlink_to("Dockerfile")
    (repository / "far").symlink_to("f" * 150)
    (repository / "prüfung" / ("n" * 200)).write_bytes(b"long\n")
    (repository / os.fsdecode(b"\xff\xfe")).write_bytes(b"not UTF-8\n")
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=all")
    return git(repository, "rev-parse", "HEAD").decode().strip()


def test_sources_and_files_of_our_own_come_out_as_one_archive() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    out = assembly.begin_source() + assembly.feed(rooted([directory("vendor/lib"), file("Dockerfile")]))
    out += assembly.end_source() + assembly.begin_source("vendor/lib")
    out += assembly.feed(tar_gz(file("lib-1/lib.c"), hard_link("lib-1/same.c", "lib-1/lib.c"))) + assembly.end_source()
    out += assembly.add_file(".revision", b"0123\n", mode=0o444, mtime=12) + assembly.finish()
    assert [(thing.name, thing.link) for thing in unpacked(out)] == [
        ("vendor/lib", ""),
        ("Dockerfile", ""),
        ("vendor/lib", ""),
        ("vendor/lib/lib.c", ""),
        ("vendor/lib/same.c", "vendor/lib/lib.c"),
        (".revision", ""),
    ]
    assert unpacked(out)[-1] == Thing(".revision", content=b"0123\n", mode=0o444, mtime=12)


def test_owners_are_always_root_without_a_name() -> None:
    with tarfile.open(fileobj=io.BytesIO(relayed(SAMPLE))) as opened:
        assert {(one.uid, one.gid, one.uname, one.gname) for one in opened} == {(0, 0, "", "")}


@given(size=st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
@example(size=1)
def test_it_is_the_same_archive_however_the_source_comes_in(size: int) -> None:
    assert gzip.decompress(relayed(SAMPLE, size=size)) == gzip.decompress(relayed(SAMPLE))
    assert relayed(SAMPLE, size=size) == relayed(SAMPLE, size=size)


def test_an_empty_repository_makes_an_empty_archive() -> None:
    assert unpacked(relayed(tar_gz(directory(TOP)))) == []
    assert unpacked(relayed(tar_gz(), has_top=False)) == []


def test_the_same_path_twice_is_nobodys_harm() -> None:
    twice = [file("a", b"1"), file("a", b"2"), symlink("b", "x"), symlink("b", "y")]
    assert unpacked(relayed(tar_gz(*twice))) == twice


# What never comes out

HOSTILE = [
    ([file("/etc/passwd")], "absolute"),
    ([file("../x")], r"'\.\.'"),
    ([file("a/../../x")], r"'\.\.'"),
    ([directory("..")], r"'\.\.'"),
    ([hard_link("a", "/etc/passwd")], "absolute"),
    ([hard_link("a", "b/../../x")], r"'\.\.'"),
    ([symlink("a", "/etc"), file("a/passwd")], "through the symlink 'a'"),
    ([symlink("a", "/etc"), file("./a//b/passwd")], "through the symlink 'a'"),
    ([symlink("a/b", "/etc"), directory("a/b/c")], "through the symlink 'a/b'"),
    ([symlink("a", "/etc"), symlink("a/b", "c")], "through the symlink 'a'"),
    ([symlink("a", "/etc"), hard_link("b", "a/passwd")], "through the symlink 'a'"),
    ([symlink("a", "/etc"), hard_link("b", "a"), file("b/passwd")], "through the symlink 'b'"),
    ([symlink("a", "/etc/passwd"), file("a")], "as a symlink first and as a file later"),
    ([symlink("a", "/etc"), directory("a")], "as a symlink first and as a directory later"),
    ([Thing("a", tarfile.CHRTYPE)], "a character device"),
    ([Thing("a", tarfile.BLKTYPE)], "a block device"),
    ([Thing("a", tarfile.FIFOTYPE)], "a named pipe"),
    ([Thing("a", b"s")], "unknown kind 's'"),
    ([Thing("a", b"V")], "unknown kind 'V'"),
    ([Thing("a", tarfile.GNUTYPE_SPARSE)], "a sparse file"),
    ([tars.pax_header(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), file("a")], "a sparse file"),
    ([tars.pax_header(("path", "a\0b")), file("a")], "NUL"),
    ([tars.pax_header(("linkpath", "a\0b")), symlink("a", "c")], "NUL"),
    ([tars.pax_header(("path", "/etc/passwd"), is_global=True), file("a")], "absolute"),
    ([tars.pax_header(("path", "a/../../b")), file("a")], r"'\.\.'"),
]


@pytest.mark.parametrize(("entries", "because"), HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_an_archive_that_could_write_elsewhere_is_refused(entries: list[Thing | bytes], because: str) -> None:
    with pytest.raises(HostileArchive, match=because) as refused:
        relayed(tar_gz(*entries), has_top=False)
    assert "\n" not in str(refused.value)
    assert refused.value.reason in str(refused.value)


def test_a_hard_link_to_the_outside_of_its_top_directory_is_refused() -> None:
    for target in ("elsewhere/x", TOP, "x"):
        with pytest.raises(HostileArchive, match="a hard link to the outside"):
            relayed(tar_gz(directory(TOP), hard_link(f"{TOP}/a", target)))


def test_a_submodule_cannot_be_put_through_a_symlink_or_outside() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    assembly.begin_source()
    assembly.feed(rooted([symlink("vendor", "/etc")]))
    assembly.end_source()
    with pytest.raises(HostileArchive, match="through the symlink 'vendor'"):
        assembly.begin_source("vendor/lib")
    for into in ("../lib", "/lib", "a/../../lib"):
        with pytest.raises(HostileArchive):
            Assembly(largest_bytes=PLENTY).begin_source(into)


def test_a_file_of_our_own_is_not_written_through_a_symlink_of_the_repository() -> None:
    for name in (".revision", ".revision/x"):
        assembly = Assembly(largest_bytes=PLENTY)
        assembly.begin_source()
        assembly.feed(rooted([symlink(".revision", "/etc/passwd")]))
        assembly.end_source()
        with pytest.raises(HostileArchive, match="symlink"):
            assembly.add_file(name, b"0123\n")


# What is no archive, or not all of it


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML or XML page, maybe a login page"),
        (b"\n\n<html>", "an HTML"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"PK\x03\x04", "a zip archive"),
        (b"404: Not Found", "something else"),
        (b"x", "something else"),
        (b"\x1f\x8b\x09garbage and more of it", "begins as gzip does"),
        (gzip.compress(b"<html>" * 1000), "no tar header"),
        (gzip.compress(b"FROM busybox\n" * 100), "no tar header"),
        (SAMPLE + b"<html>", "after the end of its gzip data"),
        (tar_gz(file("a"), tars.pax_header(("path", "b"))), "without the entry"),
        (tar_gz(bytes(512), file("a")), "a block of zeros in the middle"),
        (tar_gz(tars.pax_blocks(b"7 a=b\n"), file("a")), "a pax header in it is damaged"),
        (tar_gz(tars.pax_header(("size", "-1")), file("a")), "no number for a size"),
        (tar_gz(tars.pax_header(("mtime", "now")), file("a")), "no number for a time"),
        (tar_gz(Thing("a", tarfile.DIRTYPE, b"content")), "claims to have content"),
        (tar_gz(symlink("a", "")), "points nowhere"),
        (tar_gz(file("")), "without a name"),
        (tar_gz(hard_link("./", "a")), "a hard link without a name"),
    ],
)
@pytest.mark.parametrize("size", [1, 65536])
def test_what_is_no_archive_is_told_apart(data: bytes, words: str, size: int) -> None:
    with pytest.raises(NotAnArchive, match=words) as refused:
        relayed(data, size=size)
    assert "\n" not in str(refused.value)


def test_an_archive_cut_at_any_length_is_never_finished() -> None:
    for length in range(len(SAMPLE)):
        with pytest.raises(CutArchive, match="cut off"):
            relayed(SAMPLE[:length])


def test_an_archive_whose_forge_died_in_the_middle_is_cut_though_its_gzip_is_whole() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(CutArchive, match="cut off"):
            relayed(gzip.compress(SMALL[:length], 1))


def test_damage_on_the_way_is_found_by_the_checksum() -> None:
    with pytest.raises(CutArchive, match="damaged"):
        relayed(SAMPLE[:-8] + bytes(8))


def test_a_source_of_several_gzip_members_with_padding_is_one_source() -> None:
    whole = tar(*TREE)
    several = b"".join(gzip.compress(part, mtime=0) for part in (whole[:700], b"", whole[700:])) + bytes(1000)
    for size in (1, 700, 65536):
        assert unpacked(relayed(several, size=size, has_top=False)) == TREE


# Fuzz


def told(error: ArchiveError) -> list[Thing]:
    assert "\n" not in str(error)
    return []


def outcome(data: bytes, *, has_top: bool | None) -> list[Thing]:
    """What comes out: nothing for one of our errors, and never anything that is not safe to unpack."""
    try:
        out = unpacked(relayed(data, has_top=has_top))
    except ArchiveError as error:
        return told(error)
    links = {thing.name for thing in out if thing.type == tarfile.SYMTYPE}
    for thing in out:
        for path in (thing.name, thing.link if thing.type == tarfile.LNKTYPE else "a"):
            assert not path.startswith("/")
            assert ".." not in path.split("/")
        assert not links & {str(above) for above in Path(thing.name).parents}
        assert thing.type in {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE}
    return out


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=2000), is_gzip=st.booleans())
def test_random_bytes_meet_only_errors_of_ours(data: bytes, is_gzip: bool) -> None:
    assert outcome(gzip.compress(data) if is_gzip else data, has_top=None) == []


@settings(max_examples=600, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    resealed=st.booleans(),
    has_top=st.sampled_from([True, False, None]),
)
def test_a_mutated_archive_is_refused_or_safe(places: list[tuple[int, int]], resealed: bool, has_top: bool) -> None:
    mutated = bytearray(SMALL)
    for at, byte in places:
        mutated[at] = byte
    blocks = [bytes(mutated[at : at + 512]) for at in range(0, len(mutated), 512)]
    if resealed:
        blocks = [tars.resealed(block) if b"ustar" in block else block for block in blocks]
    outcome(gzip.compress(b"".join(blocks), 1), has_top=has_top)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(SAMPLE) - 1), byte=st.integers(0, 255), size=st.sampled_from([7, 65536]))
def test_a_byte_changed_on_the_way_is_noticed_or_harmless(at: int, byte: int, size: int) -> None:
    changed = SAMPLE[:at] + bytes([byte]) + SAMPLE[at + 1 :]
    with contextlib.suppress(ArchiveError):
        assert unpacked(relayed(changed, size=size)) == TREE


# What it costs


def test_three_hundred_megabytes_stream_through_in_a_few_of_memory() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    assembly.begin_source()
    assert peak_of(lambda: sum(len(assembly.feed(chunk)) for chunk in large(300))) < 3_000_000
    assembly.end_source()
    assembly.finish()


def large(megabytes: int) -> Iterator[bytes]:
    gzipped = zlib.compressobj(1, zlib.DEFLATED, 31)
    content = (random.Random(1).randbytes(2000) + bytes(14_384)) * 64
    made = tarfile.TarInfo(f"{TOP}/large")
    made.size = megabytes * len(content)
    yield gzipped.compress(made.tobuf())
    for _ in range(megabytes):
        yield gzipped.compress(content)
    yield gzipped.compress(tars.THE_END) + gzipped.flush()


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb(beginning: bytes, content: bytes, times: int) -> bytes:
    """Gzip data that is never finished: `beginning`, then `content` so many times, compressed once."""
    gzipped = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = gzipped.compress(beginning) + gzipped.flush(zlib.Z_FULL_FLUSH)
    block = gzipped.compress(content) + gzipped.flush(zlib.Z_FULL_FLUSH)
    return start + block * times


def honest(size: int) -> bytes:
    made = tarfile.TarInfo("zeros")
    made.size = size
    return made.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        bomb(honest(2**30), bytes(2**20), 1024),
        bomb(honest(2**60), bytes(2**20), 1024),
        bomb(b"", bytes(2**20), 1024),
        bomb(b"", honest(0) * 2048, 1024),
        bomb(b"", tars.pax_header(("comment", "a" * 60_000)) * 16, 1024),
    ],
    ids=["as it says", "more than there is", "behind the end", "empty files", "headers of nothing"],
)
def test_a_bomb_meets_the_cap(data: bytes) -> None:
    assembly = Assembly(largest_bytes=5_000_000)
    assembly.begin_source()

    def explode() -> None:
        with pytest.raises(TooLarge, match=r"more than 5,000,000 bytes when unpacked"):
            assembly.feed(data)

    assert peak_of(explode) < 3_000_000


def test_gzip_data_that_unpacks_to_nothing_for_ever_meets_the_cap() -> None:
    empty_block = b"\0\0\0\xff\xff"
    assembly = Assembly(largest_bytes=1_000_000)
    assembly.begin_source()
    assembly.feed(gzip.compress(b"")[:10])
    with pytest.raises(TooLarge, match="1,000,000 bytes as it comes"):
        assembly.feed(empty_block * 300_000)


def test_a_piece_at_a_time_unpacks_no_more_than_a_piece() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    assembly.begin_source()
    noise = random.Random(1).randbytes(2**15)
    longest = max(len(piece) for piece in assembly.pieces(bomb(honest(2**25), noise * 32, 32)))
    assert longest < 2**17


@pytest.mark.parametrize(
    ("things", "words"),
    [
        ([file("n" * 4097)], "a name of more than 4,096 bytes"),
        ([symlink("a", "n" * 4097)], "a name of more than 4,096 bytes"),
        ([file("/".join("n" * 257))], "more than 256 directories deep"),
        ([tars.pax_header(("comment", "a" * 70_000)), file("a")], "more than 65,536 bytes"),
    ],
)
def test_names_and_headers_have_limits(things: list[Thing | bytes], words: str) -> None:
    with pytest.raises(TooLarge, match=words):
        relayed(tar_gz(*things), has_top=False)


def test_a_long_name_of_gnus_kind_has_the_same_limit() -> None:
    with pytest.raises(TooLarge, match="more than 4,097 bytes"):
        relayed(tar_gz(file("n" * 5000), dialect=tars.GNU), has_top=False)


def test_entries_are_counted_over_all_sources() -> None:
    assembly = Assembly(largest_bytes=PLENTY, most_entries=3)
    for _ in range(3):
        assembly.begin_source()
        assembly.feed(rooted([file("a")]))
        assembly.end_source()
    with pytest.raises(TooLarge, match="more than 3 entries"):
        assembly.add_file("b", b"")


def test_bytes_are_counted_over_all_sources_and_files_of_our_own() -> None:
    assembly = Assembly(largest_bytes=5000)
    assembly.begin_source()
    assembly.feed(tar_gz(file("a"), file("b")))
    assembly.end_source()
    with pytest.raises(TooLarge, match="more than 5,000 bytes"):
        assembly.add_file("c", bytes(4000))


# What is called when


def test_a_call_out_of_turn_is_a_mistake_of_the_callers() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    too_early: list[Call] = [assembly.end_source, lambda: assembly.feed(b"")]
    for call in too_early:
        with pytest.raises(RuntimeError, match="in a source, but the archive is between sources"):
            call()
    assembly.begin_source()
    too_late: list[Call] = [assembly.begin_source, assembly.finish, lambda: assembly.add_file("a", b"")]
    for call in too_late:
        with pytest.raises(RuntimeError, match="between sources, but the archive is in a source"):
            call()
    assembly.feed(SAMPLE)
    assembly.end_source()
    assembly.finish()
    with pytest.raises(RuntimeError, match="the archive is finished"):
        assembly.finish()


def test_an_archive_that_was_refused_cannot_be_finished() -> None:
    assembly = Assembly(largest_bytes=PLENTY)
    assembly.begin_source()
    with pytest.raises(HostileArchive):
        assembly.feed(tar_gz(file("/etc/passwd")))
    calls: list[Call] = [lambda: assembly.feed(SAMPLE), assembly.end_source, assembly.finish]
    for call in calls:
        with pytest.raises(RuntimeError, match="the archive is broken"):
            call()
