"""What one push leads to: builds planned, builds superseded, and the sentence that explains it.

Superseding is by the history of the ref, never by arrival: a push supersedes only unfinished builds of the same ref
that stand before it, only under the rules for which it plans a build itself (a docs-only push must not kill the build
of the code before it), and a push that arrives after its successor is superseded at birth only where that successor
was built. Where it takes the forge to tell whether a push concerns a rule, it replaces nothing until that is known
(`replaced_by`). Deleting the ref ends all that stands before it, under all rules, also what arrives later. Pure: the
store hands in what stands (`Standing`) inside its transaction and writes down the `Verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from buildbot.domain.build import COMMIT_PLACEHOLDERS, Build, BuildId, BuildRequest, CancelReason, Goal, GoalKind
from buildbot.domain.history import Late, Move, Next, Placement, Repetition, before_deletion, place, place_swept
from buildbot.domain.lifecycle import cancelled_in_words
from buildbot.domain.push import PushEvent, short
from buildbot.domain.rule import Gap, Planned, Rule, RulePlan, Skipped, Supersede, plan_builds, planned

_IF_CONCERNED = "if the forge shows that paths of the rule have changed"


class Decision(StrEnum):
    """What was made of a delivery, as its answer says."""

    PLANNED = "planned"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    IGNORED = "ignored"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class LastPlan:
    """The newest move of a ref for which a rule planned a build, with the image tags it claimed."""

    position: float
    commit: str | None
    image_tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """As much of a build that has not ended as superseding asks about; hundreds of one ref may stand there."""

    id: BuildId
    rule: str
    position: float
    goal: GoalKind = GoalKind.BUILD
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a ref when a push to it arrives: its moves in order, the last plan per rule, what still runs.

    Builds that are to be cancelled for good already may be left out of `unfinished`: nothing turns them further.
    """

    moves: tuple[Move, ...] = ()
    plans: Mapping[str, LastPlan] = field(default_factory=dict)
    unfinished: tuple[Unfinished, ...] = ()


@dataclass(frozen=True, slots=True)
class NewBuild:
    """A build to be recorded; superseded at birth when its goal is to cancel."""

    request: BuildRequest
    goal: Goal = field(default_factory=Goal)
    note: str = ""
    warning: str = ""

    @property
    def is_certain(self) -> bool:
        """Whether it needs no look at what changed: it is built, or superseded at birth."""
        return self.request.comparison is None or self.goal.kind is not GoalKind.BUILD


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that a push changes. `rules` pairs the names of the rules that cover the source with why or why
    not."""

    decision: Decision
    reason: str
    move: Move | None = None
    builds: tuple[NewBuild, ...] = ()
    goals: tuple[tuple[BuildId, Goal], ...] = ()
    rules: tuple[tuple[str, str], ...] = ()


def judge(push: PushEvent, standing: Standing, rules: Sequence[Rule]) -> Verdict:
    """What a push leads to, given what stands."""
    covering = [rule for rule in rules if rule.covers(push.source)]
    if not covering:
        return Verdict(Decision.IGNORED, f"no rule has the source {push.source.full_name}")
    if push.is_deletion and push.before is None:
        push = replace(push, before=before_deletion(standing.moves))
    elif push.before == push.after:
        return Verdict(Decision.IGNORED, f"{push.ref_name} did not move (before and after are the same)")
    placement = _placed(push, standing.moves)
    if placement is None:
        return Verdict(Decision.IGNORED, f"{push.ref_name} was pushed again since the sweep looked at it")
    if isinstance(placement, Repetition):
        known, position = f"this push to {push.ref_name} is known already", placement.position
        part = None if position is None else Move(position, push.before, push.after, push.pushed_at)
        return Verdict(Decision.REPEATED, known, part)
    move = Move(placement.position, push.before, push.after, push.pushed_at, push.is_swept)
    if push.is_deletion:
        return _judge_deletion(push, standing, placement, move)
    return _judge_push(push, standing, placement, move, covering)


def _placed(push: PushEvent, moves: Sequence[Move]) -> Placement | None:
    if push.is_swept:
        return place_swept(moves, push.before, push.after)
    return place(moves, push.before, push.after, push.pushed_at)


def judge_again(push: PushEvent, standing: Standing, rules: Sequence[Rule]) -> Verdict:
    """What a push leads to by the rules of today. One that is known stands where it always stood: what came after it
    supersedes it as ever, and the verdict's move is one of those recorded already."""
    if push.is_deletion:
        return Verdict(Decision.IGNORED, f"{push.kind} {push.ref_name} was deleted: that builds nothing")
    move = known_move(push, standing)
    covering = [rule for rule in rules if rule.covers(push.source)]
    if move is None or not covering:
        return judge(push, standing, rules)
    return _judge_push(push, standing, _as_it_was(move, standing), move, covering)


