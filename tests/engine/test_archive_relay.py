"""The relay on a real store and a real adapter: who may open what, what comes through, how every trouble ends."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from buildbot.domain.build import BuildId, BuildPhase
from buildbot.engine.archive_relay import PIECE_BYTES, ArchiveRelay, ArchiveTrouble, NoSuchArchive, RelayLimits
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current, Setup
from buildbot.ports import StoreUnavailable
from buildbot.store.sql_store import SqlStore
from tests.archives.tars import Thing, file, symlink, tar_gz, unpacked
from tests.engine.relaying import (
    FORGE_TOKEN,
    PUBLIC_URL,
    REQUEST,
    SOUND,
    Bytes,
    Relaying,
    answering,
    begun,
    large_archive,
    relaying,
    sending,
)
from tests.store.world import sha

pytestmark = pytest.mark.anyio
AT_ONCE = timedelta(0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Relaying]:
    async with relaying(tmp_path) as made:
        yield made


def names(archive: bytes) -> list[str]:
    return [thing.name for thing in unpacked(archive)]


# Who may open what


@pytest.mark.parametrize("phase", [BuildPhase.REQUESTING, BuildPhase.WAITING, BuildPhase.BUILDING])
async def test_an_address_opens_its_build_again_and_again_until_that_has_ended(
    world: Relaying, phase: BuildPhase
) -> None:
    build = await world.build(phase)
    for _ in range(3):
        assert names(await world.read(build)) == ["Dockerfile", "src/größe"]
    assert {request.url.path.rpartition("/")[2] for request in world.asked} == {sha("a")}


@pytest.mark.parametrize("phase", [BuildPhase.PLANNED, *(phase for phase in BuildPhase if phase.is_final)])
async def test_before_and_after_its_time_it_opens_nothing(world: Relaying, phase: BuildPhase) -> None:
    build = await world.build(phase)
    with pytest.raises(NoSuchArchive):
        await world.relay.open(await world.token(build))
    assert world.asked == []


async def test_a_build_that_ends_takes_its_address_with_it(world: Relaying) -> None:
    build = await world.build()
    await world.read(build)
    await world.move(build, BuildPhase.SUCCEEDED)
    with pytest.raises(NoSuchArchive):
        await world.read(build)


async def test_a_build_whose_source_does_not_go_through_the_bot_has_no_archive(world: Relaying) -> None:
    build = await world.build(request=replace(REQUEST, is_relayed=False, archive_url="https://forge.test/x.tar.gz"))
    with pytest.raises(NoSuchArchive):
        await world.relay.open(await world.token(build))


FORGERIES: tuple[Callable[[str, str], str], ...] = (
    lambda mine, _: mine[:-1],
    lambda mine, _: mine + "A",
    lambda mine, _: mine.partition(".")[0],
    lambda mine, _: mine.partition(".")[0] + ".",
    lambda mine, other: mine.partition(".")[0] + "." + other.partition(".")[2],
    lambda mine, _: mine.swapcase(),
    lambda mine, _: mine + "=",
    lambda mine, _: f" {mine}",
    lambda mine, _: mine.replace(".", ".."),
    lambda *_: "",
    lambda *_: ".",
    lambda *_: "größe.\udcff\0",
    lambda *_: "a" * 100_000 + ".x",
)


async def test_nothing_else_opens_it(world: Relaying) -> None:
    mine, other = [await world.token(await world.build()) for _ in range(2)]
    for forged in FORGERIES:
        with pytest.raises(NoSuchArchive):
            await world.relay.open(forged(mine, other))
    assert world.asked == []


async def test_a_good_signature_of_a_build_that_is_not_there_opens_nothing(world: Relaying) -> None:
    build = await world.build()
    with pytest.raises(NoSuchArchive):
        await world.relay.open(await world.token(replace(build, id=BuildId("f" * 32))))


async def test_the_key_is_the_same_after_a_restart_and_for_every_instance(world: Relaying, tmp_path: Path) -> None:
    build = await world.build()
    with SqlStore(f"sqlite:///{tmp_path}/buildbot.db") as store:
        another = ArchiveRelay(store, Current(Setup(public_url=PUBLIC_URL)), Clock())
        assert await another.url_of(build) == await world.relay.url_of(build)
    with SqlStore(f"sqlite:///{tmp_path}/elsewhere.db") as store:
        stranger = ArchiveRelay(store, Current(Setup(public_url=PUBLIC_URL)), Clock())
        assert await stranger.url_of(build) != await world.relay.url_of(build)


async def test_without_a_public_address_there_is_none(world: Relaying) -> None:
    assert await ArchiveRelay(world.store, Current(Setup()), Clock()).url_of(await world.build()) is None


async def test_a_store_that_is_away_is_said_to_be(world: Relaying) -> None:
    token = await world.token(await world.build())
    world.store.close()
    for relay in (world.relay, world.relay_with()):
        with pytest.raises(StoreUnavailable):
            await relay.open(token)


# What comes through


async def test_the_revision_file_holds_the_commit_and_takes_the_place_of_one_that_is_there(world: Relaying) -> None:
    world.answer = answering(tar_gz(file("api-1/.revision", b"old")))
    things = unpacked(await world.read(await world.build(request=replace(REQUEST, revision_file=".revision"))))
    assert [(thing.name, thing.content) for thing in things] == [
        (".revision", b"old"),
        (".revision", f"{sha('a')}\n".encode()),
    ]


async def test_the_forge_is_shown_the_bots_credential_and_a_host_it_redirects_to_is_not(world: Relaying) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "forge.test":
            return httpx.Response(302, headers={"Location": "https://packs.test/api?token=x"})
        return answering()(request)

    world.answer = answer
    assert names(await world.read(await world.build())) == ["Dockerfile", "src/größe"]
    assert [FORGE_TOKEN in request.headers.get("authorization", "") for request in world.asked] == [True, False]


async def test_a_large_archive_takes_no_more_memory_than_a_piece_of_it(world: Relaying) -> None:
    world.answer = lambda _: httpx.Response(200, stream=Bytes(large_archive(24)))
    archive = await world.relay.open(await world.token(await world.build()))
    tracemalloc.start()
    try:
        sizes = [len(piece) async for piece in archive]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await archive.aclose()
    assert sum(sizes) > 24 * 1024**2
    assert max(sizes) < 4 * PIECE_BYTES
    assert peak < 6 * 1024**2


# Trouble


def _loop(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"Location": "https://forge.test/round"})


def _unreachable(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no way")


def packing(*things: Thing) -> Callable[[httpx.Request], httpx.Response]:
    return answering(tar_gz(*things))


TROUBLES = {
    "no such commit": (answering(b'{"message": "Not Found"}', 404, "application/json"), "Not Found"),
    "a 404 of the packing host": (answering(b"404: Not Found", 404, "text/plain"), "404"),
    "a fault of the forge's": (answering(b"<html>", 500, "text/html"), "500"),
    "a page to log in": (answering(b"<html>", 200, "text/html; charset=utf-8"), "a page to log in?"),
    "a page that says it is an archive": (answering(b"<!DOCTYPE html>", 200, "application/gzip"), "not a tar.gz"),
    "a refused credential": (answering(b'{"message": "Bad credentials"}', 401, "application/json"), "credential"),
    "a loop of redirects": (_loop, "redirects more than"),
    "no connection": (_unreachable, "cannot reach forge.test"),
    "nothing": (answering(b"", 200, "application/gzip"), "cut off before its first byte"),
    "an archive that is cut": (answering(SOUND[:-20], 200, "application/gzip"), "cut off"),
    "a connection that breaks": (sending(SOUND[:40], httpx.ReadError("reset"))[1], "broke"),
    "a path that leads out": (packing(file("api-1/../../etc/passwd")), "refused"),
    "a path below a link": (packing(symlink("api-1/a", "/etc"), file("api-1/a/passwd")), "through the symlink"),
    "a device": (packing(Thing("api-1/null", b"3")), "character device"),
}


@pytest.mark.parametrize(("answer", "why"), TROUBLES.values(), ids=TROUBLES)
async def test_trouble_with_the_source_is_told_and_noted_on_the_builds_page(
    world: Relaying, answer: Callable[[httpx.Request], httpx.Response], why: str
) -> None:
    build, other, sound = await world.build(), await world.build(), world.answer
    world.answer = answer
    with pytest.raises(ArchiveTrouble, match=why):
        await world.read(build)
    (note,) = await world.notes(build)
    assert note.startswith("the source archive was not passed on: ")
    assert why in note
    assert "\n" not in note
    world.answer = sound
    assert names(await world.read(other)) == ["Dockerfile", "src/größe"]
    assert await world.notes(other) == []


async def test_what_is_larger_than_allowed_ends_where_the_limit_is(world: Relaying) -> None:
    world.answer = lambda _: httpx.Response(200, stream=Bytes(large_archive(4)))
    relay, build = world.relay_with(RelayLimits(largest_bytes=1024**2)), await world.build()
    with pytest.raises(ArchiveTrouble, match="more than 1,048,576 bytes"):
        await world.read(build, relay)
    assert "too large" in (await world.notes(build))[0]


async def test_trouble_in_the_middle_ends_the_pieces(world: Relaying) -> None:
    body, world.answer = sending(begun(), httpx.ReadError("reset"))
    build = await world.build()
    archive = await world.relay.open(await world.token(build))
    with pytest.raises(ArchiveTrouble, match="broke"):
        [piece async for piece in archive]
    assert body.closed.is_set()
    assert len(await world.notes(build)) == 1


async def test_a_revision_file_that_would_go_through_a_link_is_refused(world: Relaying) -> None:
    world.answer = packing(symlink("api-1/etc", "/etc"))
    build = await world.build(request=replace(REQUEST, revision_file="etc/revision"))
    with pytest.raises(ArchiveTrouble, match="through the symlink"):
        await world.read(build)


async def test_a_forge_that_is_no_longer_configured_is_trouble_that_the_page_tells(world: Relaying) -> None:
    build = await world.build()
    relay = ArchiveRelay(world.store, Current(Setup(public_url=PUBLIC_URL)), Clock())
    with pytest.raises(ArchiveTrouble, match="no longer configured"):
        await world.read(build, relay)
    assert await world.notes(build) == [
        "the source archive was not passed on: the forge github is no longer configured"
    ]


async def test_a_source_that_drips_is_given_up_after_a_while(world: Relaying) -> None:
    ticks = iter(range(0, 100_000, 1800))
    relay = world.relay_with(clock=Clock(monotonic=lambda: float(next(ticks))))
    body, world.answer = sending(*(bytes([byte]) for byte in SOUND))
    with pytest.raises(ArchiveTrouble, match="longer than 1:00:00"):
        await world.read(await world.build(), relay)
    assert body.closed.is_set()


async def test_a_note_that_cannot_be_written_does_not_hide_the_trouble(world: Relaying) -> None:
    body, world.answer = sending(begun(), httpx.ReadError("reset"))
    archive = await world.relay.open(await world.token(await world.build()))
    world.store.close()
    with pytest.raises(ArchiveTrouble, match="broke"):
        [piece async for piece in archive]
    assert body.closed.is_set()


# Several at once, and those who go away


async def test_so_many_are_passed_on_at_once_and_one_more_when_one_has_ended(world: Relaying) -> None:
    relay = world.relay_with(RelayLimits(room=AT_ONCE))
    builds = [await world.build() for _ in range(RelayLimits().most_at_once + 1)]
    _, world.answer = sending(begun(), asyncio.Event())
    opened = await asyncio.gather(*[relay.open(await world.token(build)) for build in builds[:-1]])
    with pytest.raises(ArchiveTrouble, match="16 others are being passed on"):
        await relay.open(await world.token(builds[-1]))
    await opened[0].aclose()
    opened.append(await relay.open(await world.token(builds[-1])))
    for archive in opened:
        await archive.aclose()


async def test_who_waits_for_room_gets_it_when_there_is_some(world: Relaying) -> None:
    relay = world.relay_with(RelayLimits(most_at_once=1))
    first, second = await world.build(), await world.build()
    _, world.answer = sending(begun(), asyncio.Event())
    holding = await relay.open(await world.token(first))
    waiting = asyncio.create_task(world.read(second, relay))
    world.answer = answering()
    await holding.aclose()
    assert names(await waiting) == ["Dockerfile", "src/größe"]


@pytest.mark.parametrize("reads", [0, 1])
async def test_an_archive_that_is_closed_lets_go_of_the_forge(world: Relaying, reads: int) -> None:
    body, world.answer = sending(begun(), asyncio.Event())
    relay = world.relay_with(RelayLimits(most_at_once=1, room=AT_ONCE))
    build = await world.build()
    archive = await relay.open(await world.token(build))
    assert not body.closed.is_set()
    pieces = aiter(archive)
    for _ in range(reads):
        await anext(pieces)
    await archive.aclose()
    assert body.closed.is_set()
    assert await world.notes(build) == []
    world.answer = answering()
    await world.read(build, relay)


async def test_who_is_cancelled_while_the_forge_makes_up_its_mind_lets_go_of_it(world: Relaying) -> None:
    silent, asked = asyncio.Event(), asyncio.Event()
    body, answer = sending(silent)

    def noting(request: httpx.Request) -> httpx.Response:
        asked.set()
        return answer(request)

    world.answer = noting
    opening = asyncio.create_task(world.relay.open(await world.token(await world.build())))
    await asked.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await body.closed.wait()


# What is told


async def test_no_line_of_the_log_holds_an_address_or_a_credential(world: Relaying) -> None:
    build = await world.build()
    token = await world.token(build)
    with capture_logs() as lines:
        await world.read(build)
        world.answer = _unreachable
        with pytest.raises(ArchiveTrouble):
            await world.read(build)
        with pytest.raises(NoSuchArchive):
            await world.relay.open(token[:-1])
    assert [line["event"] for line in lines] == ["archive passed on", "archive not passed on"]
    assert {line["build"] for line in lines} == {build.id}
    signature = token.partition(".")[2]
    assert signature
    assert not [line for line in lines if signature in str(line) or FORGE_TOKEN in str(line)]
