"""What is told of a build's way: each step once, in order, and nothing when nothing moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildbot.domain.build import BuildPhase, CancelReason, Delete, DeleteState, Seen
from buildbot.domain.steps import steps
from tests.domain.builds import NOW, SHA, a_build, accepted, in_, planned, requesting

SENT = Delete(CancelReason.SUPERSEDED, "9f8e7d6", NOW)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (planned(), planned(), ()),
        (planned(), planned(due=in_(seconds=9), failures=1), ()),
        (planned(), planned(because="waits for build b0"), ("waits for build b0",)),
        (planned(because="waits for build b0"), planned(), ()),
        (planned(), requesting(), ("asked Quay for the build", "requesting")),
        (planned(attempt=1), requesting(attempt=2), ("asked Quay for the build, attempt 2", "requesting")),
        (requesting(), planned(because="503"), ("planned: 503",)),
        (requesting(), accepted("waiting"), ("Quay says waiting", "waiting")),
        (accepted("waiting"), accepted("unpacking"), ("Quay says unpacking", "building")),
        (accepted("building"), accepted("building", due=in_(seconds=5)), ()),
        (
            accepted("internalerror"),
            accepted("unpacking", quay_attempt=2),
            ("Quay says unpacking (Quay's attempt 2)",),
        ),
        (
            accepted("building"),
            accepted("building", delete=SENT),
            ("asked Quay to cancel it: superseded by 9f8e7d6",),
        ),
        (
            accepted("building", delete=SENT),
            accepted("building", delete=replace(SENT, state=DeleteState.UNANSWERED)),
            ("Quay did not say whether it cancelled it",),
        ),
        (
            accepted("building", delete=SENT),
            accepted("building", delete=replace(SENT, state=DeleteState.REFUSED, refusal="400: finished")),
            ("Quay refused to cancel it: 400: finished",),
        ),
        (accepted("building", delete=SENT), accepted("building", delete=replace(SENT, read_since=True)), ()),
        (accepted("building", delete=SENT), accepted("building"), ()),
        (
            accepted("building"),
            accepted("cancelled", phase=BuildPhase.CANCELLED, because="cancelled in Quay"),
            ("Quay says cancelled", "cancelled: cancelled in Quay"),
        ),
    ],
)
def test_every_change_is_told_once(before: Seen, after: Seen, told: tuple[str, ...]) -> None:
    assert steps(a_build(before), a_build(after)) == told


def test_a_tags_commit_is_told_when_it_becomes_known() -> None:
    assert steps(replace(a_build(), commit=None), a_build()) == (f"the tag's commit is {SHA}",)
