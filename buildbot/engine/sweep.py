"""The round that looks where branches and tags point, and records what nobody told of.

Forges send nothing for some pushes: more than three tags at once, too large a payload, a webhook that is switched off,
an outage longer than their log. So the refs that rules name of exactly named repositories are compared with what was
recorded (`domain.sweep`), and a difference that stays becomes a push, recorded on the same way as one that was told:
rules, superseding and history do the rest, and a delivery that comes after all is known by history.

One look costs a list of branches and one of tags, as far as rules name any; a forge that answers "as before" to a
conditional request is hardly asked anything. Only for what was missed more is asked: the repository as it is now, the
commit's message (it may ask for no build), and the commit behind an annotated tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property

import structlog

from buildbot.domain.decision import Decision
from buildbot.domain.push import PushEvent, RefKind, Source, kind_of, name_of, short
from buildbot.domain.sweep import GRACE, Missed, Notes, Waiting, accounted, compare
from buildbot.domain.watching import Watch, watches
from buildbot.engine.intake import Intake, Sighting
from buildbot.engine.rounds import Look, Looked, Round, State, Subject
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import WatchedForge
from buildbot.ports import RefList, Repository, RoundStore
from buildbot.telemetry import timed_call

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 20
PREFIXES = {RefKind.BRANCH: "refs/heads/", RefKind.TAG: "refs/tags/"}


class Sweep(Round):
    """Looks for missed pushes to the repositories that rules name exactly."""

    name = "sweep"

    def __init__(self, store: RoundStore, intake: Intake, setup: Setup, every: timedelta) -> None:
        self._store = store
        self._intake = intake
        self.setup = setup
        self.every = every

    def looks_per_minute(self, forge: str) -> int:
        """As the setup has it."""
        return self.setup.watched[forge].looks_per_minute

    def subjects(self) -> tuple[Subject, ...]:
        """The repositories that rules name exactly."""
        return tuple(self._watches)

    @cached_property
    def _watches(self) -> dict[Subject, Watch]:
        return {Subject(watch.forge, watch.full_name): watch for watch in watches(self.setup.rules)}

    async def look(self, look: Look) -> Looked:
        """Compare one repository's refs with what is known, and record what was missed."""
        watch, site = self._watches[look.subject], self.setup.watched[look.subject.forge]
        notes = _read(look.state) or Notes((await _repository(site, watch)).id, look.now)
        listing = _Listing(site, watch, notes, look.now)
        await listing.read()
        recorded = await self._store.recorded_heads(site.key, notes.repository_id)
        seen = compare(listing.notes, watch, listing.refs, recorded, look.now)
        found, kept = await self._record(site, watch, seen.notes, seen.missed[:MOST_AT_ONCE], look.now)
        due = look.now + (min(GRACE, self.every) if kept.waiting else self.every)
        return Looked(_written(kept), due, found, listing.note)

    async def _record(
        self, site: WatchedForge, watch: Watch, notes: Notes, missed: Sequence[Missed], now: datetime
    ) -> tuple[tuple[str, ...], Notes]:
        if not missed:
            return (), notes
        there = await _repository(site, watch)
        if there.id != notes.repository_id:
            log.warning("another repository has this name now, it is looked at as a new one", source=watch.full_name)
            return (), Notes(there.id, now)
        found: list[str] = []
        for one in missed:
            push = await self._push(site, there, one)
            recorded = await self._intake.take_swept(Sighting(push, one.first_seen, now), self.setup)
            notes = accounted(notes, one)
            if recorded.decision is not Decision.REPEATED and recorded.builds:
                found.append(f"{there.full_name} {name_of(one.ref)} at {short(one.after)}")
        return tuple(found), notes

    async def _push(self, site: WatchedForge, there: Repository, missed: Missed) -> PushEvent:
        commit, name = missed.after, there.full_name
        if kind_of(missed.ref) is RefKind.TAG:
            with timed_call(site.key, "commit_of_tag"):
                commit = await site.line.call(lambda: site.refs.commit_of_tag(name, missed.after))
        with timed_call(site.key, "commit_message"):
            message = await site.line.call(lambda: site.refs.commit_message(name, commit))
        source = Source(site.key, there.id, name, there.private, there.default_branch or None, there.html_url or None)
        return PushEvent(
            source=source,
            ref=missed.ref,
            before=missed.before,
            after=missed.after,
            commit=commit,
            archive=self.setup.hooks[site.key].webhook.archive(source, commit),
            message=message,
            is_swept=True,
        )


def sweeps(store: RoundStore, intake: Intake, current: Current) -> Callable[[], Sweep | None]:
    """The round by whichever setup is in force, None where it is off."""

    def by_setup() -> Sweep | None:
        setup = current.setup
        return None if setup.sweep_every is None else Sweep(store, intake, setup, setup.sweep_every)

    return by_setup


class _Listing:
    """The refs of a repository as they are now, and the notes with what stands for them."""

    def __init__(self, site: WatchedForge, watch: Watch, notes: Notes, now: datetime) -> None:
        self.notes = notes
        self.refs: dict[str, str] = {}
        self.note = ""
        self._site = site
        self._watch = watch
        self._now = now

    async def read(self) -> None:
        """Ask for the kinds of refs that rules name."""
        for kind in RefKind:
            if self._watch.patterns(kind):
                await self._read(kind)

    async def _read(self, kind: RefKind) -> None:
        is_current = self.notes.is_current(self._watch, kind, self._now)
        listed = await self._listed(kind, self.notes.etags.get(kind) if is_current else None)
        if listed is None:
            self.refs.update(self.notes.listed(kind))
            return
        self.refs.update({PREFIXES[kind] + ref.name: ref.sha for ref in listed.refs})
        etags = {key: etag for key, etag in self.notes.etags.items() if key != kind}
        self.notes = replace(self.notes, etags=etags | ({kind: listed.etag} if listed.etag else {}))
        if not listed.is_whole:
            self.note = f"{self._watch.full_name} has more {kind} names than are looked at ({len(listed.refs)})"

    async def _listed(self, kind: RefKind, etag: str | None) -> RefList | None:
        with timed_call(self._site.key, "refs"):
            return await self._site.line.call(lambda: self._site.refs.refs(self._watch.full_name, kind, etag))


async def _repository(site: WatchedForge, watch: Watch) -> Repository:
    with timed_call(site.key, "repository"):
        return await site.line.call(lambda: site.refs.repository(watch.full_name))


def _read(state: State | None) -> Notes | None:
    if state is None:
        return None
    return Notes(
        repository_id=state["repository_id"],
        at=datetime.fromisoformat(state["at"]),
        branches=tuple(map(tuple, state["branches"])),
        tags=tuple(map(tuple, state["tags"])),
        refs=state["refs"],
        excused=state["excused"],
        waiting={ref: Waiting(sha, datetime.fromisoformat(at)) for ref, (sha, at) in state["waiting"].items()},
        etags=state["etags"],
    )


def _written(notes: Notes) -> State:
    return {
        "repository_id": notes.repository_id,
        "at": notes.at.isoformat(),
        "branches": [list(one) for one in notes.branches],
        "tags": [list(one) for one in notes.tags],
        "refs": dict(notes.refs),
        "excused": dict(notes.excused),
        "waiting": {ref: [one.sha, one.since.isoformat()] for ref, one in notes.waiting.items()},
        "etags": dict(notes.etags),
    }
