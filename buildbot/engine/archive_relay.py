"""Source archives for Quay's builder, served by the bot itself.

The builder fetches without credentials, looks at no status, takes what it does not recognise for a Dockerfile, and
strips no top directory. So where a forge's own archive does not do (private source, a content type that the builder
misreads), the build's `archive_url` leads here: the bot fetches with its own credential, checks, re-roots and passes
on as it comes, in constant memory. Where the rule asks for submodules, they follow one after the other, each an archive
of its own from the forge that has it, all under one cap; which there are is settled before the first byte goes out.

The address is signed and bound to one build. It opens nothing once the build is final, and until then for as long as
that takes: a build may wait in Quay's queue without end, and Quay retries by itself. Nothing in it is a secret of the
forge's, so it does no harm that Quay shows it to everybody who may write to the repository; it is in no log all the
same.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from buildbot.archives.assembly import ArchiveError, Assembly
from buildbot.domain.build import Build, BuildId, BuildPhase
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current
from buildbot.engine.submodules import Part, Sources, SubmoduleTrouble, with_submodules
from buildbot.ports import CallError, NoSuchBuild, Store, StoreUnavailable

log = structlog.get_logger(__name__)

KEY = "archives"
PIECE_BYTES = 64 * 1024
OPENS = frozenset({BuildPhase.REQUESTING, BuildPhase.WAITING, BuildPhase.BUILDING})


class NoSuchArchive(Exception):
    """The address opens nothing (wrong, another build's, or its build has ended); it is not told which."""


class ArchiveTrouble(Exception):
    """The source could not be passed on; `str()` is for the build's page."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What archives may use up: bytes (of one, packed and unpacked), how many at once, and time.

    `room`: how long one waits for another to end; `finding`: how long its submodules may take to be found; `longest`:
    how long one may take, whatever slows it down.
    """

    largest_bytes: int = 2 * 1024**3
    most_at_once: int = 16
    room: timedelta = timedelta(minutes=5)
    longest: timedelta = timedelta(hours=1)
    finding: timedelta = timedelta(minutes=2)


class Archive:
    """An archive on its way: go through its pieces, which may end with ArchiveTrouble, and close it in any case."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces, once."""
        yield self._first
        async for piece in self._rest:
            yield piece

    async def aclose(self) -> None:
        """Let go of the forge's side of it, wherever it stands."""
        await self._rest.aclose()


class ArchiveRelay:
    """Signs addresses of archives and opens them."""

    def __init__(self, store: Store, current: Current, clock: Clock, limits: RelayLimits | None = None) -> None:
        self._store = store
        self._current = current
        self._clock = clock
        self._limits = limits or RelayLimits()
        self._room = asyncio.Semaphore(self._limits.most_at_once)
        self._key: bytes | None = None

    async def url_of(self, build: Build) -> str | None:
        """Where Quay's builder finds the source of a build; None while builders cannot reach the bot."""
        public_url = self._current.setup.public_url
        if public_url is None:
            return None
        return f"{public_url}/archives/{build.id}.{await self._signature(build.id)}.tar.gz"

    async def open(self, token: str) -> Archive:
        """The archive behind an address. Its first piece has been made, so what it begins with is sound.

        Raises NoSuchArchive, ArchiveTrouble, StoreUnavailable.
        """
        pieces = self._pieces(await self._build_of(token))
        return Archive(await anext(pieces), pieces)

    async def _build_of(self, token: str) -> Build:
        build_id, _, signature = token.partition(".")
        expected = await self._signature(BuildId(build_id))
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            raise NoSuchArchive
        try:
            build = (await self._store.story(BuildId(build_id))).build
        except NoSuchBuild:
            raise NoSuchArchive from None
        if build.seen.phase not in OPENS or not build.request.is_relayed or build.commit is None:
            raise NoSuchArchive
        return build

    async def _signature(self, build: BuildId) -> str:
        if self._key is None:
            self._key = await self._store.shared_key(KEY)
        digest = hmac.new(self._key, build.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    async def _pieces(self, build: Build) -> AsyncGenerator[bytes, None]:
        told = log.bind(build=build.id, source=build.source.full_name)
        try:
            async with self._place(), aclosing(self._assembled(build)) as assembled:
                async for piece in assembled:
                    yield piece
        except (CallError, ArchiveError, ArchiveTrouble, SubmoduleTrouble) as error:
            told.warning("archive not passed on", because=str(error))
            await self._note(build, f"the source archive was not passed on: {error}")
            raise ArchiveTrouble(str(error)) from error
        except (GeneratorExit, asyncio.CancelledError):
            told.info("archive not taken to its end")
            raise
        told.info("archive passed on")

    async def _note(self, build: Build, what: str) -> None:
        try:
            await self._store.note(build.id, what, self._clock.now())
        except StoreUnavailable as away:
            log.warning("note not taken", build=build.id, because=str(away))

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        seconds = self._limits.room.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            raise ArchiveTrouble(
                f"{self._limits.most_at_once} others are being passed on, and none of them ended in {seconds:g} s"
            ) from None
        try:
            yield
        finally:
            self._room.release()

    async def _assembled(self, build: Build) -> AsyncGenerator[bytes, None]:
        sources = await self._sources(build)
        held = b""
        async with aclosing(self._made(build, sources)) as made:
            async for piece in made:
                held += piece
                if len(held) >= PIECE_BYTES:
                    yield held
                    held = b""
        yield held

    async def _sources(self, build: Build) -> Sources:
        forges = self._current.setup.forges
        site = forges.get(build.source.forge)
        if site is None:
            raise ArchiveTrouble(f"the forge {build.source.forge} is no longer configured")
        root = Part("", site, build.source.full_name, build.commit or "")
        if not build.request.submodules:
            return Sources((root,))
        seconds = self._limits.finding.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await with_submodules(root, forges)
        except TimeoutError:
            raise ArchiveTrouble(f"its submodules were not all found in {seconds:g} s") from None

    async def _made(self, build: Build, sources: Sources) -> AsyncGenerator[bytes, None]:
        assembly = Assembly(largest_bytes=self._limits.largest_bytes)
        until = self._clock.monotonic() + self._limits.longest.total_seconds()
        for part in sources.parts:
            async with aclosing(self._added(assembly, part, until)) as added:
                async for piece in added:
                    yield piece
            if build.request.submodules:
                with _naming(part):
                    await sources.check(part, assembly.empty_directories)
        if build.request.revision_file:
            yield assembly.add_file(build.request.revision_file, f"{build.commit}\n".encode())
        yield assembly.finish()

    async def _added(self, assembly: Assembly, part: Part, until: float) -> AsyncGenerator[bytes, None]:
        with _naming(part):
            names = await part.site.forge.root_names(part.full_name, part.sha)
            if names is None:
                yield assembly.begin_source(part.into, has_top_directory=True)
            else:
                yield assembly.begin_source(part.into, own_names=_own_names(names, part.full_name))
            async with part.site.forge.archive(part.full_name, part.sha) as chunks:
                async for chunk in self._in_time(chunks, until):
                    for start in range(0, len(chunk), PIECE_BYTES):
                        yield await asyncio.to_thread(assembly.feed, chunk[start : start + PIECE_BYTES])
            yield assembly.end_source()

    async def _in_time(self, chunks: AsyncIterator[bytes], until: float) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if self._clock.monotonic() > until:
                raise ArchiveTrouble(f"passing it on took longer than {self._limits.longest}")
            yield chunk


@contextmanager
def _naming(part: Part) -> Iterator[None]:
    """Trouble with a submodule says which."""
    try:
        yield
    except (CallError, ArchiveError) as error:
        if not part.into:
            raise
        raise SubmoduleTrouble(f"{part.described}: {error}") from error


def _own_names(names: frozenset[str], full_name: str) -> frozenset[bytes]:
    # A top directory is called as the repository in lower case, so that name alone would prove nothing.
    return frozenset(name.encode("utf-8", "replace") for name in names - {full_name.rpartition("/")[2].lower()})
