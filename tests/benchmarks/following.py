"""From the end of a build to its final status on the commit, and how many calls to Quay that costs.

The two belong together: who asks often knows soon. Against one poll loop per build every three seconds, in simulated
time, so the figures are exact. `dense` and `queued` differ in what Quay does with many builds of one repository: side
by side, or one at a time, as its own build manager has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.contestants import BOT, OURS, Settings
from tests.benchmarks.figures import in_seconds, quantile, ratio, times
from tests.benchmarks.pushes import Scheme
from tests.benchmarks.remote import Course, Facts
from tests.benchmarks.scale import Scale
from tests.benchmarks.simulated import CALL_SECONDS, Scenario, World, in_memory_bot, quay_buildbot
from tests.benchmarks.table import Table, Target

Contestant = Callable[[World], Awaitable[None]]
LONG = (120.0, 300.0)
ROUNDS_OF_SPARSE, SPARSE_GAP = 4, 400.0


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario and what is asked of it against (c): the lag's and the calls' ratio at most; None: nothing."""

    scenario: Scenario
    lag: float | None
    calls: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds from end to final status, in the mean and at p99, and calls to Quay for each build."""

    lag: float
    p99: float
    calls: float
    github: float


def measure(scale: Scale) -> list[Table]:
    """One table for each case."""
    return [table(case) for case in scale.some(cases(scale))]


def cases(scale: Scale) -> list[Case]:
    """Steady and thin, dense and queued, sparse."""
    settings = Settings(0, poll_interval="1s")
    few, many = scale.items(150, 4), scale.items(360, 6)
    steady = Scheme("steady", 10, 1000, 1)
    built = "builds of 9 to 15 s"
    return [
        Case(_pushed(f"steady: {few} {built} in ten repositories, five pushes a second", steady, few, 5.0), 0.5, 0.65),
        Case(_pushed(f"thin: {few} {built} in ten repositories, one push a second", steady, few, 1.0), None, None),
        Case(
            _pushed(
                f"dense: {many} {built} in three repositories, 120 at a time", Scheme("dense", 3, 1000, 1), many, 10.0
            ),
            0.5,
            0.3,
        ),
        Case(
            replace(
                _pushed(
                    f"queued: {many // 3} {built} in three repositories, of each one at a time",
                    Scheme("queued", 3, 1000, 1),
                    many // 3,
                    10.0,
                ),
                course=Course(one_at_a_time=True),
            ),
            None,
            None,
        ),
        _sparse(scale.items(20, 2), settings),
    ]


def _pushed(title: str, scheme: Scheme, count: int, rate: float) -> Scenario:
    times = [number / rate for number in range(count)]
    return Scenario(title, scheme, Course(), times, Settings(0, poll_interval="1s"))


def _sparse(repositories: int, settings: Settings) -> Case:
    starts = [turn * SPARSE_GAP + n for turn in range(ROUNDS_OF_SPARSE) for n in range(repositories)]
    scenario = Scenario(
        f"sparse: one build of 2 to 5 minutes in each of {repositories} repositories, {ROUNDS_OF_SPARSE} times",
        Scheme("sparse", repositories, 1000, 1),
        Course(building=LONG, varies=0.1),
        starts,
        settings,
    )
    return Case(scenario, 0.7, 0.6)


def table(case: Case) -> Table:
    """Both sides of a case."""
    theirs = _figures(World(case.scenario).run(in_memory_bot))
    ours = _figures(World(case.scenario).run(quay_buildbot))
    lag, calls = ratio(ours.lag, theirs.lag), ratio(ours.calls, theirs.calls)
    bounds = (("lag", lag, case.lag), ("calls to Quay", calls, case.calls))
    return Table(
        title=f"Build end to final status, {case.scenario.title}",
        columns=("", "lag, mean", "lag, p99", "Quay calls a build", "GitHub calls a build"),
        rows=[
            _row(BOT, theirs),
            _row(OURS, ours),
            ["ratio", times(lag), times(ratio(ours.p99, theirs.p99)), times(calls), ""],
        ],
        figures={"lag": lag, "calls": calls, "our lag": ours.lag, "their lag": theirs.lag},
        notes=[f"Simulated time; a call takes {CALL_SECONDS * 1000:.0f} ms; {case.scenario.settings.told()}."],
        targets=[Target(f"{what} against (c)", value, limit) for what, value, limit in bounds if limit is not None],
    )


def _row(name: str, its: Figures) -> list[str]:
    return [name, in_seconds(its.lag), in_seconds(its.p99), f"{its.calls:.2f}", f"{its.github:.2f}"]


def _figures(facts: Facts) -> Figures:
    lags = lags_of(facts)
    builds = len(facts.requested)
    quay = sum(count for name, count in facts.calls.items() if "RepoBuild" in name)
    github = sum(count for name, count in facts.calls.items() if "RepoBuild" not in name)
    return Figures(sum(lags) / len(lags), quantile(lags, 0.99), quay / builds, github / builds)


def lags_of(facts: Facts) -> Sequence[float]:
    """Seconds from each build's end to its first final status."""
    told: dict[str, float] = {}
    for sha, state, moment in facts.statuses:
        if state != "pending":
            told.setdefault(sha, moment)
    return [told[sha] - ended for sha, ended in facts.ended.items()]
