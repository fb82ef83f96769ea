"""What one push leads to, given what stands: superseding by history, only what is replaced, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import Build, BuildId, CancelReason, Comparison, Goal, GoalKind
from buildbot.domain.decision import (
    Decision,
    LastPlan,
    NewBuild,
    Standing,
    Unfinished,
    Verdict,
    judge,
    judge_again,
    replaced_by,
)
from buildbot.domain.history import Move
from buildbot.domain.push import Archive, PushEvent, Source
from buildbot.domain.rule import Rule, Supersede
from tests.domain.builds import REQUEST, a_build

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAIN = "refs/heads/main"
API = Rule(
    name="api",
    forge="github",
    source="acme/api",
    registry="quay",
    repository="acme/api",
    branches=("main",),
    tags=("v*",),
    image_tags=("{ref}", "sha-{short_sha}"),
)
DOCS = replace(API, name="docs", repository="acme/docs", image_tags=("{ref}",), paths=("docs/**",))
KEEP, QUEUED = replace(API, supersede=Supersede.KEEP), replace(API, supersede=Supersede.QUEUED)
SUPERSEDED = Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")


def sha(letter: str | None) -> str | None:
    return letter and letter * 40


def push(before: str | None, after: str | None, *, ref: str = MAIN, at: int | None = None, **more: object) -> PushEvent:
    """A push by the letters of its commits; `at` in seconds by the forge's clock."""
    event = PushEvent(
        source=Source("github", "1", "acme/api", default_branch="main"),
        ref=ref,
        before=sha(before),
        after=sha(after),
        commit=sha(after),
        archive=Archive("https://forge/{sha}.tar.gz", "api-{sha}"),
        pushed_at=None if at is None else NOON + timedelta(seconds=at),
    )
    return replace(event, **more)  # type: ignore[arg-type]


def moves(*pairs: tuple[str | None, str | None], at: tuple[int, ...] = ()) -> tuple[Move, ...]:
    """Moves one after the other, by the letters of their commits."""
    times: Sequence[datetime | None] = [NOON + timedelta(seconds=one) for one in at] or [None] * len(pairs)
    numbered = enumerate(zip(pairs, times, strict=True), 1)
    return tuple(Move(float(place), sha(before), sha(after), time) for place, ((before, after), time) in numbered)


def planned(position: float, letter: str | None = "c", *image_tags: str) -> Mapping[str, LastPlan]:
    return {"api": LastPlan(position, sha(letter), image_tags or ("main", "sha-ccccccc"))}


def running(name: str, position: float = 1.0, rule: str = "api", goal: GoalKind = GoalKind.BUILD) -> Unfinished:
    return Unfinished(BuildId(name), rule, position, goal)


def goals(verdict: Verdict) -> dict[str, Goal]:
    return dict(verdict.goals)


# ── nothing to build ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "reason", "is_a_move"),
    [
        (push("a", "b", source=Source("github", "2", "acme/web")), "no rule has the source acme/web", False),
        (push("a", "b", source=Source("gitlab", "1", "acme/api")), "no rule has the source acme/api", False),
        (push("a", "a"), "main did not move (before and after are the same)", False),
        (push("a", "b", ref="refs/heads/dev"), "no rule matched: api: branch dev does not match main", True),
        (push("a", "b", message="x [skip ci]"), "no rule matched: api: the commit message says [skip ci]", True),
        (push("a", None), "branch main was deleted; nothing was running for it", True),
        (push("a", None, ref="refs/tags/v1"), "tag v1 was deleted; nothing was running for it", True),
        (push(None, None), "branch main was deleted; nothing was running for it", True),
    ],
)
def test_what_is_not_built_is_explained(event: PushEvent, reason: str, is_a_move: bool) -> None:
    verdict = judge(event, Standing(), (API,))
    assert (verdict.decision, verdict.reason) == (Decision.IGNORED, reason)
    assert (verdict.move is not None, verdict.builds, verdict.goals) == (is_a_move, (), ())


def test_every_covering_rule_says_why_and_no_other() -> None:
    other = replace(API, name="web", source="acme/web")
    verdict = judge(push("a", "b", changed_paths=("src/x",), forced=False), Standing(), (API, DOCS, other))
    assert verdict.rules == (("api", "planned"), ("docs", "none of the 1 changed paths matches docs/**"))


