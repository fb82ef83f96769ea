"""The loop that drives builds: claim what is due, one pass each, give it back.

Level-triggered: nothing is remembered that the rows do not say, so a missed wake-up delays by half a second and loses
nothing. What goes wrong in one pass (a bug, a database that is away) ends that pass alone and is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from buildbot.domain.build import Build, BuildPhase
from buildbot.domain.lifecycle import end
from buildbot.domain.steps import steps
from buildbot.engine.pulse import Pulse
from buildbot.engine.repository_pass import RepositoryPass, Tools
from buildbot.engine.sites import RegistrySite
from buildbot.ports import BuildChange, Claim, ClaimLost, StoreUnavailable

log = structlog.get_logger(__name__)

MOST_PASSES = 200
GRACE_SECONDS = 5.0
AFTER_TROUBLE = timedelta(seconds=5)


class BuildLoop:
    """Drives every build to its end. `owner` names this process; `on_news` is called after each pass."""

    def __init__(
        self,
        owner: str,
        lease: timedelta,
        registries: Mapping[str, RegistrySite],
        tools: Tools,
        on_news: Callable[[], None],
    ) -> None:
        self.pulse = Pulse()
        self._owner = owner
        self._lease = lease
        self._registries = registries
        self._tools = tools
        self._on_news = on_news
        self._passes: set[asyncio.Task[None]] = set()
        self._taking = asyncio.Lock()
        self._is_stopping = False

    async def run(self) -> None:
        """Until `stop`: take what is due."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._is_stopping:
                if not await self._take():
                    await self.pulse.nap()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def stop(self) -> None:
        """Take nothing new, give calls in flight some seconds, drop the rest, give every claim back."""
        self._is_stopping = True
        self.pulse.beat()
        async with self._taking:
            pass  # what is being claimed this moment becomes passes that can be waited for
        if self._passes:
            await asyncio.wait(self._passes, timeout=GRACE_SECONDS)
        for one in list(self._passes):
            one.cancel()
        await asyncio.gather(*self._passes, return_exceptions=True)
        try:
            await self._tools.store.give_up_claims(self._owner)
        except StoreUnavailable as error:
            log.warning("claims not given back, they end with their leases", because=str(error))

    async def _take(self) -> bool:
        try:
            async with self._taking:
                return await self._take_due()
        except StoreUnavailable as error:
            log.error("nothing can be claimed", because=str(error))
            await asyncio.sleep(1)
            return False

    async def _take_due(self) -> bool:
        room = MOST_PASSES - len(self._passes)
        if room <= 0 or self._is_stopping:
            return False
        now = self._tools.clock.now()
        taken = await self._tools.store.claim_repositories(self._owner, now, self._lease, room)
        for claim in taken:
            one = asyncio.create_task(self._pass(claim))
            self._passes.add(one)
            one.add_done_callback(self._ended)
        return bool(taken)

    def _ended(self, one: asyncio.Task[None]) -> None:
        self._passes.discard(one)
        self.pulse.beat()
        self._on_news()

    async def _pass(self, claim: Claim) -> None:
        with structlog.contextvars.bound_contextvars(registry=claim.registry, repository=claim.repository):
            try:
                await self._look(claim)
            except* ClaimLost as lost:
                log.warning("claim lost", because=_told(lost))
            except* StoreUnavailable as away:
                log.error("pass not finished", because=_told(away))
                await self._release_later(claim)
            except* Exception:
                log.exception("pass failed")
                await self._release_later(claim)

    async def _look(self, claim: Claim) -> None:
        site = self._registries.get(claim.registry)
        if site is None:
            await self._end_unconfigured(claim)
            return
        one = RepositoryPass(claim, site, self._tools)
        due = await one.run()
        await self._tools.store.release(claim, due, one.typical)
        if due is not None:
            self.pulse.beat_in((due - self._tools.clock.now()).total_seconds())

    async def _release_later(self, claim: Claim) -> None:
        try:
            await self._tools.store.release(claim, self._tools.clock.now() + AFTER_TROUBLE)
        except StoreUnavailable:
            log.warning("claim not given back, it ends with its lease")

    async def _end_unconfigured(self, claim: Claim) -> None:
        because = f"the registry {claim.registry} is no longer configured"
        now, wording = self._tools.clock.now(), self._tools.wording
        ended = [(build, end(build, BuildPhase.ERRORED, because, now)) for build in claim.builds]
        changes = [BuildChange(after, wording(after), True, steps(before, after)) for before, after in ended]
        await self._tools.store.save(claim, changes, now)
        await self._tools.store.release(claim, None)
        log.error("builds ended", because=because, builds=[_id(build) for build in claim.builds])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            if not self._passes:
                continue
            try:
                await self._tools.store.renew(self._owner, self._tools.clock.now(), self._lease)
            except StoreUnavailable as error:
                log.warning("leases not renewed", because=str(error))


def _id(build: Build) -> str:
    return build.id


def _told(failed: BaseException) -> str:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return str(failed)
