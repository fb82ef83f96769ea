"""What must be true when a run of the simulation is over, whatever died or was lost on the way."""

from __future__ import annotations

from collections.abc import Iterator

from buildbot.domain.build import Build, BuildPhase, CancelReason, GoalKind
from buildbot.domain.rule import Rule
from buildbot.sandbox.quay_builds import Build as QuayBuild
from tests.engine.forge_model import truly_touched
from tests.engine.mishaps import Sabotage
from tests.engine.simulation import MOST_CALLS, Ending, Push, Simulation, owner_of

MOST_POSTS = 4
GAVE_UP = (
    "did not take the build",
    "did not tell the tag's",
    "never said whether",
    "has not told the build's",
    "did not let it be",
)


def play(seed: int, sabotage: Sabotage | None = None) -> list[str]:
    """Run the simulation of a seed; what went wrong, in words. An empty list is a good run."""
    sim = Simulation(seed, sabotage)
    return judge_run(sim, sim.run())


def judge_run(sim: Simulation, end: Ending) -> list[str]:
    """Everything that is wrong with a run. One that broke off for a defect has no end to be judged."""
    return [*sim.defects, *sim.forge.defects] or list(_judge_ending(sim, end))


def _judge_ending(sim: Simulation, end: Ending) -> Iterator[str]:
    yield from (f"{row.id} never ended: {row.seen}" for row in end.unfinished)
    if end.next_due is not None:
        yield f"something is due for ever: {end.next_due}"
    yield from _false_ends(sim, end)
    yield from _wrong_writers(sim, end)
    yield from _wrong_owners_of_tags(sim, end)
    yield from _lost_heads(sim, end)
    yield from _wrong_statuses(sim, end)
    yield from _too_many_calls(sim)


def _gave_up(row: Build) -> bool:
    return any(words in row.seen.because for words in GAVE_UP)


def _is_bound(sim: Simulation, end: Ending, build: QuayBuild) -> bool:
    """Whether the rules of order bind a build at Quay: not if nobody follows it any more, and for good reason."""
    row = end.rows[owner_of(build)]
    return build.id not in sim.strays and build.id not in sim.lawless and not _gave_up(row)


# ── image tags ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_writers(sim: Simulation, end: Ending) -> Iterator[str]:
    newest: dict[tuple[str, str], Build] = {}
    for written in sim.quay.pushed:
        build = end.quay[written.build_id]
        if not _is_bound(sim, end, build):
            continue
        row, image = end.rows[owner_of(build)], (written.repository, written.tag)
        if image in newest and newest[image].seq > row.seq:
            yield f"{row.id} wrote {written.tag} after the newer {newest[image].id}"
        newest[image] = max(row, newest.get(image, row), key=lambda one: one.seq)


def _wrong_owners_of_tags(sim: Simulation, end: Ending) -> Iterator[str]:
    last = {(written.repository, written.tag): end.quay[written.build_id] for written in sim.quay.pushed}
    for row in end.rows.values():
        if row.seen.phase is not BuildPhase.SUCCEEDED:
            continue
        for tag in row.request.image_tags:
            writer = last[row.request.repository, tag]
            if _is_bound(sim, end, writer) and end.rows[owner_of(writer)].seq < row.seq:
                yield f"{tag} belongs to {owner_of(writer)} although the newer {row.id} succeeded"


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _false_ends(sim: Simulation, end: Ending) -> Iterator[str]:
    for row in end.rows.values():
        known = end.quay.get(row.seen.quay_id or "")
        said = f"{row.id}: {row.seen.phase} ({row.seen.because}) but Quay says {known.phase if known else 'nothing'}"
        if row.is_final and not _is_true(sim, row, known):
            yield said


def _is_true(sim: Simulation, row: Build, known: QuayBuild | None) -> bool:
    match row.seen.phase:
        case BuildPhase.SUCCEEDED:
            return known is not None and known.phase == "complete"
        case BuildPhase.FAILED:
            return known is not None and known.phase in ("error", "expired")
        case BuildPhase.CANCELLED:
            return _is_true_cancel(sim, row, known)
        case BuildPhase.SKIPPED:
            return known is None and row.seen.attempt == 0 and _is_in_vain(row)
        case _:
            return _is_true_error(sim, row, known)


def _is_in_vain(row: Build) -> bool:
    touched = truly_touched(row.commit or "0")
    return row.request.comparison is not None and touched is not None and "docs/a.md" not in touched


