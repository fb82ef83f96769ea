"""What was seen and is no news is known to the next look of this process, and to no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from buildbot.domain.build import Build, BuildPhase, Goal, GoalKind
from buildbot.engine.glances import REMEMBERED_SECONDS, UNWRITTEN_AT_MOST, Glance, Glances, glance
from buildbot.ports import Claim
from tests.domain.builds import NOW, a_build, accepted, planned

WRITTEN = a_build(accepted("building"))


def seen_again(seconds: float = 10, **changes: Any) -> Build:
    """The build as a look finds it so many seconds later."""
    now = NOW + timedelta(seconds=seconds)
    times = {"observed_at": now, "ran": timedelta(seconds=seconds), "due": now + timedelta(seconds=5)}
    return replace(WRITTEN, seen=replace(WRITTEN.seen, **{**times, **changes}))


def claim(token: int = 1, *, is_taken_over: bool = False, builds: tuple[Build, ...] = (WRITTEN,)) -> Claim:
    return Claim("quay", "acme/api", token, 0, builds, is_taken_over=is_taken_over)


def kept(moment: float = 0.0) -> Glances:
    """The glances of a process that has looked once."""
    glances, found = Glances(), glance(WRITTEN, seen_again())
    assert found is not None
    glances.keep(claim(), {WRITTEN.id: found}, moment)
    return glances


def test_what_was_seen_again_is_put_together_from_what_is_written_and_the_glance() -> None:
    again = seen_again()
    found = glance(WRITTEN, again)
    assert found == Glance(again.seen.observed_at, again.seen.ran, again.seen.due)
    assert found.over(WRITTEN) == again


@pytest.mark.parametrize(
    "news",
    [
        {"phase": BuildPhase.WAITING},
        {"quay_phase": "pushing"},
        {"because": "no word from Quay"},
        {"failures": 1},
        {"ahead": 2},
        {"silent_since": NOW},
        {"finished_at": NOW},
    ],
    ids=lambda news: next(iter(news)),
)
def test_news_is_to_be_written(news: dict[str, Any]) -> None:
    assert glance(WRITTEN, seen_again(**news)) is None


def test_another_request_or_commit_is_to_be_written() -> None:
    again = seen_again()
    assert glance(WRITTEN, replace(again, commit="f" * 40)) is None
    assert glance(WRITTEN, replace(again, request=again.request.for_commit("f" * 40))) is not None
    assert glance(WRITTEN, replace(again, request=replace(again.request, image_tags=("x",)))) is None


def test_what_is_written_never_gets_older_than_a_minute() -> None:
    last = UNWRITTEN_AT_MOST.total_seconds()
    assert glance(WRITTEN, seen_again(last - 1)) is not None
    assert glance(WRITTEN, seen_again(last)) is None


def test_what_was_never_seen_at_quay_is_no_glance() -> None:
    waiting = a_build(planned())
    assert glance(waiting, replace(waiting, seen=replace(waiting.seen, due=NOW))) is None


@pytest.mark.parametrize("token", [1, 2], ids=["under the same claim", "under the next"])
def test_the_next_look_knows_what_this_one_found_once(token: int) -> None:
    glances = kept()
    assert glances.recall(claim(token)) == {WRITTEN.id: seen_again()}
    assert glances.recall(claim(token)) == {}


@pytest.mark.parametrize(
    "later",
    [claim(token=3), claim(token=2, is_taken_over=True), claim(token=2, builds=())],
    ids=["another had it meanwhile", "another had it last", "it has ended"],
)
def test_nothing_is_known_of_what_others_may_have_written_meanwhile(later: Claim) -> None:
    assert kept().recall(later) == {}


def test_what_people_want_meanwhile_is_kept() -> None:
    cancelled = replace(WRITTEN, goal=Goal(GoalKind.CANCEL))
    (build,) = kept().recall(claim(token=2, builds=(cancelled,))).values()
    assert (build.goal.kind, build.seen) == (GoalKind.CANCEL, seen_again().seen)


def test_what_is_not_looked_at_any_more_is_forgotten() -> None:
    glances = kept(moment=0.0)
    other = replace(claim(), repository="acme/other")
    glances.keep(other, {}, REMEMBERED_SECONDS + 1)
    assert glances.recall(claim(token=2)) == {}
