"""Strays: builds at the registry that carry a mark of ours and that no row follows.

One is the late effect of a call whose answer was lost, after the bot had given the attempt up. It is nobody's build,
and it will write image tags all the same. So it is cancelled once, and holds its tags until it has ended: the newest
push must not be overtaken by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from buildbot.domain.build import Build, BuildId, read_mark
from buildbot.domain.lifecycle import CANCELLABLE, ENDED_AT_QUAY, Holder
from buildbot.engine.pacing import Clock, Closed
from buildbot.engine.sites import RegistrySite
from buildbot.ports import BuildRecord, CallError, Claim, NotSent, Store, Stray
from buildbot.telemetry import timed_call

log = structlog.get_logger(__name__)


class Strays:
    """The strays of one claimed repository."""

    def __init__(self, claim: Claim, site: RegistrySite, store: Store, clock: Clock) -> None:
        self._claim = claim
        self._site = site
        self._store = store
        self._clock = clock
        self._known = {stray.quay_id: stray for stray in claim.strays}

    def __bool__(self) -> bool:
        """Whether there are any that have not ended."""
        return bool(self._known)

    def holders(self) -> list[Holder]:
        """The image tags that they will still write."""
        return [Holder(stray.image_tags, f"a late build ({stray.quay_id[:8]})") for stray in self._known.values()]

    def found_at(self) -> list[datetime]:
        """When each was found."""
        return [stray.found_at for stray in self._known.values()]

    async def follow(self, records: Sequence[BuildRecord], builds: Mapping[BuildId, Build]) -> None:
        """Learn from a list of the repository's builds; `builds` are those in hand. Raises ClaimLost."""
        changed = [stray for record in records if (stray := await self._news(record, builds)) is not None]
        if not changed:
            return
        cancelled = {stray.quay_id for stray in self._known.values() if stray.is_cancelled}
        self._known.update({stray.quay_id: stray for stray in changed})
        await self._store.save_strays(self._claim, changed)
        for stray in changed:
            if stray.is_cancelled and stray.quay_id not in cancelled:
                await self._cancel(stray)
        self._known = {quay_id: stray for quay_id, stray in self._known.items() if stray.finished_at is None}

    async def _news(self, record: BuildRecord, builds: Mapping[BuildId, Build]) -> Stray | None:
        now, known = self._clock.now(), self._known.get(record.id)
        if known is None:
            if record.phase in ENDED_AT_QUAY or not (owner := await self._owner(record, builds)):
                return None
            log.warning("stray found", repository=self._claim.repository, quay_build=record.id, build=owner)
            known = Stray(record.id, owner, record.tags, "", now)
        finished = now if record.phase in ENDED_AT_QUAY or self._is_worn_out(known, record) else None
        may_cancel = record.phase in CANCELLABLE and not known.is_cancelled and finished is None
        seen = replace(known, phase=record.phase, finished_at=finished, is_cancelled=known.is_cancelled or may_cancel)
        return seen if may_cancel or seen != known else None

    def _is_worn_out(self, known: Stray, record: BuildRecord) -> bool:
        limits, age = self._site.limits, self._clock.now() - known.found_at
        return age >= (limits.expired_grace if record.phase == "expired" else limits.give_up_after)

    async def _owner(self, record: BuildRecord, builds: Mapping[BuildId, Build]) -> BuildId | None:
        """The build whose mark this is, if no row follows the record and nobody is done with it as a stray."""
        if (mark := read_mark(record.archive_url)) is None:
            return None
        owner, attempt = mark
        if (build := builds.get(owner)) is not None:
            is_followed = record.id == build.seen.quay_id or record.id in build.seen.ended
            is_in_flight = build.seen.quay_id is None and attempt == build.seen.attempt
            if is_followed or is_in_flight:
                return None
        followed = await self._store.followed([owner])
        return owner if owner in followed and record.id not in followed[owner] else None

    async def _cancel(self, stray: Stray) -> None:
        cancel = partial(self._site.registry.cancel_repo_build, self._claim.repository, stray.quay_id)
        try:
            with timed_call(self._site.key, "cancelRepoBuild"):
                await self._site.line.work(cancel, self._claim.repository)
        except (NotSent, Closed) as error:
            log.warning("stray not cancelled yet", quay_build=stray.quay_id, because=str(error))
            self._known[stray.quay_id] = replace(stray, is_cancelled=False)
            await self._store.save_strays(self._claim, [self._known[stray.quay_id]])
        except CallError as error:
            log.warning("stray not cancelled", quay_build=stray.quay_id, because=str(error))