def known_move(push: PushEvent, standing: Standing) -> Move | None:
    """The recorded move that a push is, or is the last part of; None where it was never placed."""
    placement = _placed(push, standing.moves)
    if isinstance(placement, Repetition):
        return placement.move
    # Where the forge tells no time of a push, only the head's move is known again when it is told once more.
    alike = [move for move in standing.moves if (move.before, move.after) == (push.before, push.after)]
    return next((move for move in reversed(alike) if push.pushed_at in (None, move.pushed_at)), None)


def _as_it_was(move: Move, standing: Standing) -> Late | Next:
    before = [one for one in standing.moves if one.position < move.position]
    if before and before[-1].after != move.before:
        return Late(move.position)  # what was planned last may be newer than the push, and is nothing to compare with
    return Next(move.position, gap=False)


def _judge_deletion(push: PushEvent, standing: Standing, placement: Placement, move: Move) -> Verdict:
    what = f"{push.kind} {push.ref_name}"
    if isinstance(placement, Late):
        return Verdict(Decision.IGNORED, f"{what} was pushed again after this deletion, which arrived late", move)
    goal = Goal(GoalKind.CANCEL, CancelReason.DELETED, what)
    goals = tuple((build.id, goal) for build in standing.unfinished if _may_turn(build.goal, goal))
    if not goals:
        return Verdict(Decision.IGNORED, f"{what} was deleted; nothing was running for it", move)
    return Verdict(Decision.CANCELLED, f"{what} was deleted; {_count(len(goals), 'build')} cancelled", move, (), goals)


def _judge_push(
    push: PushEvent, standing: Standing, placement: Late | Next, move: Move, covering: Sequence[Rule]
) -> Verdict:
    plans = plan_builds(push, covering, _gap(placement, standing))
    wanted = planned(plans)
    if not wanted:
        return Verdict(Decision.IGNORED, _why_nothing(plans), move, rules=_explained(plans))
    builds = tuple(_newborn(plan, push, standing, move) for plan in wanted)
    goals = tuple(
        turned
        for plan in wanted
        if plan.request.comparison is None
        for turned in _superseded_by(push, plan.rule, standing.unfinished, move.position)
    )
    is_alive = any(build.goal.kind is GoalKind.BUILD for build in builds)
    decision = Decision.PLANNED if is_alive else Decision.SUPERSEDED
    reason = _why_planned(builds, len(goals), placement)
    return Verdict(decision, reason, move, builds, goals, _explained(plans, builds))


def replaced_by(build: Build, unfinished: Sequence[Unfinished]) -> tuple[tuple[BuildId, Goal], ...]:
    """What a build replaces that has turned out to be wanted: older ones of its ref and rule, as the rule says.

    Where older ones are kept, those recorded after it are not: they arrived late, and would take the image tags back.
    """
    kind = build.request.comparison.supersedes if build.request.comparison else None
    older = [one for one in unfinished if one.rule == build.request.rule and one.position < build.position]
    replaced = older if kind else [one for one in older if one.seq > build.seq]
    goal = Goal(kind or GoalKind.CANCEL, CancelReason.SUPERSEDED, short(build.commit or ""))
    return tuple((one.id, goal) for one in replaced if _may_turn(one.goal, goal))


def _gap(placement: Late | Next, standing: Standing) -> Gap | None:
    if isinstance(placement, Late):
        return Gap()
    if not placement.gap:
        return None
    return Gap({rule: last.commit for rule, last in standing.plans.items() if last.commit})