def test_a_rule_tells_what_it_left_out_and_who_writes_the_same() -> None:
    rival = replace(API, name="rival", image_tags=("{ref}", "{version}"))
    verdict = judge(push("a", "b"), Standing(), (API, rival))
    assert verdict.rules[0] == ("api", "planned; rule rival writes the same image tag from this push")
    assert "image tag {version} left out" in verdict.rules[1][1]
    assert "rule api writes the same image tag from this push" in verdict.reason


# ── repetitions ──────────────────────────────────────────────────────────────────────────────────────────────────────

THRICE = moves(("a", "b"), ("b", "a"), at=(10, 20))


@pytest.mark.parametrize(
    ("event", "standing", "decision"),
    [
        (push("b", "a"), moves(("a", "b"), ("b", "a")), Decision.REPEATED),
        (push("b", "a", at=99), THRICE, Decision.REPEATED),
        (push("a", "b", at=10), THRICE, Decision.REPEATED),
        (push("a", "b", at=30), THRICE, Decision.PLANNED),
        (push("a", "b"), moves(("a", "b"), ("b", "a")), Decision.PLANNED),
        (push("a", None), moves(("b", "a"), ("a", None)), Decision.REPEATED),
        (push(None, "a"), moves(("b", "a"), ("a", None)), Decision.PLANNED),
        (push(None, None), moves(("b", "a"), ("a", None)), Decision.REPEATED),
    ],
)
def test_only_the_same_push_again_is_a_repetition(
    event: PushEvent, standing: tuple[Move, ...], decision: Decision
) -> None:
    verdict = judge(event, Standing(standing), (API,))
    assert verdict.decision is decision
    assert (verdict.move is None) == (decision is Decision.REPEATED)


# ── superseding ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "ref", "kind"),
    [
        (API, MAIN, GoalKind.CANCEL),
        (API, "refs/tags/v1", None),
        (KEEP, MAIN, None),
        (QUEUED, MAIN, GoalKind.CANCEL_QUEUED),
        (QUEUED, "refs/tags/v1", GoalKind.CANCEL_QUEUED),
        (replace(API, supersede=Supersede.CANCEL), "refs/tags/v1", GoalKind.CANCEL),
    ],
)
def test_the_rule_says_what_becomes_of_older_builds(rule: Rule, ref: str, kind: GoalKind | None) -> None:
    standing = Standing(moves(("a", "b")), {}, (running("old"),))
    verdict = judge(push("b", "c", ref=ref), standing, (rule,))
    expected = {} if kind is None else {"old": Goal(kind, CancelReason.SUPERSEDED, "ccccccc")}
    assert (verdict.decision, goals(verdict)) == (Decision.PLANNED, expected)


def test_only_older_builds_of_the_rules_that_build_now_are_superseded() -> None:
    unfinished = (running("code"), running("docs", rule="docs"), running("gone", rule="removed"), running("new", 9.0))
    standing = Standing(moves(("a", "b")), {}, unfinished)
    verdict = judge(push("b", "c", changed_paths=("src/x",), forced=False), standing, (API, DOCS))
    assert goals(verdict) == {"code": SUPERSEDED}
    assert verdict.reason == "1 build planned; 1 older build superseded"


@pytest.mark.parametrize(
    ("rule", "stands", "becomes"),
    [
        (API, GoalKind.BUILD, GoalKind.CANCEL),
        (API, GoalKind.CANCEL_QUEUED, GoalKind.CANCEL),
        (API, GoalKind.CANCEL, None),
        (QUEUED, GoalKind.BUILD, GoalKind.CANCEL_QUEUED),
        (QUEUED, GoalKind.CANCEL_QUEUED, None),
        (QUEUED, GoalKind.CANCEL, None),
    ],
)
def test_a_goal_only_ever_turns_towards_the_end(rule: Rule, stands: GoalKind, becomes: GoalKind | None) -> None:
    standing = Standing(moves(("a", "b")), {}, (running("old", goal=stands),))
    turned = goals(judge(push("b", "c"), standing, (rule,)))
    assert [goal.kind for goal in turned.values()] == ([] if becomes is None else [becomes])


