"""The whole machine at random: whatever dies or is lost on the way, no push is lost and no end is a lie.

`BUILDBOT_SIMULATIONS` sets how many runs are made (default 3000, some ten seconds). A failure names its seed:
`Driver(seed).run()` plays the same run again, as long as neither driver nor model changed.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from buildbot.domain.build import Build, BuildPhase, WaitingLine
from tests.domain.simulation import Driver, Sabotage

RUNS = int(os.environ.get("BUILDBOT_SIMULATIONS", "3000"))
PARTS = 10
PATIENCE = 500


def defects_of(seeds: range, sabotage: Sabotage) -> dict[int, list[str]]:
    return {seed: found for seed in seeds if (found := Driver(seed, sabotage).run())}


def complains(seed: int, sabotage: Sabotage, complaint: str) -> bool:
    return any(complaint in defect for defect in Driver(seed, sabotage, has_order=False).run())


@pytest.mark.parametrize("part", range(PARTS))
def test_no_crash_lost_answer_or_refused_cancel_makes_a_run_go_wrong(part: int) -> None:
    share = -(-RUNS // PARTS)
    assert defects_of(range(part * share, (part + 1) * share), Sabotage()) == {}


@pytest.mark.parametrize(
    ("sabotage", "complaint", "start"),
    [
        (Sabotage(forgets_intent=True), "was built twice", 0),
        (Sabotage(never_settles=True), "was built twice", 0),
        (Sabotage(ignores_holders=True), "after the newer", 0),
        (Sabotage(drops_strays=True), "while a stray could still write", 1800),
        (Sabotage(believes_first_log=True), "but Quay says complete", 0),
        (Sabotage(ignores_history=True), "the head of its ref", 0),
    ],
    ids=["intent", "settle-time", "one-writer", "strays", "expired-read-twice", "history"],
)
def test_a_machine_that_skips_a_rule_is_caught(sabotage: Sabotage, complaint: str, start: int) -> None:
    assert any(complains(seed, sabotage, complaint) for seed in range(start, start + PATIENCE))


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(255, id="the second DELETE was refused because the first, unanswered, had worked"),
        pytest.param(121, id="the log showed three attempts only because the third had just begun"),
        pytest.param(453, id="a build that was going to succeed was called failed"),
        pytest.param(376, id="a source was called unusable while the third attempt was still to come"),
    ],
)
def test_a_run_that_once_went_wrong_goes_right(seed: int) -> None:
    assert Driver(seed, has_order=False).run() == []


def test_the_runs_reach_every_ending() -> None:
    drivers = [Driver(seed) for seed in range(800)]
    for driver in drivers:
        driver.run()
    rows = [row for driver in drivers for row in driver.rows.values()]
    phases = Counter(row.seen.phase for row in rows)
    reasons = " ".join(row.seen.because for row in rows)
    # What is skipped is never asked of Quay: the simulation of the engine has path filters, this one has none.
    assert all(phases[phase] > 0 for phase in BuildPhase if phase.is_final and phase is not BuildPhase.SKIPPED)
    for words in ("timed out", "superseded by", "was deleted", "cancelled by ada", "cancelled in Quay", "Quay took"):
        assert words in reasons
    assert any(row.seen.ended for row in rows), "no build was starved and asked for again"
    assert any(driver.strays for driver in drivers), "no build landed after all hope"
    assert any(row.seen.attempt > 2 for row in rows), "no request was lost twice"
    assert {line for driver in drivers for line in driver.waits} == set(WaitingLine)
    assert any(_was_dropped_in_quiet(row) for row in rows), "no burst of pushes became one build"


def _was_dropped_in_quiet(row: Build) -> bool:
    ended, quiet = row.seen.finished_at, row.request.quiet_period
    return bool(quiet and ended and not row.seen.attempt and ended < row.created_at + quiet)