def _newborn(plan: Planned, push: PushEvent, standing: Standing, move: Move) -> NewBuild:
    newborn = NewBuild(plan.request, note="; ".join(plan.notes), warning=plan.warning)
    if any(later.after is None and later.position > move.position for later in standing.moves):
        return replace(newborn, goal=Goal(GoalKind.CANCEL, CancelReason.DELETED, f"{push.kind} {push.ref_name}"))
    last = standing.plans.get(plan.rule.name)
    if last is None or not _has_successor(move, last, standing):
        return newborn
    by = short(last.commit) if last.commit else "a newer push"
    if plan.rule.supersede_for(push.kind) is Supersede.KEEP and (kept := _without_claimed(newborn, last, by)):
        return kept
    return replace(newborn, goal=Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, by))


def _has_successor(move: Move, last: LastPlan, standing: Standing) -> bool:
    # A move older than all that are remembered is older than one that was planned for and has been forgotten since.
    is_oldest = bool(standing.moves) and move.position < standing.moves[0].position
    return is_oldest or last.position > move.position


def _without_claimed(newborn: NewBuild, last: LastPlan, by: str) -> NewBuild | None:
    # The newer push has claimed these image tags: the late one must not take them back.
    claimed = tuple(tag for tag in newborn.request.image_tags if tag in last.image_tags and not _is_of_commit(tag))
    left = tuple(tag for tag in newborn.request.image_tags if tag not in claimed)
    if not left:
        return None
    left_out = f"{', '.join(claimed)} left to {by}" if claimed else ""
    note = "; ".join(filter(None, (newborn.note, left_out)))
    return replace(newborn, request=replace(newborn.request, image_tags=left), note=note)


def _is_of_commit(tag: str) -> bool:
    return any(placeholder in tag for placeholder in COMMIT_PLACEHOLDERS)


def _superseded_by(
    push: PushEvent, rule: Rule, unfinished: Sequence[Unfinished], position: float
) -> list[tuple[BuildId, Goal]]:
    if (kind := rule.supersedes(push.kind)) is None:
        return []
    goal = Goal(kind, CancelReason.SUPERSEDED, short(push.commit or push.after or ""))
    return [
        (build.id, goal)
        for build in unfinished
        if build.rule == rule.name and build.position < position and _may_turn(build.goal, goal)
    ]


def _may_turn(stands: GoalKind, goal: Goal) -> bool:
    strength = (GoalKind.BUILD, GoalKind.CANCEL_QUEUED, GoalKind.CANCEL)
    return strength.index(goal.kind) > strength.index(stands)


def _why_nothing(plans: Sequence[RulePlan]) -> str:
    reasons = "; ".join(f"{plan.rule.name}: {plan.reason}" for plan in plans if isinstance(plan, Skipped))
    return f"no rule matched: {reasons}"


def _why_planned(builds: Sequence[NewBuild], superseding: int, placement: Placement) -> str:
    alive = [build for build in builds if build.goal.kind is GoalKind.BUILD]
    if not alive:
        return f"arrived late: {_born_dead(builds[0].goal)}"
    certain = sum(build.is_certain for build in alive)
    parts = [f"{_count(certain, 'build')} planned"] if certain else []
    if len(alive) > certain:
        parts.append(f"{_count(len(alive) - certain, 'build')} planned {_IF_CONCERNED}")
    if superseding:
        parts.append(f"{_count(superseding, 'older build')} superseded")
    if len(builds) > len(alive):
        parts.append(f"{len(builds) - len(alive)} superseded at birth")
    if isinstance(placement, Next) and placement.gap:
        parts.append("pushes before this one never arrived")
    return "; ".join([*parts, *(told for build in builds for told in (build.note, build.warning) if told)])


def _explained(plans: Sequence[RulePlan], builds: Sequence[NewBuild] = ()) -> tuple[tuple[str, str], ...]:
    made = {build.request.rule: build for build in builds}
    return tuple(
        (plan.rule.name, plan.reason if isinstance(plan, Skipped) else _told(made[plan.rule.name])) for plan in plans
    )


def _told(build: NewBuild) -> str:
    wanted = "planned" if build.is_certain else f"planned {_IF_CONCERNED}"
    fate = wanted if build.goal.kind is GoalKind.BUILD else f"not built: {_born_dead(build.goal)}"
    return "; ".join(filter(None, (fate, build.note, build.warning)))


def _born_dead(goal: Goal) -> str:
    return cancelled_in_words(goal.reason, goal.detail) if goal.reason else "cancelled"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
