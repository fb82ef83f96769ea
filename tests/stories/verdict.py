"""What must be true when it is over, whatever happened on the way: each push accounted for, built once, told truly.

Judged from outside: the sandboxes know who pushed what, what Quay built and what each commit shows; the bot's database
only says which build belongs to which push. A defect is a value and not a failed assertion, so that a long run can
count them, and names the ids with which it can be found in the logs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from buildbot.domain.build import Build, BuildPhase, CancelReason, GoalKind, read_mark
from buildbot.ports import BuildFilter, BuildStory
from buildbot.sandbox.github import Push
from buildbot.sandbox.quay_builds import Build as QuayBuild
from buildbot.store.sql_store import SqlStore
from tests.stories.world import World

EVERYTHING = 1_000_000
STATES = {
    BuildPhase.SUCCEEDED: "success",
    BuildPhase.FAILED: "failure",
    BuildPhase.ERRORED: "error",
    BuildPhase.CANCELLED: "error",
}
TRUE_ENDS: Mapping[BuildPhase, frozenset[str | None]] = {
    BuildPhase.SUCCEEDED: frozenset({"complete"}),
    BuildPhase.FAILED: frozenset({"error", "expired"}),
    BuildPhase.ERRORED: frozenset({"expired"}),
    BuildPhase.CANCELLED: frozenset({"cancelled", None}),
    BuildPhase.SKIPPED: frozenset({None}),
}
OWED = {
    "builds that have not ended": "SELECT id FROM builds WHERE finished_at IS NULL",
    "statuses that are due": "SELECT sha FROM commit_statuses WHERE due IS NOT NULL AND stopped IS NULL",
    "repositories that are due": "SELECT repository FROM claims WHERE due IS NOT NULL",
    "repositories that are held": "SELECT repository FROM claims WHERE leased_until IS NOT NULL",
    "strays that are followed": "SELECT quay_id FROM strays WHERE finished_at IS NULL",
}


class Kind(StrEnum):
    """In which way a promise was broken."""

    LOST = "lost"
    DUPLICATE = "duplicate"
    WRONG = "wrong"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Defect:
    """A broken promise, with the ids by which to find it."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass
class Told:
    """A push, the ids under which it was delivered, and the names of the rules that have to build it."""

    push: Push
    guids: set[str]
    must_build: frozenset[str] = frozenset()

    @property
    def is_deletion(self) -> bool:
        return self.push.update.head is None


@dataclass
class Evidence:
    """Everything that is judged; `pushes` in the order in which they were made."""

    world: World
    pushes: Sequence[Told]
    stories: Sequence[BuildStory]
    recorded: frozenset[str]
    number: dict[str, int] = field(init=False)
    at_quay: dict[str, list[QuayBuild]] = field(init=False)

    def __post_init__(self) -> None:
        self.number = {guid: number for number, told in enumerate(self.pushes) for guid in told.guids}
        self.at_quay = {}
        for build in self.world.quay.builds:
            if mark := read_mark(build.archive_url):
                self.at_quay.setdefault(mark[0], []).append(build)

    @property
    def builds(self) -> list[Build]:
        """The bot's builds in the order that it gave them."""
        return sorted((story.build for story in self.stories), key=lambda build: build.seq)

    def place(self, build: Build) -> int:
        """Which push the build belongs to, by its number; -1 if to none."""
        return self.number.get(build.delivery or "", -1)


def owed(world: World) -> dict[str, list[str]]:
    """What the bot still has to do, by its database; empty when it is at rest."""
    left = {what: world.rows(query) for what, query in OWED.items()}
    return {what: ids for what, ids in left.items() if ids}


async def evidence(world: World, pushes: Sequence[Told], store: SqlStore) -> Evidence:
    """What is known at the end."""
    builds = await store.list_builds(BuildFilter(limit=EVERYTHING))
    stories = [await store.story(build.id) for build in builds]
    return Evidence(world, pushes, stories, frozenset(world.rows("SELECT guid FROM deliveries")))


def judge(known: Evidence) -> list[Defect]:
    """Everything that is wrong."""
    return [
        *(Defect(Kind.LOST, text) for text in [*_lost_deliveries(known), *_lost_builds(known)]),
        *(Defect(Kind.DUPLICATE, text) for text in _duplicates(known)),
        *(Defect(Kind.WRONG, text) for text in [*_false_ends(known), *_false_cancels(known), *_false_statuses(known)]),
        *(Defect(Kind.STALE, text) for text in _stale_tags(known)),
    ]


# ── lost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lost_deliveries(known: Evidence) -> Iterator[str]:
    stored = {story.build.id for story in known.stories}
    for attempt in known.world.github.hookshot.log:
        if attempt.status_code not in {200, 202}:
            continue
        guid = attempt.delivery.guid
        if guid not in known.recorded:
            yield f"delivery {guid} was answered {attempt.status_code} and is not in the database"
        for build in json.loads(attempt.answer)["builds"]:
            if build["id"] not in stored:
                yield f"build {build['id']} was promised to delivery {guid} and is not in the database"


