"""What one push leads to: builds planned, builds superseded, and the sentence that explains it.

Superseding is by the history of the ref, never by arrival: a push supersedes only unfinished builds of the same ref
that stand before it, only under the rules for which it plans a build itself (a docs-only push must not kill the build
of the code before it), and a push that arrives after its successor is superseded at birth only where that successor
was built. Pure: the store hands in what stands (`Standing`) inside its transaction and writes down the `Verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from buildbot.domain.build import Build, BuildId, BuildRequest, CancelReason, Goal, GoalKind
from buildbot.domain.history import Late, Move, Next, Placement, Repetition, place
from buildbot.domain.push import PushEvent, RefKind, short
from buildbot.domain.rule import Planned, Rule, RulePlan, Skipped, Supersede, plan_builds, planned


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
class Standing:
    """What is known of a ref when a push to it arrives: its moves in order, the last plan per rule, what still runs."""

    moves: tuple[Move, ...] = ()
    plans: Mapping[str, LastPlan] = field(default_factory=dict)
    unfinished: tuple[Build, ...] = ()


@dataclass(frozen=True, slots=True)
class NewBuild:
    """A build to be recorded; superseded at birth when its goal is to cancel."""

    request: BuildRequest
    goal: Goal = field(default_factory=Goal)
    note: str = ""
    warning: str = ""


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
    if push.before == push.after:
        return Verdict(Decision.IGNORED, f"{push.ref_name} did not move (before and after are the same)")
    placement = place(standing.moves, push.before, push.after, push.pushed_at)
    if isinstance(placement, Repetition):
        return Verdict(Decision.REPEATED, f"this push to {push.ref_name} is known already")
    move = Move(placement.position, push.before, push.after, push.pushed_at)
    if push.is_deletion:
        return _judge_deletion(push, standing, placement, move)
    return _judge_push(push, standing, placement, move, covering)


def _judge_deletion(push: PushEvent, standing: Standing, placement: Placement, move: Move) -> Verdict:
    what = f"{push.kind} {push.ref_name}"
    if isinstance(placement, Late):
        return Verdict(Decision.IGNORED, f"{what} was pushed again after this deletion", move)
    goal = Goal(GoalKind.CANCEL, CancelReason.DELETED, what)
    goals = tuple((build.id, goal) for build in standing.unfinished if _may_turn(build, goal))
    if not goals:
        return Verdict(Decision.IGNORED, f"{what} was deleted; nothing was running for it", move)
    return Verdict(Decision.CANCELLED, f"{what} was deleted; {_count(len(goals), 'build')} cancelled", move, (), goals)


def _judge_push(
    push: PushEvent, standing: Standing, placement: Late | Next, move: Move, covering: Sequence[Rule]
) -> Verdict:
    gap = not isinstance(placement, Next) or placement.gap
    plans = plan_builds(push, covering, gap=gap)
    wanted = planned(plans)
    if not wanted:
        return Verdict(Decision.IGNORED, _why_nothing(plans), move, rules=_explained(plans))
    builds = tuple(_newborn(plan, push.kind, standing, move) for plan in wanted)
    goals = tuple(
        turned for plan in wanted for turned in _superseded_by(push, plan.rule, standing.unfinished, move.position)
    )
    alive = [build for build in builds if build.goal.kind is GoalKind.BUILD]
    decision = Decision.PLANNED if alive else Decision.SUPERSEDED
    reason = _why_planned(builds, len(alive), len(goals), placement)
    return Verdict(decision, reason, move, builds, goals, _explained(plans))


def _newborn(plan: Planned, kind: RefKind, standing: Standing, move: Move) -> NewBuild:
    newborn = NewBuild(plan.request, note="; ".join(plan.notes), warning=plan.warning)
    last = standing.plans.get(plan.rule.name)
    if last is None or last.position <= move.position:
        return newborn
    by = short(last.commit) if last.commit else "a newer push"
    superseded = replace(newborn, goal=Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, by))
    if plan.rule.supersede_for(kind) is not Supersede.KEEP:
        return superseded
    # The newer push has claimed these image tags: the late one must not take them back.
    left = tuple(tag for tag in plan.request.image_tags if tag not in last.image_tags)
    return replace(newborn, request=replace(plan.request, image_tags=left)) if left else superseded


def _superseded_by(
    push: PushEvent, rule: Rule, unfinished: Sequence[Build], position: float
) -> list[tuple[BuildId, Goal]]:
    kinds = {Supersede.CANCEL: GoalKind.CANCEL, Supersede.QUEUED: GoalKind.CANCEL_QUEUED}
    if (kind := kinds.get(rule.supersede_for(push.kind))) is None:
        return []
    goal = Goal(kind, CancelReason.SUPERSEDED, short(push.commit or push.after or ""))
    return [
        (build.id, goal)
        for build in unfinished
        if build.request.rule == rule.name and build.position < position and _may_turn(build, goal)
    ]


def _may_turn(build: Build, goal: Goal) -> bool:
    strength = (GoalKind.BUILD, GoalKind.CANCEL_QUEUED, GoalKind.CANCEL)
    return strength.index(goal.kind) > strength.index(build.goal.kind)


def _why_nothing(plans: Sequence[RulePlan]) -> str:
    reasons = "; ".join(f"{plan.rule.name}: {plan.reason}" for plan in plans if isinstance(plan, Skipped))
    return f"no rule matched: {reasons}"


def _why_planned(builds: Sequence[NewBuild], alive: int, superseding: int, placement: Placement) -> str:
    if not alive:
        return f"arrived after a newer push: {builds[0].goal.detail} supersedes it"
    parts = [f"{_count(alive, 'build')} planned"]
    if superseding:
        parts.append(f"{_count(superseding, 'older build')} superseded")
    if len(builds) > alive:
        parts.append(f"{len(builds) - alive} superseded at birth by a newer push")
    if isinstance(placement, Next) and placement.gap:
        parts.append("pushes before this one never arrived, so path filters were not applied")
    return "; ".join([*parts, *(told for build in builds for told in (build.note, build.warning) if told)])


def _explained(plans: Sequence[RulePlan]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            plan.rule.name,
            plan.reason
            if isinstance(plan, Skipped)
            else "; ".join(filter(None, ("planned", *plan.notes, plan.warning))),
        )
        for plan in plans
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
