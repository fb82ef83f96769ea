"""What stands around a store: people who push, a registry's news to save, a clock that goes when it is told to.

Commits are named by letters: `sha("a")`. Everything goes through the port, so that any store can be put in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from buildbot.domain.build import Build, BuildId, BuildPhase, BuildRequest
from buildbot.domain.decision import judge
from buildbot.domain.lifecycle import end
from buildbot.domain.push import Archive, Ignored, PushEvent, Source
from buildbot.domain.rule import Rule
from buildbot.domain.status import Posted, status_of
from buildbot.ports import BuildChange, BuildFilter, Claim, Commission, DueStatus, Recorded, Recording, Store
from buildbot.store.statuses import FIRST_WORD

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=10)
SOURCE = Source("github", "1", "Acme/api", default_branch="main")
MAIN = "refs/heads/main"
API = Rule(
    name="api",
    forge="github",
    source="acme/api",
    registry="quay",
    repository="acme/api",
    branches=("**",),
    tags=("**",),
    image_tags=("{ref}", "sha-{short_sha}"),
)
DOCS = replace(API, name="docs", repository="acme/docs", image_tags=("{ref}",), paths=("docs/**",))


def sha(letter: str) -> str:
    """A commit's name: forty times its letter."""
    return letter * 40


def a_push(before: str | None, after: str | None, ref: str = MAIN, source: Source = SOURCE) -> PushEvent:
    """A push from one commit to another, by their letters; None is "did not exist"."""
    commit = sha(after) if after else None
    archive = Archive("https://forge/{sha}.tar.gz", "api-{sha}")
    return PushEvent(source, ref, sha(before) if before else None, commit, commit, archive)


def a_recording(
    reading: tuple[PushEvent, ...] | Ignored, guid: str, rules: Sequence[Rule] = (API,), at: datetime = START
) -> Recording:
    """A delivery with this reading, judged by these rules."""
    return Recording("github", guid, "push", at, reading, partial(judge, rules=rules), status_of)


class World:
    """A store, the time, and who uses it. `now` is set by the tests."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self._deliveries = 0

    async def record(self, *pushes: PushEvent, rules: Sequence[Rule] = (API,), guid: str = "") -> Recorded:
        """A delivery of these pushes, under an id of its own unless one is given."""
        self._deliveries += 1
        return await self.store.record(a_recording(pushes, guid or f"delivery-{self._deliveries}", rules, self.now))

    async def push(
        self,
        before: str | None,
        after: str | None,
        *,
        rules: Sequence[Rule] = (API,),
        ref: str = MAIN,
        at: int | None = None,
        changed: tuple[str, ...] | None = None,
    ) -> Recorded:
        """A push by the letters of its commits; `at` is the forge's own time of it, in seconds."""
        pushed_at = None if at is None else START + timedelta(seconds=at)
        forced = None if changed is None else False
        push = replace(a_push(before, after, ref), pushed_at=pushed_at, changed_paths=changed, forced=forced)
        return await self.record(push, rules=rules)

    async def build(self, before: str | None, after: str | None, *, ref: str = MAIN) -> Build:
        """A push that plans one build: that build."""
        recorded = await self.push(before, after, ref=ref)
        return recorded.builds[0]

    async def commissioned(self, request: BuildRequest, letter: str = "a", ref: str = MAIN) -> Build:
        """A build that ada asks for."""
        return await self.store.commission(Commission(SOURCE, ref, sha(letter), request, "ada"), self.now, status_of)

    async def claim(self, owner: str = "one") -> Claim:
        """The one repository that is due, claimed."""
        (claim,) = await self.store.claim_repositories(owner, self.now, LEASE, 10)
        return claim

    async def is_due(self, owner: str = "other") -> bool:
        """Whether anything can be claimed; takes it."""
        return bool(await self.store.claim_repositories(owner, self.now, LEASE, 10))

    async def save(self, claim: Claim, *builds: Build, is_news: bool = True, learned_commit: bool = False) -> None:
        """What was seen of builds, with the statuses that follow."""
        changes = [BuildChange(one, status_of(one), is_news, ("seen",), claims_status=learned_commit) for one in builds]
        await self.store.save(claim, changes, self.now)

    async def admit(self, build: Build) -> None:
        """A build turns out to be wanted."""
        claims = await self.store.claim_repositories("one", self.now, LEASE, 10)
        claim = next(one for one in claims if one.repository == build.request.repository)
        wanted = seen_as(build, BuildPhase.PLANNED, wanted_because="docs/x changed")
        change = BuildChange(wanted, status_of(wanted), True, ("planned",), claims_status=True, is_admitted=True)
        await self.store.save(claim, [change], self.now)
        for one in claims:
            await self.store.release(one, None)

    async def end(self, build: Build, phase: BuildPhase = BuildPhase.SUCCEEDED) -> Build:
        """Follow a build to its end in one claim."""
        claim = await self.claim()
        ended = ended_as(build, phase, self.now)
        await self.save(claim, ended)
        await self.store.release(claim, None)
        return ended

    async def reread(self, build: Build | BuildId) -> Build:
        """The build as it stands in the store."""
        return (await self.store.story(build if isinstance(build, str) else build.id)).build

    async def builds(self) -> tuple[Build, ...]:
        """All builds, newest first."""
        return await self.store.list_builds(BuildFilter(limit=1000))

    async def due_statuses(self) -> tuple[DueStatus, ...]:
        """The statuses that are due, leased."""
        return await self.store.claim_statuses(self.now + FIRST_WORD, LEASE, 100)

    async def due_status(self) -> DueStatus:
        """The one status that is due, leased."""
        (status,) = await self.due_statuses()
        return status


def ended_as(build: Build, phase: BuildPhase, now: datetime) -> Build:
    """The build as its end reads, whatever came before."""
    if phase is BuildPhase.SKIPPED:
        return end(seen_as(build, BuildPhase.COMPARING), phase, "because", now)
    waiting = replace(build, seen=replace(build.seen, phase=BuildPhase.BUILDING, quay_id="q-1", attempt=1))
    return end(waiting, phase, "" if phase is BuildPhase.SUCCEEDED else "because", now)


def seen_as(build: Build, phase: BuildPhase, **seen: object) -> Build:
    """The build with what was seen of it replaced."""
    return replace(build, seen=replace(build.seen, phase=phase, **seen))  # type: ignore[arg-type]


def sent(status: DueStatus, now: datetime) -> Posted:
    """The status as posted now."""
    return Posted(status.wanted, status.owner, now, pendings=1)