def test_an_annotated_tag_supersedes_by_its_object_while_its_commit_is_unknown() -> None:
    standing = Standing(moves(("a", "b")), {}, (running("old"),))
    verdict = judge(
        push("b", "c", ref="refs/tags/v1", commit=None), standing, (replace(API, supersede=Supersede.CANCEL),)
    )
    assert goals(verdict) == {"old": SUPERSEDED}
    assert verdict.builds[0].request.image_tags == ("v1", "sha-{short_sha}")


# ── late pushes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def late(rule: Rule = API, plans: Mapping[str, LastPlan] | None = None, *unfinished: Unfinished) -> Verdict:
    """A → B arrives after B → C."""
    return judge(push("a", "b"), Standing(moves(("b", "c")), plans or {}, unfinished), (rule,))


def test_a_late_push_is_superseded_at_birth_where_a_later_move_was_planned() -> None:
    verdict = late(API, planned(1.0))
    assert (verdict.decision, verdict.reason) == (Decision.SUPERSEDED, "arrived late: superseded by ccccccc")
    assert [build.goal for build in verdict.builds] == [SUPERSEDED]
    assert verdict.rules == (("api", "not built: superseded by ccccccc"),)


def test_a_successor_whose_commit_is_unknown_is_called_a_newer_push() -> None:
    assert late(API, planned(1.0, None)).builds[0].goal.detail == "a newer push"


def test_a_late_push_is_built_where_no_later_move_was_planned() -> None:
    assert late(API, {}).decision is Decision.PLANNED
    assert late(API, {"docs": LastPlan(1.0, sha("c"), ("main",))}).decision is Decision.PLANNED


def test_a_late_push_after_the_last_plan_is_built() -> None:
    history = moves(("a", "b"), ("c", "d"), at=(10, 30))
    verdict = judge(push("b", "c", at=20), Standing(history, planned(1.0)), (API,))
    assert (verdict.decision, verdict.move and verdict.move.position) == (Decision.PLANNED, 1.5)


def test_a_push_older_than_all_that_is_remembered_is_superseded_by_a_forgotten_plan() -> None:
    remembered = tuple(replace(move, position=move.position + 100) for move in moves(("b", "c")))
    verdict = judge(push("a", "b"), Standing(remembered, planned(7.0)), (API,))
    assert verdict.decision is Decision.SUPERSEDED


def test_a_late_push_supersedes_only_what_stands_before_it() -> None:
    history = moves(("a", "b"), ("c", "d"), at=(10, 30))
    unfinished = (running("first", 1.0), running("second", 2.0))
    verdict = judge(push("b", "c", at=20), Standing(history, {}, unfinished), (API,))
    assert goals(verdict) == {"first": SUPERSEDED}


def test_under_keep_a_late_push_leaves_the_claimed_tags_to_its_successor() -> None:
    verdict = late(KEEP, planned(1.0))
    assert [(build.goal, build.request.image_tags) for build in verdict.builds] == [(Goal(), ("sha-bbbbbbb",))]
    assert verdict.reason == "1 build planned; main left to ccccccc"
    assert verdict.rules == (("api", "planned; main left to ccccccc"),)


def test_under_keep_a_late_push_without_any_tag_left_is_superseded() -> None:
    assert late(KEEP, planned(1.0, "c", "main", "sha-bbbbbbb")).decision is Decision.SUPERSEDED


def test_under_keep_a_tag_that_names_its_commit_is_nobody_else_s() -> None:
    plans = planned(1.0, None, "v1", "sha-{short_sha}")
    event = push("a", "b", ref="refs/tags/v1", commit=None)
    verdict = judge(event, Standing(moves(("b", "c")), plans), (API,))
    assert verdict.builds[0].request.image_tags == ("sha-{short_sha}",)


def test_a_delivery_may_be_built_by_one_rule_and_late_for_another() -> None:
    verdict = judge(push("a", "b"), Standing(moves(("b", "c")), planned(1.0)), (API, DOCS))
    assert verdict.decision is Decision.PLANNED
    assert verdict.reason == "1 build planned; 1 superseded at birth"
    assert [build.goal.kind for build in verdict.builds] == [GoalKind.CANCEL, GoalKind.BUILD]


