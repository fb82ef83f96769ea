"""How many pushes a second are taken, and how soon each is acknowledged.

A closed loop of 32 connections finds the most that a program takes; an open loop at 20 a second shows what a forge sees
on an ordinary day. Each round starts every program anew, in turn, with a first few hundred pushes unmeasured.

Only intake is measured, so Quay must not matter: one that answers after seconds keeps the engine as good as idle, for
the bot as for (c), while every push still leaves them a build to ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import contestants
from tests.benchmarks.contestants import BOT, HAS_GIDGETHUB, OURS, ROWS, Settings
from tests.benchmarks.figures import median, milliseconds, quantile, ratio, times, turned
from tests.benchmarks.load import Order, Result, sent
from tests.benchmarks.processes import Command, running
from tests.benchmarks.pushes import Pushes, Scheme
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import database
from tests.benchmarks.table import Table, Target

REMOTE_LATENCY = "3.0"


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to send pushes; `rate` None: a closed loop."""

    title: str
    scheme: Scheme
    count: int
    warm_up: int
    connections: int = 32
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """One program over all rounds: accepted pushes a second, and the acknowledgement's p50 and p99 in seconds."""

    rate: float
    p50: float
    p99: float


def measure(scale: Scale) -> list[Table]:
    """Every trial as a table."""
    return [_table(trial, asyncio.run(_rounds(trial, scale)), scale) for trial in scale.some(_trials(scale))]


def _trials(scale: Scale) -> list[Trial]:
    closed, warm = scale.items(3000, 40), scale.items(400, 4)
    return [
        Trial("closed loop, 1 commit, many refs of 100 repositories", Scheme("one", 100, 1000, 1), closed, warm),
        Trial("closed loop, 12 commits, many refs of 100 repositories", Scheme("twelve", 100, 1000, 12), closed, warm),
        Trial("closed loop, 1 commit, 40 refs of three repositories", Scheme("few", 3, 40, 1), closed, warm),
        Trial("20 a second", Scheme("open", 100, 1000, 1), scale.items(200, 5), 5, connections=4, rate=20.0),
    ]


async def _rounds(trial: Trial, scale: Scale) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {}
    for number in range(scale.rounds):
        with TemporaryDirectory(dir=scale.folder) as folder:
            async with _commands(trial, scale, Path(folder)) as commands:
                for command in turned(commands, number):
                    results.setdefault(command.name, []).append(await _result(trial, command))
    return results


@asynccontextmanager
async def _commands(trial: Trial, scale: Scale, folder: Path) -> AsyncIterator[list[Command]]:
    settings = Settings(trial.scheme.repositories)
    async with running(contestants.remote(folder, "--latency", REMOTE_LATENCY)) as remote:
        url = f"http://127.0.0.1:{remote.port}"
        with database(scale.store, folder) as store:
            commands = [contestants.bare(folder), contestants.rows(folder)]
            commands += [contestants.bot(folder, settings, url)] if HAS_GIDGETHUB else []
            yield [*commands, contestants.ours(folder, settings, url, store)]


async def _result(trial: Trial, command: Command) -> Result:
    path, scheme = contestants.webhook_path(command.name), trial.scheme
    async with running(command) as program:
        await sent(Order(program.port, path, scheme, trial.warm_up, connections=trial.connections))
        return await sent(
            Order(program.port, path, scheme, trial.count, trial.warm_up, trial.connections, rate=trial.rate)
        )


def _table(trial: Trial, results: Mapping[str, Sequence[Result]], scale: Scale) -> Table:
    refused = {name: sum(len(one.latencies) - one.accepted for one in rounds) for name, rounds in results.items()}
    if any(refused.values()):
        raise RuntimeError(f"not every push was accepted: {refused}")
    figures = {name: _figures(rounds) for name, rounds in results.items()}
    size = len(Pushes(trial.scheme)(trial.count).body) / 1000
    return Table(
        title=f"Intake, {trial.title}",
        columns=("", "accepted a second", "ack p50", "ack p99", "rate against it", "p99 against it"),
        rows=[_row(name, one, figures[OURS]) for name, one in figures.items()],
        figures={f"{name} {key}": getattr(one, key) for name, one in figures.items() for key in ("rate", "p50", "p99")},
        notes=[_note(trial, scale, size)],
        targets=_targets(figures) if trial.rate is None else (),
    )


def _note(trial: Trial, scale: Scale, size: float) -> str:
    return (
        f"{trial.count} pushes of {size:.0f} kB a round, {scale.rounds} rounds in turn, {trial.connections}"
        f" connections; the bot's store is {scale.store}; {Settings(trial.scheme.repositories).told()}."
    )


def _figures(rounds: Sequence[Result]) -> Figures:
    return Figures(
        rate=median(one.rate for one in rounds),
        p50=median(quantile(one.latencies, 0.5) for one in rounds),
        p99=median(quantile(one.latencies, 0.99) for one in rounds),
    )


def _row(name: str, its: Figures, ours: Figures) -> list[str]:
    told = [name, f"{its.rate:.0f}", milliseconds(its.p50), milliseconds(its.p99)]
    return [*told, *(["", ""] if its is ours else [times(ratio(ours.rate, its.rate)), times(ratio(ours.p99, its.p99))])]


def _targets(figures: Mapping[str, Figures]) -> list[Target]:
    ours, their_rows = figures[OURS], figures[ROWS]
    targets = [
        Target("rate against (b)", ratio(ours.rate, their_rows.rate), 0.6, is_least=True),
        Target("p99 against (b)", ratio(ours.p99, their_rows.p99), 2.0),
    ]
    if BOT in figures:
        targets.insert(1, Target("rate against (c)", ratio(ours.rate, figures[BOT].rate), 1.0, is_least=True))
    return targets
