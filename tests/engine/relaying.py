"""What the relay's tests stand on: a real store, a real adapter, and a forge behind it that sends what a test says."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from buildbot.archives.tar_writing import BLOCK
from buildbot.domain.build import Build, BuildPhase, BuildRequest
from buildbot.engine.archive_relay import ArchiveRelay, RelayLimits
from buildbot.engine.pacing import Clock, Line
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import ForgeSite
from buildbot.forges.github.api import GitHubApi, TokenAuth
from buildbot.store.sql_store import SqlStore
from tests.archives.tars import file, info, tar_gz
from tests.store.world import World, ended_as, seen_as

PUBLIC_URL = "https://builds.test"
FORGE_TOKEN = "a-token-of-the-forge-0123456789"
REQUEST = BuildRequest(
    rule="api",
    registry="quay",
    repository="acme/api",
    image_tags=("main",),
    archive_url="",
    context="/",
    dockerfile_path="/Dockerfile",
    status_context="quay/api",
    is_relayed=True,
)
SOUND = tar_gz(file("api-1/Dockerfile", b"FROM busybox\n"), file("api-1/src/größe", b"1"))
TYPE = "application/x-gzip"
Part = bytes | Exception | asyncio.Event
Answer = Callable[[httpx.Request], httpx.Response]


class Body(httpx.AsyncByteStream):
    """A body in parts: bytes are sent, an event is waited for, an exception breaks the connection."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            match part:
                case asyncio.Event():
                    await part.wait()
                case Exception():
                    raise part
                case bytes():
                    yield part

    async def aclose(self) -> None:
        self.closed.set()


class Bytes(httpx.AsyncByteStream):
    """A body that is made while it is sent."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def sending(*parts: Part) -> tuple[Body, Answer]:
    """An archive in parts, and how a forge answers with it."""
    body = Body(*parts)
    return body, lambda _: httpx.Response(200, stream=body, headers={"Content-Type": TYPE})


def answering(content: bytes = SOUND, status: int = 200, media_type: str = TYPE) -> Answer:
    """How a forge answers with a whole body, as often as it is asked."""
    return lambda _: httpx.Response(status, stream=Body(content), headers={"Content-Type": media_type})


def large_archive(mebibytes: int, files: int = 1) -> Iterator[bytes]:
    """A tar.gz of files that cannot be made smaller, of so many MiB each, in pieces, never whole in memory."""
    noise = os.urandom(1024**2)
    gzip = zlib.compressobj(0, zlib.DEFLATED, 31)
    for number in range(files):
        entry = info(file(f"api-1/noise-{number}"))
        entry.size = mebibytes * 1024**2
        yield gzip.compress(entry.tobuf())
        for _ in range(mebibytes):
            yield gzip.compress(noise)
    yield gzip.compress(bytes(2 * BLOCK)) + gzip.flush()


def begun() -> bytes:
    """The beginning of an archive, enough of it for a piece to go out."""
    parts = large_archive(1)
    return next(parts) + next(parts)


class Relaying:
    """A relay with its store and its forge; `answer` is what the forge answers, `asked` what it was asked."""

    def __init__(self, store: SqlStore, client: httpx.AsyncClient) -> None:
        self.store = store
        self.people = World(store)
        self.client = client
        self.asked: list[httpx.Request] = []
        self.answer: Answer = answering()
        self.relay = self.relay_with()

    def relay_with(self, limits: RelayLimits | None = None, clock: Clock | None = None) -> ArchiveRelay:
        """Another relay on the same store, as another instance or after a restart."""
        clock = clock or Clock()
        forge = GitHubApi(
            self.client,
            api_url="https://forge.test/api",
            auth=TokenAuth(FORGE_TOKEN),
            request_timeout=timedelta(seconds=20),
            retry_pause=timedelta(),
        )
        sites = {"github": ForgeSite("github", forge, Line("github", clock), "https://forge.test")}
        return ArchiveRelay(self.store, Current(Setup(forges=sites, public_url=PUBLIC_URL)), clock, limits)

    async def build(self, phase: BuildPhase = BuildPhase.WAITING, *, request: BuildRequest = REQUEST) -> Build:
        """A build in a phase, of a repository of its own."""
        number = len(await self.people.builds())
        build = await self.people.commissioned(replace(request, repository=f"acme/api-{number}"))
        return await self.move(build, phase)

    async def move(self, build: Build, phase: BuildPhase) -> Build:
        """Let the build be seen in a phase."""
        claims = await self.store.claim_repositories("one", self.people.now, timedelta(seconds=10), 100)
        (claim,) = [one for one in claims if build.id in {held.id for held in one.builds}]
        now = self.people.now
        moved = ended_as(build, phase, now) if phase.is_final else seen_as(build, phase)
        await self.people.save(claim, moved)
        for one in claims:
            await self.store.release(one, now)
        return moved

    async def token(self, build: Build) -> str:
        """The part of a build's address that opens it."""
        url = await self.relay.url_of(build)
        assert url is not None
        return url.removeprefix(f"{PUBLIC_URL}/archives/").removesuffix(".tar.gz")

    async def read(self, build: Build, relay: ArchiveRelay | None = None) -> bytes:
        """A build's archive, whole."""
        archive = await (relay or self.relay).open(await self.token(build))
        try:
            return b"".join([piece async for piece in archive])
        finally:
            await archive.aclose()

    async def notes(self, build: Build) -> list[str]:
        """What the build's page says of its archive."""
        steps = (await self.store.story(build.id)).steps
        return [step.what for step in steps if "archive" in step.what]


@asynccontextmanager
async def relaying(folder: Path) -> AsyncIterator[Relaying]:
    """All of it, in a folder of its own."""
    made: list[Relaying] = []

    def forge(request: httpx.Request) -> httpx.Response:
        made[0].asked.append(request)
        return made[0].answer(request)

    with SqlStore(f"sqlite:///{folder}/buildbot.db") as store:
        async with httpx.AsyncClient(transport=httpx.MockTransport(forge)) as client:
            made.append(Relaying(store, client))
            yield made[0]