# ── deletions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deletion_cancels_under_all_rules_whatever_they_keep() -> None:
    unfinished = (running("code"), running("gone", rule="removed"), running("dropping", goal=GoalKind.CANCEL_QUEUED))
    verdict = judge(push("b", None), Standing(moves(("a", "b")), {}, unfinished), (KEEP,))
    goal = Goal(GoalKind.CANCEL, CancelReason.DELETED, "branch main")
    assert (verdict.decision, verdict.reason) == (Decision.CANCELLED, "branch main was deleted; 3 builds cancelled")
    assert goals(verdict) == {"code": goal, "gone": goal, "dropping": goal}


@pytest.mark.parametrize("event", [push("b", None), push("b", None, at=15)])
def test_a_late_deletion_cancels_nothing(event: PushEvent) -> None:
    history = moves(("a", "b"), (None, "c"), at=(10, 20))
    verdict = judge(event, Standing(history, {}, (running("new", 2.0),)), (API,))
    assert (verdict.decision, verdict.goals) == (Decision.IGNORED, ())
    assert verdict.reason == "branch main was pushed again after this deletion, which arrived late"


def test_a_deletion_that_does_not_tell_what_went_ends_what_stands_at_the_head() -> None:
    standing = Standing(moves((None, "a"), ("a", "b")), unfinished=(running("one"), running("two", 2.0)))
    verdict = judge(push(None, None), standing, (API,))
    assert (verdict.decision, verdict.reason) == (Decision.CANCELLED, "branch main was deleted; 2 builds cancelled")
    assert verdict.move == Move(3.0, sha("b"), None)


def test_a_deletion_that_does_not_tell_what_went_spares_the_branch_that_was_created_anew() -> None:
    standing = Standing(moves((None, "a"), (None, "b")), unfinished=(running("new", 2.0),))
    verdict = judge(push(None, None), standing, (API,))
    assert (verdict.decision, verdict.goals) == (Decision.IGNORED, ())
    assert verdict.move == Move(1.5, sha("a"), None)


@pytest.mark.parametrize("rule", [API, KEEP, QUEUED])
def test_a_push_that_arrives_after_the_deletion_is_not_built(rule: Rule) -> None:
    verdict = judge(push("a", "b"), Standing(moves(("b", None))), (rule,))
    assert (verdict.decision, verdict.reason) == (Decision.SUPERSEDED, "arrived late: branch main was deleted")
    assert verdict.builds[0].goal == Goal(GoalKind.CANCEL, CancelReason.DELETED, "branch main")


def test_a_deletion_before_a_late_push_does_not_matter() -> None:
    history = moves(("a", None), ("c", "d"), at=(10, 30))
    assert judge(push(None, "c", at=20), Standing(history), (API,)).decision is Decision.PLANNED


# ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_a_gap_path_filters_do_not_skip() -> None:
    standing = Standing(moves(("a", "b")))
    next_push = push("b", "c", changed_paths=("src/x",), forced=False)
    assert judge(next_push, standing, (DOCS,)).decision is Decision.IGNORED
    verdict = judge(push("d", "e", changed_paths=("src/x",), forced=False), standing, (DOCS,))
    assert verdict.decision is Decision.PLANNED
    assert verdict.builds[0].is_certain, "nothing was planned before the gap that could be compared with"
    assert verdict.reason == "1 build planned; pushes before this one never arrived"


def test_after_a_gap_what_was_planned_last_under_the_rule_is_compared_with() -> None:
    standing = Standing(moves(("a", "b")), {"docs": LastPlan(1.0, sha("a"), ("main",))})
    (newborn,) = judge(push("d", "e"), standing, (DOCS,)).builds
    assert newborn.request.comparison == Comparison(("docs/**",), sha("a"), GoalKind.CANCEL)


