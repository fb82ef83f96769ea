"""What many builds in flight cost: memory and processor time for each, how late their ends are told, how soon a process
that starts anew follows every one again. And what the bot costs while nothing happens, beside (c).

One process, `buildbot serve`, five builds in each repository, ten thousand in the largest run. They come in by the
front door and stay in Quay's hands for as long as the measurement takes, except some, meant to end meanwhile, whose lag
is told. The bot asks at the rate in the table: with more repositories than it may ask in a second, each waits its turn.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import contestants
from tests.benchmarks.contestants import BOT, HAS_GIDGETHUB, OURS, Settings
from tests.benchmarks.figures import in_seconds, median, quantile, ratio
from tests.benchmarks.load import Order, sent
from tests.benchmarks.processes import Command, Program, running
from tests.benchmarks.pushes import Scheme
from tests.benchmarks.remote import Facts
from tests.benchmarks.remote_process import Place
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import database
from tests.benchmarks.table import Table, Target

BUILDS = (100, 1_000, 10_000)
PER_REPOSITORY = 5
WATCH_SECONDS = 30.0
SETTLE_SECONDS = 20.0
ENDING_SHARE = 20
PATIENCE_SECONDS = 300.0
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Memory in bytes, times in seconds, processor time as a share of one processor."""

    builds: int
    idle: int
    resident: int
    cpu: float
    lags: list[float]
    followed_again: float

    @property
    def bytes_a_build(self) -> float:
        """What a build adds to the memory of an idle bot."""
        return (self.resident - self.idle) / self.builds


def measure(scale: Scale) -> list[Table]:
    """Builds in flight by number, then idling."""
    runs = [asyncio.run(_run(scale.items(builds, PER_REPOSITORY), scale)) for builds in scale.some(BUILDS)]
    return [_flight(runs, scale), asyncio.run(_idling(scale))]


def settings_for(builds: int) -> Settings:
    """Ordinary intervals, and no bound on how often Quay is asked but the configuration's highest."""
    return Settings(max(1, builds // PER_REPOSITORY), poll_interval="5s", polls_per_second=1000)


async def _run(builds: int, scale: Scale) -> Figures:
    settings = settings_for(builds)
    with TemporaryDirectory(dir=scale.folder) as made, database(scale.store, Path(made)) as store:
        folder, ending = Path(made), str(scale.seconds(SETTLE_SECONDS) + 15)
        options = ("--building", "86400", "90000", "--ending", str(ENDING_SHARE), ending, str(WATCH_SECONDS))
        async with running(contestants.remote(folder, *options)) as remote:
            place = Place(remote.port)
            command = contestants.ours(folder, settings, place.url, store)
            async with running(command) as program:
                watched = await _watched(builds, settings, program, place, scale)
            again = await _followed_again(command, place, settings.repositories)
    return Figures(builds, *watched, again)


async def _watched(
    builds: int, settings: Settings, program: Program, place: Place, scale: Scale
) -> tuple[int, int, float, list[float]]:
    await asyncio.sleep(scale.seconds(2.0))
    idle = program.resident_bytes
    scheme = Scheme("size", settings.repositories, PER_REPOSITORY, 1)
    await sent(Order(program.port, contestants.webhook_path(OURS), scheme, builds))
    await _until_requested(place, builds)
    await asyncio.sleep(scale.seconds(SETTLE_SECONDS))
    before, began = program.cpu_seconds, time.perf_counter()
    await asyncio.sleep(scale.seconds(WATCH_SECONDS))
    cpu = (program.cpu_seconds - before) / (time.perf_counter() - began)
    resident = program.resident_bytes
    return idle, resident, cpu, _lags(await place.facts())


async def _until_requested(place: Place, builds: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len((await place.facts()).requested) < builds:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.5)


async def _followed_again(command: Command, place: Place, repositories: int) -> float:
    """Seconds from the start of a new process until each repository has been asked about once more."""
    began = time.time()
    async with running(command), asyncio.timeout(PATIENCE_SECONDS):
        while await _looked_at_since(place, began) < repositories:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.2)
    return time.time() - began


async def _looked_at_since(place: Place, began: float) -> int:
    return sum(moment > began for moment in (await place.facts()).looked_at.values())


def _lags(facts: Facts) -> list[float]:
    told = {sha: moment for sha, state, moment in reversed(facts.statuses) if state != "pending"}
    return [moment - facts.ended[sha] for sha, moment in told.items()]


def _flight(runs: list[Figures], scale: Scale) -> Table:
    smallest, largest = runs[0], runs[-1]
    return Table(
        title="Builds in flight in one process, five in each repository",
        columns=("builds", "memory", "memory a build", "processor", "lag, p50", "lag, p99", "all followed again after"),
        rows=[_row(one) for one in runs],
        figures={"memory": largest.resident, "followed again": largest.followed_again},
        notes=[f"{settings_for(largest.builds).told()}; the bot's store is {scale.store}."],
        targets=[
            Target(
                f"processor time a build, {largest.builds} against {smallest.builds}",
                ratio(largest.cpu / largest.builds, smallest.cpu / smallest.builds),
                1.5,
            )
        ],
    )


def _row(one: Figures) -> list[str]:
    lags = [in_seconds(quantile(one.lags, share)) for share in (0.5, 0.99)] if one.lags else ["", ""]
    memory = [f"{one.resident / MEBIBYTE:.0f} MiB", f"{one.bytes_a_build / 1024:.1f} KiB"]
    return [f"{one.builds}", *memory, f"{one.cpu * 100:.0f} %", *lags, in_seconds(one.followed_again)]


async def _idling(scale: Scale) -> Table:
    """A configuration of ten rules and nothing to do."""
    memory: dict[str, list[float]] = {}
    ready: dict[str, list[float]] = {}
    for _ in range(scale.rounds):
        with TemporaryDirectory(dir=scale.folder) as made, database(scale.store, Path(made)) as store:
            for command in _idlers(Path(made), store):
                async with running(command) as program:
                    await asyncio.sleep(scale.seconds(2.0))
                    memory.setdefault(program.name, []).append(program.resident_bytes)
                    ready.setdefault(program.name, []).append(program.ready_after)
    names = list(memory)
    figures = {name: (median(memory[name]), median(ready[name])) for name in names}
    targets = [Target("ready after", figures[OURS][1], 1.0, unit=" s")]
    if BOT in figures:
        targets.append(Target("memory against (c)", ratio(figures[OURS][0], figures[BOT][0]), 1.4))
    return Table(
        title="Idle",
        columns=("", "memory", "ready after"),
        rows=[[name, f"{figures[name][0] / MEBIBYTE:.0f} MiB", in_seconds(figures[name][1])] for name in names],
        figures={f"{name} {key}": figures[name][at] for name in names for at, key in enumerate(("memory", "ready"))},
        notes=[f"{scale.rounds} starts of each in turn, ten rules, a new database."],
        targets=targets,
    )


def _idlers(folder: Path, store: str) -> list[Command]:
    nowhere, settings = "http://127.0.0.1:9", Settings(10)
    theirs = [contestants.bot(folder, settings, nowhere)] if HAS_GIDGETHUB else []
    return [*theirs, contestants.ours(folder, settings, nowhere, store)]
