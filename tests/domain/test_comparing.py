"""Before Quay is asked: does the push concern the rule, is the source there? What each answer of the forge leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from buildbot.domain.build import Build, BuildPhase, Comparison, Goal, GoalKind, Seen
from buildbot.domain.lifecycle import (
    COMPARE_PATIENCE,
    REPLICATION,
    Admit,
    Blocked,
    CheckSource,
    ComparePaths,
    Drop,
    Failed,
    Failure,
    Hold,
    Holder,
    Outcome,
    PathsCompared,
    RequestBuild,
    Scene,
    SourceChecked,
    Wait,
    decide,
    evolve,
)
from buildbot.domain.status import may_own_status
from tests.domain.builds import NOW, REQUEST, SUPERSEDED, a_build, ago, in_

SCENE = Scene(NOW)
OLDER = Holder(REQUEST.image_tags, "build b0")
TROUBLE = "GitHub did not answer"


def undecided(seen: Seen | None = None, *, base: str | None = "b" * 40, goal: Goal | None = None) -> Build:
    """A build of a rule about src/** whose push does not show all that changed."""
    request = replace(REQUEST, comparison=Comparison(("src/**", "!**/*.md"), base, GoalKind.CANCEL))
    return replace(a_build(seen or Seen(BuildPhase.COMPARING), goal=goal), request=request)


def unchecked(**seen: object) -> Build:
    """A build that nobody has asked Quay for, nor looked at the source of."""
    request = replace(REQUEST, dockerfile="docker/Dockerfile")
    return replace(a_build(replace(Seen(), **seen)), request=request)  # type: ignore[arg-type]  # fields of Seen


# ── what changed ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_undecided_build_asks_what_changed_and_waits_for_no_image_tag() -> None:
    assert decide(undecided(), replace(SCENE, holders=(OLDER,))) == ComparePaths()


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (("README.md", "src/x.py"), "src/x.py changed since b0"),
        (None, "what changed since b0 cannot be told"),
    ],
)
def test_a_build_is_wanted_unless_the_forge_proves_the_contrary(paths: tuple[str, ...] | None, why: str) -> None:
    seen = evolve(undecided(), ComparePaths(), PathsCompared(paths, "b0"), SCENE).seen
    assert (seen.phase, seen.wanted_because, seen.because) == (BuildPhase.PLANNED, why, "")


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (("README.md",), "1 path changed since b0, and none matches src/**, !**/*.md"),
        (("a", "src/x.md"), "2 paths changed since b0, and none matches src/**, !**/*.md"),
        ((), "no paths changed since b0, and none matches src/**, !**/*.md"),
    ],
)
def test_where_nothing_that_the_rule_is_about_has_changed_it_ends_skipped(paths: tuple[str, ...], why: str) -> None:
    after = evolve(undecided(), ComparePaths(), PathsCompared(paths, "b0"), SCENE)
    assert (after.seen.phase, after.seen.because, after.seen.finished_at) == (BuildPhase.SKIPPED, why, NOW)
    assert not may_own_status(after)


@pytest.mark.parametrize(("has_submodules", "phase"), [(True, BuildPhase.PLANNED), (False, BuildPhase.SKIPPED)])
def test_a_submodule_that_moved_may_have_changed_anything_inside(has_submodules: bool, phase: BuildPhase) -> None:
    build = undecided()
    build = replace(build, request=replace(build.request, submodules=has_submodules))
    assert evolve(build, ComparePaths(), PathsCompared(("src",), "b0"), SCENE).seen.phase is phase


def test_a_new_branch_with_nothing_of_its_own_is_built_since_no_image_has_its_name_yet() -> None:
    seen = evolve(undecided(base=None), ComparePaths(), PathsCompared((), "main"), SCENE).seen
    assert (seen.phase, seen.wanted_because) == (
        BuildPhase.PLANNED,
        "a new branch with nothing of its own since main",
    )


@pytest.mark.parametrize("kind", [Failure.REFUSED, Failure.VANISHED])
def test_a_forge_that_will_never_tell_leaves_it_wanted(kind: Failure) -> None:
    seen = evolve(undecided(), ComparePaths(), Failed(kind, "404"), SCENE).seen
    assert (seen.phase, seen.wanted_because) == (BuildPhase.PLANNED, "what changed cannot be told: 404")


