"""The loop that posts commit statuses: what is wanted against what was posted, one call for the difference.

Level-triggered like the build loop, and apart from it: a forge that is slow or away delays reports, never builds.
Refusals that are final stop a status with their reason; everything else is tried until it is delivered, or for a day
where the forge answers and does not take it. Writes are paced per credential, since that is whom the forge counts;
finals go first when there is a queue, and a pending whose build has ended meanwhile is never sent, because what is
wanted is read when its turn comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from buildbot.domain.cadence import backoff
from buildbot.domain.lifecycle import in_words
from buildbot.domain.status import Later, Nothing, Post, Posted, next_post
from buildbot.engine.lease_loop import LeaseLoop
from buildbot.engine.outcomes import next_probe
from buildbot.engine.pacing import LONG_PAUSE, Clock, Closed, Line
from buildbot.engine.rush import Rush
from buildbot.engine.setup import FOR_ANOTHER, Current
from buildbot.engine.sites import StatusSite
from buildbot.ports import (
    CallError,
    CredentialRefused,
    DueStatus,
    Refused,
    StatusProgress,
    Store,
    StoreUnavailable,
    Throttled,
    Unreachable,
    Vanished,
)
from buildbot.telemetry import STATUS_LAG, timed_call

log = structlog.get_logger(__name__)

MOST_POSTS = 20
COMMIT_PATIENCE = timedelta(minutes=2)
PATIENCE = timedelta(hours=24)
"""After that a status that the forge could take, and each time does not, is given up: Gitea answers 500 for ever for a
commit that it does not have. A forge that cannot be reached, or refuses the credential, is waited for."""
REMEMBERED_SECONDS = 0.1
"""A credential that is known by now is told sooner than this; one that the forge was asked for never is."""
UNKNOWN_CREDENTIAL = ""
"""Names the line on which a forge is asked whose credential serves a repository."""


@dataclass(slots=True)
class _Attempt:
    """Whose line a post is on: nobody's by name until the credential is known."""

    line: Line


class StatusLoop(LeaseLoop[DueStatus]):
    """Delivers every wanted status. `lease` is how long one is kept from others if this process dies posting it."""

    def __init__(
        self, store: Store, current: Current, clock: Clock, lease: timedelta, rush: Rush | None = None
    ) -> None:
        super().__init__(MOST_POSTS, lease, rush)
        self._store = store
        self._current = current
        self._clock = clock

    async def _claim(self, room: int) -> Sequence[DueStatus]:
        # Where the wall's clock jumps, every lease has run out at once: this process goes on with what it has in hand.
        in_hand = [status.id for status in self._tasks.values()]
        return await self._store.claim_statuses(self._clock.now(), self._lease, room, in_hand)

    async def _renew(self, leased: Sequence[DueStatus]) -> None:
        await self._store.renew_statuses(leased, self._clock.now(), self._lease)

    async def _work(self, leased: DueStatus) -> None:
        await self._deliver(leased)

    async def _deliver(self, status: DueStatus) -> None:
        with structlog.contextvars.bound_contextvars(build=status.owner, sha=status.sha, context=status.context):
            try:
                progress = await self._progress(status)
                await self._store.save_status(status, progress)
                if progress.due is not None:
                    self.pulse.beat_in((progress.due - self._clock.now()).total_seconds())
            except StoreUnavailable as error:
                log.error("status not noted, it will be looked at again", because=str(error))
            except Exception:
                log.exception("status failed")

    async def _progress(self, status: DueStatus) -> StatusProgress:
        as_it_was = StatusProgress(status.posted, None, status.failures, status.failing_since)
        setup, now = self._current.setup, self._clock.now()
        forge = setup.statuses.get(status.forge)
        if forge is None and setup.may_come(status.wanted_at, now):
            return replace(as_it_was, due=now + FOR_ANOTHER)
        if forge is None:
            log.warning("status dropped", because=f"the forge {status.forge} is no longer configured")
            return replace(as_it_was, stopped=f"the forge {status.forge} is no longer configured")
        match next_post(status.wanted, status.owner, status.posted, self._clock.now()):
            case Nothing():
                return as_it_was
            case Later(until):
                return replace(as_it_was, due=until)
            case Post():
                return await self._post(status, forge, as_it_was)

    async def _post(self, status: DueStatus, forge: StatusSite, as_it_was: StatusProgress) -> StatusProgress:
        attempt = _Attempt(forge.purse(UNKNOWN_CREDENTIAL, self._clock).line)
        try:
            # One call as far as the forge's line goes: a credential that is remembered is no sign of life.
            await forge.site.line.call(lambda: self._attempt(status, forge, attempt))
        except Closed as closed:
            return replace(as_it_was, due=closed.until, delayed=str(closed))
        except CallError as error:
            return replace(self._failed(status, as_it_was, error, attempt.line), delayed=str(error))
        return self._sent(status)

    async def _attempt(self, status: DueStatus, forge: StatusSite, attempt: _Attempt) -> None:
        ask = partial(forge.site.forge.credential, status.full_name)
        began = self._clock.monotonic()
        credential = await attempt.line.call(ask)
        was_asked = self._clock.monotonic() - began > REMEMBERED_SECONDS
        if was_asked and not status.wanted.state.is_final:
            raise Closed("its build may have ended meanwhile", self._clock.now())
        purse = forge.purse(credential, self._clock)
        attempt.line = purse.line
        if closed := purse.line.closed():
            raise closed
        if wait := purse.budget.take():
            raise Closed("waits for its turn", self._clock.now() + timedelta(seconds=wait))
        await purse.line.call(lambda: self._send(status, forge))

    async def _send(self, status: DueStatus, forge: StatusSite) -> None:
        with timed_call(status.forge, "postStatus"):
            await forge.site.forge.post_status(status.target, status.wanted)

    def _sent(self, status: DueStatus) -> StatusProgress:
        now = self._clock.now()
        STATUS_LAG.labels(status.forge).observe((now - status.wanted_at).total_seconds())
        log.info("status posted", state=status.wanted.state, description=status.wanted.description)
        is_pending = not status.wanted.state.is_final
        before = status.posted.pendings if status.posted and status.posted.owner == status.owner else 0
        posted = Posted(status.wanted, status.owner, now, before + is_pending)
        return StatusProgress(posted)

    def _failed(self, status: DueStatus, as_it_was: StatusProgress, error: CallError, line: Line) -> StatusProgress:
        now = self._clock.now()
        since, failures = status.failing_since or now, status.failures + 1
        failing = replace(as_it_was, failures=failures, failing_since=since)
        log.warning("status not posted", because=str(error), failures=failures)
        match error:
            case Refused():
                return replace(failing, stopped=str(error))
            case Vanished() if now - since >= COMMIT_PATIENCE:
                return replace(failing, stopped=f"the commit is not there: {error}")
            case Throttled():
                until = error.retry_at or now + LONG_PAUSE
                line.hold(until, str(error))
                return replace(as_it_was, due=until)
            case CredentialRefused() | Unreachable():
                return replace(as_it_was, due=next_probe(error, line, self._clock))
            case _ if now - since >= PATIENCE:
                return replace(failing, stopped=f"not taken for {in_words(PATIENCE)}: {error}")
            case _:
                return replace(failing, due=now + backoff(failures))
