"""The loop that drives builds: claim what is due, one pass each, give it back.

What goes wrong in one pass (a bug, a database that is away) ends that pass alone and is tried again.

Every registry has places of its own for passes: one that answers slowly keeps its passes open for long, and would in
the end hold all places there are, while another registry's builds wait for nothing but a place.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from buildbot.domain.build import BuildPhase
from buildbot.domain.lifecycle import end
from buildbot.domain.steps import steps
from buildbot.engine.in_hand import claims_status
from buildbot.engine.lease_loop import LeaseLoop
from buildbot.engine.repository_pass import RepositoryPass
from buildbot.engine.rush import Rush
from buildbot.engine.setup import FOR_ANOTHER, Current
from buildbot.engine.tools import Tools
from buildbot.ports import BuildChange, Claim, ClaimLost, StoreUnavailable, Wording

log = structlog.get_logger(__name__)

MOST_PASSES = 200
"""At once, for each registry."""

AFTER_TROUBLE = timedelta(seconds=5)


class BuildLoop(LeaseLoop[Claim]):
    """Drives every build to its end. `owner` names this process; `on_news` is called after each pass that may have
    changed what a commit status should say."""

    def __init__(
        self,
        owner: str,
        lease: timedelta,
        current: Current,
        tools: Tools,
        on_news: Callable[[], None],
        rush: Rush | None = None,
    ) -> None:
        # each registry has a limit of its own, see `_claim`
        super().__init__(sys.maxsize, lease, rush, crowded=MOST_PASSES)
        self._owner = owner
        self._current = current
        self._tools = tools
        self._on_news = on_news

    async def stop(self) -> None:
        """Stop, and give every claim back."""
        await super().stop()
        try:
            await self._tools.store.give_up_claims(self._owner)
        except StoreUnavailable as error:
            log.warning("claims not given back, they end with their leases", because=str(error))

    async def _claim(self, room: int) -> Sequence[Claim]:
        busy = Counter(claim.registry for claim in self._tasks.values())
        places = {key: min(room, MOST_PASSES - busy.pop(key, 0)) for key in self._current.setup.registries}
        others = min(room, max(0, MOST_PASSES - busy.total()))  # registries that builds remember and that are gone
        now = self._tools.clock.now()
        return await self._tools.store.claim_repositories(self._owner, now, self._lease, others, places)

    async def _renew(self, leased: Sequence[Claim]) -> None:
        await self._tools.store.renew(leased, self._tools.clock.now(), self._lease)

    async def _work(self, leased: Claim) -> None:
        if await self._pass(leased):
            self._on_news()

    async def _pass(self, claim: Claim) -> bool:
        with structlog.contextvars.bound_contextvars(registry=claim.registry, repository=claim.repository):
            has_news = True
            try:
                has_news = await self._look(claim)
            except* ClaimLost as lost:
                log.warning("claim lost", because=_told(lost))
            except* StoreUnavailable as away:
                log.error("pass not finished", because=_told(away))
                await self._release_later(claim)
            except* Exception:
                log.exception("pass failed")
                await self._release_later(claim)
            return has_news

    async def _look(self, claim: Claim) -> bool:
        setup, now = self._current.setup, self._tools.clock.now()
        if any(setup.is_behind(build, now) for build in claim.builds):
            await self._tools.store.release(claim, now + FOR_ANOTHER)
            return False
        if claim.registry not in setup.registries:
            await self._end_unconfigured(claim, setup.wording)
            return True
        one = RepositoryPass(claim, setup, self._tools)
        due = await one.run()
        if one.has_found_source:
            # What has come in meanwhile is asked for together with what the look was for.
            again = replace(await self._tools.store.refresh(claim), typical=one.typical)
            return await self._look(again) or one.has_news
        await self._tools.store.release(claim, due, one.typical)
        if due is not None:
            self.pulse.beat_in((due - self._tools.clock.now()).total_seconds())
        return one.has_news

    async def _release_later(self, claim: Claim) -> None:
        try:
            await self._tools.store.release(claim, self._tools.clock.now() + AFTER_TROUBLE)
        except StoreUnavailable:
            log.warning("claim not given back, it ends with its lease")

    async def _end_unconfigured(self, claim: Claim, wording: Wording) -> None:
        because = f"the registry {claim.registry} is no longer configured"
        now = self._tools.clock.now()
        ended = [(build, end(build, BuildPhase.ERRORED, because, now)) for build in claim.builds]
        changes = [
            BuildChange(after, wording(after), True, steps(before, after), claims_status(before, after))
            for before, after in ended
        ]
        await self._tools.store.save(claim, changes, now)
        await self._tools.store.release(claim, None)
        log.error("builds ended", because=because, builds=[build.id for build in claim.builds])


def _told(failed: BaseException) -> str:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return str(failed)