# ── undecided ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_until_it_is_known_whether_a_push_concerns_a_rule_it_supersedes_nothing() -> None:
    standing = Standing(moves(("a", "b")), unfinished=(running("b1", rule="docs"), running("b2")))
    verdict = judge(push("b", "c"), standing, (API, DOCS))
    assert [build.is_certain for build in verdict.builds] == [True, False]
    assert goals(verdict) == {"b2": SUPERSEDED}
    assert verdict.reason.startswith(
        "1 build planned; 1 build planned if the forge shows that paths of the rule have changed; 1 older build"
    )


def undecided(kind: GoalKind | None) -> Build:
    """A build of the rule api that was the second to be recorded and has turned out to be wanted."""
    request = replace(REQUEST, comparison=Comparison(("src/**",), "b" * 40, kind))
    return replace(a_build(), seq=2, position=3.0, commit=sha("c"), request=request)


OTHERS = (
    running("older", 1.0),
    running("newer", 4.0),
    running("of another rule", 1.0, rule="docs"),
    running("ended soon", 1.0, goal=GoalKind.CANCEL),
    replace(running("late", 2.0), seq=5),
)


@pytest.mark.parametrize(
    ("kind", "replaced"),
    [(GoalKind.CANCEL, {"older", "late"}), (GoalKind.CANCEL_QUEUED, {"older", "late"}), (None, {"late"})],
)
def test_what_turns_out_to_be_wanted_replaces_what_is_older(kind: GoalKind | None, replaced: set[str]) -> None:
    turned = dict(replaced_by(undecided(kind), OTHERS))
    assert turned.keys() == replaced
    assert set(turned.values()) == {Goal(kind or GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")}


# ── whatever the order ───────────────────────────────────────────────────────────────────────────────────────────────


class Ref:
    """A ref whose pushes arrive in some order, with every verdict carried out."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.plans: dict[str, LastPlan] = {}
        self.builds: dict[str, tuple[PushEvent, Unfinished]] = {}

    def arrives(self, event: PushEvent) -> Verdict:
        """Judge a push and carry the verdict out."""
        history = tuple(sorted(self.moves, key=lambda move: move.position))
        unfinished = tuple(build for _, build in self.builds.values())
        verdict = judge(event, Standing(history, dict(self.plans), unfinished), (API,))
        if verdict.move is not None:
            self.moves.append(verdict.move)
            for build in verdict.builds:
                self._plan(event, build, verdict.move.position)
        for name, goal in verdict.goals:
            made_by, stands = self.builds[name]
            self.builds[name] = (made_by, replace(stands, goal=goal.kind))
        return verdict

    def _plan(self, event: PushEvent, build: NewBuild, position: float) -> None:
        name = BuildId(f"{event.after}")
        self.builds[name] = (event, Unfinished(name, build.request.rule, position, build.goal.kind))
        last = self.plans.get(build.request.rule)
        if last is None or last.position <= position:
            self.plans[build.request.rule] = LastPlan(position, event.commit, build.request.image_tags)

    def alive(self) -> list[str | None]:
        """The commits that are still to be built."""
        return [event.after for event, build in self.builds.values() if build.goal is GoalKind.BUILD]


CHAIN = "abcdefg"
PLACES = range(len(CHAIN) - 1)


@given(st.permutations(PLACES), st.lists(st.sampled_from(PLACES), max_size=4))
def test_in_whatever_order_pushes_arrive_only_the_last_of_them_is_built(order: list[int], again: list[int]) -> None:
    ref = Ref()
    for place in [*order, *again]:
        ref.arrives(push(CHAIN[place], CHAIN[place + 1], at=place * 10))
    assert ref.alive() == [sha(CHAIN[-1])]
    assert len(ref.moves) == len(PLACES)


def test_without_the_forges_clock_pushes_that_arrive_backwards_find_their_place() -> None:
    ref = Ref()
    for place in reversed(PLACES):
        ref.arrives(push(CHAIN[place], CHAIN[place + 1]))
    assert ref.alive() == [sha(CHAIN[-1])]


@given(st.permutations(range(4)))
def test_in_whatever_order_a_deletion_arrives_nothing_before_it_is_built(order: list[int]) -> None:
    ref = Ref()
    events = [push("a", "b", at=0), push("b", "c", at=10), push("c", None, at=20), push(None, "d", at=30)]
    for place in order:
        ref.arrives(events[place])
    assert ref.alive() == [sha("d")]


# ── pushes that a sweep found, and deliveries that come after it ─────────────────────────────────────────────────────


def swept(before: str | None, after: str) -> PushEvent:
    return push(before, after, is_swept=True)


def test_a_swept_push_is_judged_like_one_that_was_told() -> None:
    verdict = judge(swept("a", "b"), Standing(moves(("x", "a"))), [API])
    assert (verdict.decision, len(verdict.builds)) == (Decision.PLANNED, 1)
    assert verdict.move == Move(2.0, sha("a"), sha("b"), is_swept=True)


def test_a_swept_push_whose_delivery_came_first_is_a_repetition() -> None:
    verdict = judge(swept("a", "c"), Standing(moves(("a", "b"), ("b", "c"))), [API])
    assert (verdict.decision, verdict.builds, verdict.move) == (Decision.REPEATED, (), None)


def test_a_look_that_is_older_than_what_was_recorded_since_changes_nothing() -> None:
    verdict = judge(swept("a", "b"), Standing(moves(("x", "a"), ("a", "c"))), [API])
    assert (verdict.decision, verdict.builds, verdict.move) == (Decision.IGNORED, (), None)
    assert verdict.reason == "main was pushed again since the sweep looked at it"


@pytest.mark.parametrize("at", [None, 30])
@pytest.mark.parametrize("rule", [API, KEEP])
def test_the_deliveries_of_what_a_sweep_took_together_build_nothing_more_of_its_head(
    rule: Rule, at: int | None
) -> None:
    found = judge(swept("a", "c"), Standing(moves(("x", "a"))), [rule])
    assert found.move is not None
    standing = Standing((*moves(("x", "a")), found.move), {rule.name: LastPlan(2.0, sha("c"), ("main", "sha-ccccccc"))})
    last = judge(push("b", "c", at=at), standing, [rule])
    assert (last.decision, last.builds) == (Decision.REPEATED, ())
    assert last.move == Move(1.5, sha("b"), sha("c"), None if at is None else NOON + timedelta(seconds=at))
    first = judge(push("a", "b", at=at), standing, [rule])
    assert first.move is not None
    assert first.move.position < found.move.position
    assert not [
        tag for build in first.builds if build.goal == Goal() for tag in build.request.image_tags if tag == "main"
    ]


# ── judged again ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_push_that_is_known_is_judged_where_it_has_always_stood() -> None:
    known = Standing(moves(("a", "b"), ("b", "c"), ("c", "d")))
    verdict = judge_again(push("b", "c", at=None, pushed_at=None), replace(known, moves=known.moves[:2]), [API])
    assert (verdict.decision, verdict.move) == (Decision.PLANNED, known.moves[1])
    assert [build.goal for build in verdict.builds] == [Goal()]


def test_what_came_after_it_supersedes_it_as_ever() -> None:
    times = moves(("a", "b"), ("b", "c"), at=(1, 2))
    standing = Standing(times, {"api": LastPlan(2.0, sha("c"), ("main",))})
    (build,) = judge_again(push("a", "b", at=1), standing, [API]).builds
    assert build.goal == SUPERSEDED


@pytest.mark.parametrize(("first", "is_built"), [("x", True), ("a", False)], ids=["gap", "no gap"])
def test_path_filters_apply_as_they_did(first: str, *, is_built: bool) -> None:
    standing = Standing(moves((None, first), ("a", "b"), at=(1, 2)))
    verdict = judge_again(push("a", "b", at=2, changed_paths=("src/a.py",), forced=False), standing, [DOCS])
    assert bool(verdict.builds) == is_built


def test_a_push_that_was_never_placed_is_judged_as_one_that_arrives_now() -> None:
    standing = Standing(moves(("b", "c")))
    again, first = (judged(push("a", "b"), standing, [API]) for judged in (judge_again, judge))
    assert again == first
    assert again.move is not None


def test_a_deletion_is_not_judged_again() -> None:
    verdict = judge_again(push("a", None), Standing(moves(("a", "b"))), [API])
    assert (verdict.decision, verdict.builds, verdict.move) == (Decision.IGNORED, (), None)
