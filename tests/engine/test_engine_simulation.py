"""The real engine on the real store at random: whatever dies or is lost, no push is lost and no status is a lie.

`BUILDBOT_SIMULATIONS` sets how many runs are made (default 60). A failure names its seed: `play(seed)`
plays the same run again, as long as neither engine nor simulation changed.
"""

from __future__ import annotations

import os

import pytest

from tests.engine.mishaps import Sabotage
from tests.engine.verdict import play

RUNS = int(os.environ.get("BUILDBOT_SIMULATIONS", "60"))
PARTS = 10
PATIENCE = 60


def complains(seed: int, sabotage: Sabotage, complaint: str) -> bool:
    return any(complaint in defect for defect in play(seed, sabotage))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_crash_lost_answer_or_stalled_process_makes_a_run_go_wrong(part: int) -> None:
    share = -(-RUNS // PARTS)
    seeds = range(part * share, (part + 1) * share)
    assert {seed: found for seed in seeds if (found := play(seed))} == {}


@pytest.mark.parametrize(
    ("sabotage", "complaint", "start"),
    [
        (Sabotage(forgets_intent=True), "was built twice", 0),
        (Sabotage(never_settles=True), "was built twice", 0),
        (Sabotage(hides_holders=True), "after the newer", 0),
        (Sabotage(ignores_fencing=True), "that was lost wrote something", 0),
        (Sabotage(drops_strays=True), "while a stray could still write", 0),
        (Sabotage(forgets_wakes=True), "never ended", 0),
        (Sabotage(trusts_stale_posts=True), "and not", 0),
    ],
    ids=["intent", "settle-time", "one-writer", "fencing", "strays", "wakes", "newer-wishes"],
)
def test_an_engine_that_skips_a_rule_is_caught(sabotage: Sabotage, complaint: str, start: int) -> None:
    assert any(complains(seed, sabotage, complaint) for seed in range(start, start + PATIENCE))