def _lost_builds(known: Evidence) -> Iterator[str]:
    made = {(known.place(build), build.request.rule) for build in known.builds}
    for number, told in enumerate(known.pushes):
        if not told.guids & known.recorded:
            yield f"push {number} to {told.push.ref} was never recorded: {sorted(told.guids)}"
        for rule in sorted(told.must_build):
            if (number, rule) not in made:
                yield f"push {number} to {told.push.ref} ({told.push.sha}) was never planned for {rule}"


# ── duplicate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _duplicates(known: Evidence) -> Iterator[str]:
    planned = Counter((known.place(build), build.request.rule) for build in known.builds)
    for (number, rule), count in planned.items():
        if count > 1 or number < 0:
            yield f"push {number} has {count} builds under {rule}"
    for build_id, builds in known.at_quay.items():
        running = [build for build in builds if build.phase != "cancelled"]
        if len(running) > 1:
            yield f"build {build_id} could run {len(running)} times at Quay: {[_shown(build) for build in running]}"


def _shown(build: QuayBuild) -> str:
    return f"{build.id} {build.phase} {(build.archive_url or '').rpartition('#')[2]}"


# ── wrong ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _false_ends(known: Evidence) -> Iterator[str]:
    at_quay = {build.id: build for builds in known.at_quay.values() for build in builds}
    for build in known.builds:
        seen = at_quay.get(build.seen.quay_id or "")
        truth = seen.phase if seen else None
        if truth not in TRUE_ENDS.get(build.seen.phase, frozenset()):
            yield f"build {build.id} is {build.seen.phase} ({build.seen.because}), and Quay says {truth}"
    known_ids = {build.id for build in known.builds}
    yield from (
        f"nobody knows build {build_id}, which Quay was asked for" for build_id in known.at_quay.keys() - known_ids
    )


def _false_cancels(known: Evidence) -> Iterator[str]:
    """Only what came later may supersede, and only a later deletion may cancel."""
    last = {(build.ref, build.source.full_name, build.request.rule): known.place(build) for build in _by_push(known)}
    deleted = {_ref_of(told.push): number for number, told in enumerate(known.pushes) if told.is_deletion}
    for build in known.builds:
        place, of_ref = known.place(build), (build.source.full_name, build.ref)
        match build.goal.reason if build.goal.kind is not GoalKind.BUILD else None:
            case CancelReason.SUPERSEDED if last[build.ref, build.source.full_name, build.request.rule] <= place:
                yield f"build {build.id} of push {place} was superseded, and nothing newer of {of_ref} was built"
            case CancelReason.DELETED if deleted.get(of_ref, -1) <= place:
                yield f"build {build.id} of push {place} was cancelled, and {of_ref} was not deleted after it"
            case _:
                pass


def _by_push(known: Evidence) -> list[Build]:
    planned = (build for build in known.builds if build.seen.phase is not BuildPhase.SKIPPED)
    return sorted(planned, key=known.place)


def _ref_of(push: Push) -> tuple[str, str]:
    return push.deliveries[0].payload["repository"]["full_name"], push.ref


def _false_statuses(known: Evidence) -> Iterator[str]:
    owned = set()
    for story in known.stories:
        if (report := story.status) is None:
            continue
        build = story.build
        owned.add((build.source.full_name, report.sha, report.context))
        shown = [
            one
            for one in known.world.github.statuses(build.source.full_name, report.sha)
            if one.context == report.context
        ]
        says = (shown[-1].state, shown[-1].description) if shown else None
        if says != (STATES.get(build.seen.phase), report.wanted.description):
            yield f"{report.sha} shows {says}, and build {build.id} is {build.seen.phase}: {report}"
    for build in known.builds:
        has_ended = build.seen.phase in STATES and build.seen.phase is not BuildPhase.CANCELLED
        if has_ended and (build.source.full_name, build.commit, build.request.status_context) not in owned:
            yield f"{build.commit} shows nothing of build {build.id}, which is {build.seen.phase}"


# ── stale ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stale_tags(known: Evidence) -> Iterator[str]:
    """A tag that one ref writes is on its newest push that was built, one that several share on the last in order."""
    written: dict[tuple[str, str], list[Build]] = {}
    for build in known.builds:
        if build.seen.phase is BuildPhase.SUCCEEDED:
            for tag in build.request.image_tags:
                written.setdefault((build.request.repository, tag), []).append(build)
    for (repository, tag), builds in written.items():
        is_shared = len({build.ref for build in builds}) > 1
        newest = max(builds, key=lambda build: build.seq if is_shared else known.place(build))
        holds = known.world.quay.image(repository, tag)
        if (mark := read_mark(holds)) is None or mark[0] != newest.id:
            yield f"{repository}:{tag} holds {mark} ({holds}), and the newest build is {newest.id} of {newest.commit}"
