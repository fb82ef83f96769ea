"""One process of the bot in the simulation: the real loops, over a store, a registry and a forge that let it die.

At every boundary (before and after each method of the store, each call to Quay and to the forge) the process may die:
`Died` goes up through the engine, everything that it had under way is dropped, and nothing of its memory is used again.
It may also stand still, like a virtual machine that is moved, and then go on with a claim that it has lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from buildbot.domain.build import Build, BuildId, BuildPhase
from buildbot.domain.lifecycle import InLine
from buildbot.domain.log import LogEntry
from buildbot.domain.places import Caps
from buildbot.domain.status import CommitStatus
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.pacing import Line, RegistryLine
from buildbot.engine.pulse import LONGEST_NAP
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import ForgeSite, RegistrySite, StatusSite
from buildbot.engine.status_loop import StatusLoop
from buildbot.engine.tools import Memory, Tools
from buildbot.ports import (
    BuildChange,
    BuildOrder,
    BuildRecord,
    CallError,
    Claim,
    CredentialRefused,
    DueStatus,
    Forge,
    Registry,
    Repository,
    StatusProgress,
    StatusTarget,
    Store,
    StoreUnavailable,
    Stray,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from tests.engine.forge_model import PUBLIC_URL, truly_touched
from tests.engine.mishaps import CANCEL, CLAIMS, LEASE, LONGEST_STALL, REQUEST, SETTLE, STATUSES

if TYPE_CHECKING:
    from tests.engine.simulation import Simulation

Result = TypeVar("Result")
STALL_PAUSE = 60.0


class Died(BaseException):
    """The process ends here: what it did not save is gone."""


class Process:
    """A running bot. `die` ends it like a lost power supply, `stop` like a restart."""

    def __init__(self, sim: Simulation, name: str) -> None:
        self.sim = sim
        self.name = name
        self.is_dead = False
        self._stalled_until = self._may_stall_at = 0.0
        self._news = asyncio.Event()
        self.store = _Store(self)
        forge = ForgeSite("github", cast("Forge", _Forge(self)), Line("github", sim.clock, minds_credential=False))
        settle = timedelta(seconds=0 if sim.sabotage.never_settles else SETTLE)
        line = RegistryLine("Quay", 5, sim.clock)
        site = RegistrySite("quay", cast("Registry", _Quay(self)), line, sim.mood.limits, settle, sim.mood.caps)
        store = cast("Store", self.store)
        statuses = {"github": StatusSite(forge, 60)}
        current = Current(
            Setup(registries={"quay": site}, forges={"github": forge}, statuses=statuses, public_url=PUBLIC_URL)
        )
        lease = timedelta(seconds=LEASE)
        self.builds = BuildLoop(name, lease, current, Tools(store, sim.clock, Memory()), self._news.set)
        self.statuses = StatusLoop(store, current, sim.clock, lease)
        living = (self._live(self.builds._take, CLAIMS), self._live(self.statuses._take, STATUSES))
        renewing = (self.builds._keep_leases(), self.statuses._keep_leases())
        self._tasks = [asyncio.create_task(loop) for loop in (*living, *renewing)]

    def wake(self) -> None:
        """Something was recorded."""
        self._news.set()

    async def stop(self) -> None:
        """As a restart does: give what is under way some seconds, drop the rest, give the claims back."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(self.builds.stop(), self.statuses.stop())
        except Died:
            pass
        else:
            self.die()

    def die(self) -> None:
        """Drop everything that is under way."""
        self.is_dead = True
        for task in (*self._tasks, *self.builds._tasks, *self.statuses._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    async def boundary(self, *, may_stall: bool = True) -> None:
        """Where the process may die or stand still."""
        if self.is_dead:
            raise Died
        if self.sim.strikes(self.sim.mood.crash):
            self.die()
            self.sim.restart(self)
            raise Died
        if may_stall:
            await self._stand_still()
        if self.is_dead:
            raise Died

    @property
    def has_just_stood_still(self) -> bool:
        return self._stalled_until > 0 and self.sim.now < self._stalled_until + LONGEST_STALL

    async def _stand_still(self) -> None:
        now = self.sim.now
        if now > self._may_stall_at and self.sim.strikes(self.sim.mood.stall):
            self._stalled_until = now + self.sim.rng.choice([5.0, 15.0, LONGEST_STALL])
            self._may_stall_at = now + STALL_PAUSE
        while (rest := self._stalled_until - self.sim.now) > 0:  # noqa: ASYNC110  time itself is awaited
            await asyncio.sleep(rest)

    async def _live(self, take: Callable[[], Awaitable[bool]], work: str) -> None:
        while True:
            self._news.clear()
            quiet = self.sim.quiet_seconds(work)
            if quiet or not await take():
                await self._nap(quiet or LONGEST_NAP)

    async def _nap(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass


class _Store:
    """The part of `ports.Store` that the loops use."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._sim = process.sim
        self._hidden: set[int] = set()
        self.claimed_at: dict[str, float] = {}

    async def _do(self, make: Callable[[], Awaitable[Result]], *, is_status: bool = False) -> Result:
        await self._process.boundary()
        if self._sim.strikes(self._sim.mood.disk):
            raise StoreUnavailable("the disk is full")
        result = await self._sim.stored(make)
        await self._process.boundary(may_stall=not is_status)
        return result

    async def claim_repositories(
        self, owner: str, now: datetime, lease: timedelta, limit: int, room: Mapping[str, int]
    ) -> tuple[Claim, ...]:
        sim = self._sim

        async def claim() -> tuple[Claim, ...]:
            claims = await sim.store.claim_repositories(owner, now, lease, limit, room)
            sim.note_claims(claims)
            self.claimed_at |= {one.repository: sim.now for one in claims}
            return claims

        return tuple(self._sabotaged(one) for one in await self._do(claim))

    async def refresh(self, claim: Claim) -> Claim:
        fresh = await self._do(lambda: self._sim.store.refresh(self._held(claim)))
        return self._sabotaged(replace(fresh, token=claim.token))

    def _sabotaged(self, claim: Claim) -> Claim:
        sabotage = self._sim.sabotage
        if sabotage.hides_holders:
            self._hidden |= {claim.token} if len(claim.builds) > 1 else set()
            claim = replace(claim, builds=_one_of(claim))
        return replace(claim, strays=()) if sabotage.drops_strays else claim

    async def save(
        self, claim: Claim, changes: Sequence[BuildChange], now: datetime, caps: Caps
    ) -> Mapping[BuildId, InLine]:
        sim = self._sim
        caps = Caps() if sim.sabotage.ignores_caps else caps
        held, kept = self._held(claim), list(changes)
        if sim.sabotage.forgets_intent:
            kept = [change for change in changes if change.build.seen.phase is not BuildPhase.REQUESTING]

        async def save() -> Mapping[BuildId, InLine]:
            places = await sim.store.save(held, kept, now, caps)
            sim.note_saved(claim, kept, places)
            return places

        return await self._do(save)

    async def save_strays(self, claim: Claim, strays: Sequence[Stray]) -> None:
        async def save() -> None:
            await self._sim.store.save_strays(self._held(claim), strays)
            self._sim.note_strays(claim, strays)

        await self._do(save)

    async def release(self, claim: Claim, due: datetime | None, typical: timedelta | None = None) -> None:
        held = claim
        if claim.token in self._hidden:
            due = self._sim.clock.now() + timedelta(seconds=5)
        if self._sim.sabotage.forgets_wakes:
            held = replace(claim, wakes=self._sim.wakes_now(claim))

        async def release() -> None:
            await self._sim.store.release(held, due, typical)
            self._sim.note_released(claim)

        await self._do(release)

    async def renew(self, held: Collection[Claim], now: datetime, lease: timedelta) -> None:
        await self._do(lambda: self._sim.store.renew(held, now, lease))

    async def give_up_claims(self, owner: str) -> None:
        await self._do(lambda: self._sim.store.give_up_claims(owner))

    async def followed(self, builds: Collection[BuildId]) -> Mapping[BuildId, frozenset[str]]:
        return await self._do(lambda: self._sim.store.followed(builds))

    async def claim_statuses(
        self, now: datetime, lease: timedelta, limit: int, in_hand: Collection[int] = ()
    ) -> tuple[DueStatus, ...]:
        return await self._do(lambda: self._sim.store.claim_statuses(now, lease, limit, in_hand), is_status=True)

    async def renew_statuses(self, statuses: Sequence[DueStatus], now: datetime, lease: timedelta) -> None:
        await self._do(lambda: self._sim.store.renew_statuses(statuses, now, lease))

    async def save_status(self, status: DueStatus, progress: StatusProgress) -> None:
        sim, held = self._sim, status
        is_noted = is_late = False
        if sim.sabotage.trusts_stale_posts:
            held = replace(status, version=sim.version_now(status))

        async def save() -> None:
            nonlocal is_noted, is_late
            is_late = sim.status_token_now(held) != held.token
            await sim.store.save_status(held, progress)
            is_noted = not is_late

        try:
            await self._do(save)
        finally:
            if not is_noted and progress.posted is not None:
                sim.forge.excuse(status.owner)
            if is_late and not status.wanted.state.is_final:
                sim.forge.excuse(status.owner)  # what another process has said meanwhile is said again

    def _held(self, claim: Claim) -> Claim:
        if self._sim.sabotage.ignores_fencing:
            return replace(claim, token=self._sim.token_now(claim))
        return claim


def _one_of(claim: Claim) -> tuple[Build, ...]:
    return (claim.builds[claim.token % len(claim.builds)],) if claim.builds else ()


class _Quay:
    """`ports.Registry`: the real client of the sandbox's Quay, over a line on which anything may be lost."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._sim = process.sim

    async def _call(self, operation: str, make: Callable[[], Awaitable[Result]]) -> Result:
        await self._process.boundary()
        await asyncio.sleep(self._sim.rng.uniform(0.02, 0.5))
        self._sim.disturb(operation)
        try:
            result = await make()
        except CallError:
            await self._process.boundary()
            raise
        await asyncio.sleep(self._sim.rng.uniform(0.02, 0.5))
        await self._process.boundary()
        return result

    async def request_repo_build(self, order: BuildOrder) -> BuildRecord:
        is_old = self._process.has_just_stood_still  # and may go on with a claim that it has lost
        self._sim.note_order(order, 0.0 if is_old else self._process.store.claimed_at[order.repository])
        try:
            return await self._call(REQUEST, lambda: self._sim.registry.request_repo_build(order))
        finally:
            self._sim.note_order_ended(order)

    async def cancel_repo_build(self, repository: str, build: str) -> None:
        await self._call(CANCEL, lambda: self._sim.registry.cancel_repo_build(repository, build))

    async def get_repo_build(self, repository: str, build: str) -> BuildRecord:
        return await self._call("getRepoBuild", lambda: self._sim.registry.get_repo_build(repository, build))

    async def get_repo_build_status(self, repository: str, build: str) -> BuildRecord:
        ask = self._sim.registry.get_repo_build_status
        return await self._call("getRepoBuildStatus", lambda: ask(repository, build))

    async def get_repo_builds(self, repository: str, since: datetime) -> tuple[BuildRecord, ...]:
        return await self._call("getRepoBuilds", lambda: self._sim.registry.get_repo_builds(repository, since))

    async def get_repo_build_logs(self, repository: str, build: str, start: int = 0) -> tuple[LogEntry, ...]:
        ask = self._sim.registry.get_repo_build_logs
        return await self._call("getRepoBuildLogs", lambda: ask(repository, build, start))

    def build_page(self, repository: str, build: str) -> str:
        return self._sim.registry.build_page(repository, build)


class _Forge:
    """`ports.Forge`: what the simulation's forge remembers, over a line on which anything may be lost."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._sim = process.sim

    async def credential(self, full_name: str) -> str:
        return f"user:ci-bot of {full_name}"

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        await self._asked(full_name)
        return self._sim.forge.commits[tag_object]

    async def head(self, full_name: str, ref: str) -> str:
        await self._asked(full_name)
        return f"head of {ref}"

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        await self._asked(f"{full_name} {before}")
        return truly_touched(after)

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        await self._asked(f"{full_name} {path}")
        if self._sim.now < self._sim.forge.shows_at.get(sha, 0.0):
            raise Vanished(f"No commit found for the ref {sha}")
        return True

    async def repository(self, full_name: str) -> Repository:
        await self._asked(full_name)
        return Repository("1", full_name, private=False, default_branch="main", html_url="")

    async def _asked(self, what: str) -> None:
        await self._process.boundary()
        await asyncio.sleep(self._sim.rng.uniform(0.02, 0.5))
        if error := self._unsent():
            raise error
        if self._sim.strikes(self._sim.mood.forge / 4):
            raise Unanswered(f"GitHub did not answer about {what}")
        await self._process.boundary()

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        forge, full_name, sha, context = self._sim.forge, target.full_name, target.sha, target.context
        forge.sent(status)
        is_answered = has_effect = False
        try:
            await self._process.boundary()
            await asyncio.sleep(self._sim.rng.uniform(0.02, 0.5))
            if error := self._unsent() or forge.refusal(sha, context):
                raise error
            fate = self._sim.rng.choice(["before", "after"]) if self._sim.strikes(self._sim.mood.forge / 4) else ""
            if fate != "before":
                forge.take(full_name, sha, context, status)
                has_effect = True
            if fate:
                await asyncio.sleep(self._sim.rng.choice([0.1, 20.0]))
                raise Unanswered("GitHub did not answer")
            await self._process.boundary()
            is_answered = True
        finally:
            if has_effect and not is_answered:
                forge.excuse(forge.owner_of(status))

    def _unsent(self) -> CallError | None:
        if not self._sim.strikes(self._sim.mood.forge / 4):
            return None
        later = self._sim.clock.now() + timedelta(seconds=self._sim.rng.choice([10, 90]))
        return self._sim.rng.choice(
            [
                Throttled("too many writes", retry_at=later),
                Throttled("too many writes"),
                Unavailable("GitHub is being looked after"),
                Unreachable("no way to GitHub"),
                CredentialRefused("bad credentials"),
            ]
        )