def _is_true_cancel(sim: Simulation, row: Build, known: QuayBuild | None) -> bool:
    if row.seen.because == "cancelled in Quay":
        return known is not None and known.id in sim.cancelled_by_people
    if row.goal.kind is GoalKind.BUILD:
        return False
    return known is None or known.phase == "cancelled"


def _is_true_error(sim: Simulation, row: Build, known: QuayBuild | None) -> bool:
    because = row.seen.because
    if because.startswith("Quay took"):
        return known is not None and known.id in sim.lawless
    if because.startswith("Quay's builder could not"):
        return known is not None and known.phase == "expired"
    if because.startswith("timed out") and not _gave_up(row):
        return known is None or known.phase == "cancelled"
    return _gave_up(row) or because == "400: no"


def _lost_heads(sim: Simulation, end: Ending) -> Iterator[str]:
    heads = {push.ref: push for push in sim.pushes}
    for ref, head in heads.items():
        moves = [(push.before, push.after) for push in sim.pushes if push.ref == ref]
        if head.after is None or not sim.mood.tells_push_times or len(set(moves)) < len(moves):
            continue
        for rule in sim.rules:
            if _must_build(rule, head):
                yield from _lost_head(rule, head, end)


def _must_build(rule: Rule, head: Push) -> bool:
    wants_kind = rule.branches if head.ref.startswith("refs/heads/") else rule.tags
    touched = truly_touched(head.after or "0") if head.touches is None else head.touches
    return bool(wants_kind) and (not rule.paths or touched is None or "docs/a.md" in touched)


def _lost_head(rule: Rule, head: Push, end: Ending) -> Iterator[str]:
    rows = [
        row
        for row in end.rows.values()
        if (row.ref, row.request.rule) == (head.ref, rule.name)
        and head.after in (row.commit, row.tag_object)
        and row.rebuild_of is None
    ]
    if not rows:
        yield f"{head} was never built by {rule.name}"
        return
    last = max(rows, key=lambda row: row.position)
    if last.goal.reason in (CancelReason.SUPERSEDED, CancelReason.DELETED):
        yield f"{last.id}, the head of its ref, was {last.goal.reason}"


# ── statuses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_statuses(sim: Simulation, end: Ending) -> Iterator[str]:
    for key, rows in _by_status(sim, end).items():
        owner = _owner_of_status(sim, rows)
        shown = sim.forge.statuses.get(key, [])
        wanted, report = sim.wording(owner), end.reports[owner.id]
        if report is None:
            yield f"{owner.id} does not own its status {key}"
        elif key in sim.forge.refused and report.stopped:
            continue
        elif report.stopped:
            yield f"the status of {owner.id} was given up: {report.stopped}"
        elif not shown or shown[-1] != wanted:
            yield f"{key} shows {shown[-1] if shown else 'nothing'} and not {wanted}"
    for build, posts in sim.forge.posts_of().items():
        if posts > MOST_POSTS:
            yield f"{build} had {posts} statuses"


def _by_status(sim: Simulation, end: Ending) -> dict[tuple[str, str], list[Build]]:
    found: dict[tuple[str, str], list[Build]] = {}
    for row in end.rows.values():
        if row.commit is not None and not _was_undecided(sim, row):
            found.setdefault((row.commit, row.request.status_context.lower()), []).append(row)
    return found


def _was_undecided(sim: Simulation, row: Build) -> bool:
    """Whether it ended before it was known to be wanted: such a build leaves no trace on the commit."""
    return sim.born_alive[row.id] and row.request.comparison is not None and not row.seen.wanted_because


def _owner_of_status(sim: Simulation, rows: list[Build]) -> Build:
    alive = [row for row in rows if sim.born_alive[row.id]]
    if not alive:
        return min(rows, key=lambda row: row.seq)
    newest = max(alive, key=lambda row: row.seq)
    # A commit that was not known yet when a later push was superseded at birth leaves the status to that push.
    since = [row for row in rows if row.seq > newest.seq]
    return min(since, key=lambda row: row.seq) if since and newest.tag_object else newest


# ── politeness ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _too_many_calls(sim: Simulation) -> Iterator[str]:
    for (kind, minute), calls in sim.calls.items():
        if calls > MOST_CALLS:
            yield f"{calls} {kind} calls in minute {minute}"
