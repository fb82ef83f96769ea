"""What one pass takes on: older builds first, reads without a limit, requests apart."""

from __future__ import annotations

from buildbot.domain.build import BuildId, CancelReason
from buildbot.domain.lifecycle import Action, CancelBuild, FindBuild, PollBuild, RequestBuild, ResolveCommit
from buildbot.engine.portions import MOST_OTHER_CALLS, MOST_REQUESTS, in_portions

CANCEL = CancelBuild(CancelReason.PERSON, "ada")


def actions(action: Action, count: int, name: str = "b") -> dict[BuildId, Action]:
    return {BuildId(f"{name}{number}"): action for number in range(count)}


def test_what_is_little_is_done_at_once() -> None:
    few = actions(RequestBuild(), 3, "r") | actions(CANCEL, 3, "c") | actions(PollBuild(), 3, "p")
    assert in_portions(few) == (few, {})


def test_the_older_requests_go_first_and_the_others_are_named() -> None:
    many = actions(RequestBuild(), MOST_REQUESTS + 2)
    now, later = in_portions(many)
    assert list(now) == list(many)[:MOST_REQUESTS]
    assert list(later) == list(many)[MOST_REQUESTS:]


def test_other_calls_have_a_portion_of_their_own() -> None:
    many = actions(RequestBuild(), MOST_REQUESTS, "r") | actions(CANCEL, MOST_OTHER_CALLS, "c")
    now, later = in_portions(many | actions(ResolveCommit(), 3, "t"))
    assert (now, later) == (many, {})


def test_reads_are_never_put_off() -> None:
    reads = actions(PollBuild(), 500, "p") | actions(FindBuild(), 500, "f")
    assert in_portions(reads) == (reads, {})
