"""How long it takes from a push to the request for its build, as Quay sees it come in.

Every call to Quay and GitHub takes 50 ms, of which the way there is half. The credential is a GitHub App's, and cold:
the token has to be asked for first. Steady is five pushes a second, a burst is 200 at the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import contestants
from tests.benchmarks.contestants import BOT, BOT_TELLS_FIRST, HAS_GIDGETHUB, OURS, Settings
from tests.benchmarks.figures import median, milliseconds, quantile, ratio, times, turned
from tests.benchmarks.load import Order, sent
from tests.benchmarks.processes import Command, running
from tests.benchmarks.pushes import Scheme, sha_of
from tests.benchmarks.remote_process import Place
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import database
from tests.benchmarks.table import Table, Target

LATENCY = "0.05"
REPOSITORIES = 20
SETTINGS = Settings(REPOSITORIES, app_id=12345)
PATIENCE_SECONDS = 60.0
NAMES = [*((BOT, BOT_TELLS_FIRST) if HAS_GIDGETHUB else ()), OURS]


@dataclass(frozen=True, slots=True)
class Trial:
    """Pushes to be sent, and the quantile with the bound that the bot is held to against (c)."""

    title: str
    order: Order
    share: float
    limit: float


def measure(scale: Scale) -> list[Table]:
    """Steady and burst."""
    return [asyncio.run(_table(trial, scale)) for trial in scale.some(_trials(scale))]


def _trials(scale: Scale) -> list[Trial]:
    steady = Order(0, "", Scheme("steady", REPOSITORIES, 1000, 1), scale.items(100, 5), connections=4, rate=5.0)
    count = scale.items(200, 10)
    burst = Order(0, "", Scheme("burst", REPOSITORIES, 1000, 1), count, connections=count)
    return [Trial("5 a second", steady, 0.5, 2.5), Trial(f"a burst of {count}", burst, 0.99, 0.5)]


async def _table(trial: Trial, scale: Scale) -> Table:
    spans: dict[str, list[list[float]]] = {}
    for number in range(scale.rounds):
        for name in turned(NAMES, number):
            spans.setdefault(name, []).append(await _spans(trial, name, scale))
    p50, p99 = _medians(spans, 0.5), _medians(spans, 0.99)
    judged = p50 if trial.share == 0.5 else p99
    return Table(
        title=f"Push to build requested, {trial.title}",
        columns=("", "p50", "p99", "p50 against it", "p99 against it"),
        rows=[_row(name, p50, p99) for name in spans],
        figures={f"{name} {key}": it[name] for name in spans for key, it in (("p50", p50), ("p99", p99))},
        notes=[_note(trial, scale)],
        targets=[
            Target(f"p{trial.share * 100:.0f} against {name}", ratio(judged[OURS], judged[name]), trial.limit)
            for name in (BOT, BOT_TELLS_FIRST)
            if name in judged
        ],
    )


async def _spans(trial: Trial, name: str, scale: Scale) -> list[float]:
    """Seconds from each push to its request, of one program started for it."""
    with TemporaryDirectory(dir=scale.folder) as made:
        folder = Path(made)
        async with running(contestants.remote(folder, "--latency", LATENCY)) as remote:
            place = Place(remote.port)
            with database(scale.store, folder) as store:
                async with running(_command(name, folder, place.url, store)) as program:
                    path = contestants.webhook_path(name)
                    result = await sent(replace(trial.order, port=program.port, path=path))
                    asked = await _asked(place, trial.order)
    return [asked[number] - moment for number, moment in enumerate(result.sent)]


def _command(name: str, folder: Path, url: str, store: str) -> Command:
    if name == OURS:
        return contestants.ours(folder, SETTINGS, url, store)
    return contestants.bot(folder, SETTINGS, url, tells_first=name == BOT_TELLS_FIRST)


async def _asked(place: Place, order: Order) -> list[float]:
    """When Quay was asked for each push's build."""
    wanted = [sha_of(order.scheme.name, number) for number in range(order.count)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (requested := (await place.facts()).requested).keys() >= set(wanted):  # noqa: ASYNC110  another process
            await asyncio.sleep(0.2)
    return [requested[sha] for sha in wanted]


def _note(trial: Trial, scale: Scale) -> str:
    return (
        f"{trial.order.count} pushes over {REPOSITORIES} repositories, {scale.rounds} rounds in turn; every call takes"
        f" {float(LATENCY) * 1000:.0f} ms; a GitHub App's credential; {SETTINGS.told()}."
    )


def _medians(spans: Mapping[str, Sequence[Sequence[float]]], share: float) -> dict[str, float]:
    return {name: median(quantile(one, share) for one in rounds) for name, rounds in spans.items()}


def _row(name: str, p50: Mapping[str, float], p99: Mapping[str, float]) -> list[str]:
    against = ["", ""] if name == OURS else [times(ratio(it[OURS], it[name])) for it in (p50, p99)]
    return [name, milliseconds(p50[name]), milliseconds(p99[name]), *against]
