"""The real engine on the real store at random: whatever dies or is lost, no push is lost and no status is a lie.

`BUILDBOT_SIMULATIONS` sets how many runs are made (default 40, some twenty seconds). A failure names its seed:
`play(seed)` plays the same run again, as long as neither engine nor simulation changed (nearly always: where the engine
goes through a set of build ids, which are random, two calls may change places).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

import pytest

from buildbot.domain.build import Build, BuildPhase, Delete, WaitingLine
from tests.engine.mishaps import Sabotage
from tests.engine.simulation import Simulation
from tests.engine.verdict import judge_run, play

FIRST = 40
RUNS = int(os.environ.get("BUILDBOT_SIMULATIONS", "40"))
ON_POSTGRES = RUNS // 4
"""Runs that are played there too: the engine is the same, and the store has its own contract."""

PATIENCE = 150
"""Runs in which a skipped rule has to show; each sabotage starts at a seed where it does, to be quick."""


@dataclass
class Summary:
    """What all runs together came to."""

    defects: dict[int, list[str]] = field(default_factory=dict)
    phases: Counter[BuildPhase] = field(default_factory=Counter)
    reasons: set[str] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)

    def add(self, sim: Simulation) -> None:
        """Play a run and count what it met."""
        end = sim.run()
        if found := judge_run(sim, end):
            self.defects[sim.seed] = found
        self.phases.update(row.seen.phase for row in end.rows.values())
        self.reasons |= {row.seen.because for row in end.rows.values()}
        self.met["deaths"] += sim.deaths
        self.met["claims lost"] += sim.lost_claims
        self.met["second attempts"] += sum(row.seen.attempt > 1 for row in end.rows.values())
        self.met["refused cancels"] += sum(bool(one and one.refusal) for one in _deletes(sim))
        self.met["refused statuses"] += len(sim.forge.refused)
        self.met["waits for a place"] += sum(line is WaitingLine.PLACE for line in sim.waited.values())
        self.met["waits for Quay's queue"] += sum(line is WaitingLine.QUEUE for line in sim.waited.values())
        self.met["dropped in quiet"] += sum(_was_dropped_in_quiet(row) for row in end.rows.values())
        self.met["rebuilds"] += sum(row.rebuild_of is not None for row in end.rows.values())


def _was_dropped_in_quiet(row: Build) -> bool:
    ended, quiet = row.seen.finished_at, row.request.quiet_period
    return bool(quiet and ended and not row.seen.attempt and ended < row.created_at + quiet)


def _deletes(sim: Simulation) -> list[Delete | None]:
    assert sim.ending is not None
    return [row.seen.delete for row in sim.ending.rows.values()]


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Every run, played once."""
    together = Summary()
    for seed in range(FIRST, FIRST + RUNS):
        together.add(Simulation(seed))
    return together


def complains(seed: int, sabotage: Sabotage, complaint: str) -> bool:
    return any(complaint in defect for defect in play(seed, sabotage))


def test_no_crash_lost_answer_or_stalled_process_makes_a_run_go_wrong(summary: Summary) -> None:
    assert summary.defects == {}


@pytest.mark.parametrize("seed", range(ON_POSTGRES))
def test_on_postgresql_it_goes_as_well(postgres_url: str, seed: int) -> None:
    sim = Simulation(seed, store_url=postgres_url)
    assert judge_run(sim, sim.run()) == []


def test_the_runs_meet_what_they_are_for(summary: Summary) -> None:
    assert all(summary.phases[phase] for phase in BuildPhase if phase.is_final)
    reasons = " ".join(summary.reasons)
    for words in ("superseded by", "cancelled by ada"):
        assert words in reasons
    assert all(summary.met.values()), summary.met


@pytest.mark.parametrize(
    ("sabotage", "complaint", "start"),
    [
        pytest.param(Sabotage(forgets_intent=True), "was built twice", 9, id="intent"),
        pytest.param(Sabotage(never_settles=True), "was built twice", 9, id="settle-time"),
        pytest.param(Sabotage(hides_holders=True), "after the newer", 65, id="one-writer"),
        pytest.param(Sabotage(ignores_fencing=True), "that was lost wrote something", 1, id="fencing"),
        pytest.param(Sabotage(drops_strays=True), "while a stray could still write", 49, id="strays"),
        pytest.param(Sabotage(forgets_wakes=True), "never ended", 52, id="wakes"),
        pytest.param(Sabotage(ignores_caps=True), "builds were in flight under", 0, id="caps"),
        pytest.param(Sabotage(trusts_stale_posts=True), "and not", 22, id="newer-wishes"),
    ],
)
def test_an_engine_that_skips_a_rule_is_caught(sabotage: Sabotage, complaint: str, start: int) -> None:
    assert any(complains(seed, sabotage, complaint) for seed in range(start, start + PATIENCE))