@pytest.mark.parametrize(
    "outcome", [Failed(Failure.UNANSWERED, TROUBLE), Failed(Failure.NOT_SENT, TROUBLE), Blocked(TROUBLE, in_(hours=1))]
)
def test_a_forge_that_is_away_is_asked_again_for_two_minutes(outcome: Outcome) -> None:
    build = replace(undecided(), created_at=NOW)
    after = evolve(build, ComparePaths(), outcome, SCENE)
    assert (after.seen.phase, after.seen.because) == (BuildPhase.COMPARING, TROUBLE)
    waiting = decide(after, SCENE)
    assert isinstance(waiting, Wait)
    assert waiting.until is not None
    assert NOW < waiting.until <= NOW + COMPARE_PATIENCE
    patient = replace(SCENE, now=NOW + COMPARE_PATIENCE)
    admitted = decide(after, patient)
    assert admitted == Admit(f"what changed cannot be told: {TROUBLE}")
    assert evolve(after, admitted, None, patient).seen.phase is BuildPhase.PLANNED


def test_however_long_the_bot_was_away_the_forge_is_asked_once() -> None:
    assert decide(replace(undecided(), created_at=ago(days=2)), SCENE) == ComparePaths()


def test_one_that_is_superseded_meanwhile_is_dropped_without_a_call() -> None:
    action = decide(undecided(goal=SUPERSEDED), SCENE)
    assert isinstance(action, Drop)
    assert evolve(undecided(goal=SUPERSEDED), action, None, SCENE).seen.phase is BuildPhase.CANCELLED


# ── whether the source is there ──────────────────────────────────────────────────────────────────────────────────────


def test_the_source_is_looked_at_before_quay_is_asked_even_while_an_image_tag_is_held() -> None:
    held = replace(SCENE, holders=(OLDER,))
    assert decide(unchecked(), held) == CheckSource()
    checked = evolve(unchecked(), CheckSource(), SourceChecked(), held)
    assert decide(checked, held) == Hold(OLDER)
    assert decide(checked, SCENE) == RequestBuild()


@pytest.mark.parametrize("build", [unchecked(is_checked=True), unchecked(attempt=1, looked_at=NOW), a_build()])
def test_it_is_looked_at_once(build: Build) -> None:
    assert decide(build, SCENE) == RequestBuild()


def test_a_dockerfile_that_is_not_there_ends_the_build_before_it_is_spent() -> None:
    seen = evolve(unchecked(), CheckSource(), SourceChecked("Dockerfile is not in acme/api"), SCENE).seen
    assert (seen.phase, seen.because, seen.attempt) == (BuildPhase.ERRORED, "Dockerfile is not in acme/api", 0)


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(Failure.UNANSWERED, TROUBLE),
        Failed(Failure.NOT_SENT, TROUBLE),
        Failed(Failure.REFUSED, TROUBLE),
        Blocked(TROUBLE, in_(hours=1)),
    ],
)
def test_a_forge_that_says_nothing_clear_delays_nobody(outcome: Outcome) -> None:
    after = evolve(unchecked(), CheckSource(), outcome, SCENE)
    assert after.seen.because == ""
    assert decide(after, SCENE) == RequestBuild()


@pytest.mark.parametrize(
    ("created", "phase"), [(ago(seconds=30), BuildPhase.PLANNED), (NOW - REPLICATION, BuildPhase.ERRORED)]
)
def test_a_commit_that_is_not_there_may_be_new_for_a_minute(created: datetime, phase: BuildPhase) -> None:
    build = replace(unchecked(), created_at=created)
    after = evolve(build, CheckSource(), Failed(Failure.VANISHED, "No commit found"), SCENE)
    assert after.seen.phase is phase
    if phase is BuildPhase.PLANNED:
        assert after.seen.due is not None
        assert decide(after, replace(SCENE, now=after.seen.due + timedelta(seconds=1))) == CheckSource()
    else:
        assert after.seen.because == "the commit is not there: No commit found"
