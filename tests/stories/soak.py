"""Chaos for as long as one likes: `python -m tests.stories.soak --minutes 30 --seed 1 --store postgresql`.

In rounds, each a world of its own with a seed of its own that ends with a verdict. So a defect is found within a minute
of its cause, in a world that is small enough to be looked at, and its round can be played again alone
(`--seed … --minutes 0`). What is needed to find it is kept: the builds with their steps, what every instance logged,
what was pushed and how it was answered, what Quay was asked and what became of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.postgres import Postgres, running_postgres
from tests.stories.chaos import Chaos, chaos
from tests.stories.verdict import Defect, Kind
from tests.stories.world import World, new_world

MOMENTS = 200
NEWS_SECONDS = 30.0
COUNTED = (
    "rounds",
    "pushes",
    "builds",
    "deliveries",
    "not taken",
    "redeliveries",
    "duplicates",
    "kills",
    "freezes",
    "database crashes",
    "outages",
    "faults",
    "strays",
)


@dataclass
class Soak:
    """All rounds together."""

    folder: Path
    postgres: Postgres | None
    counts: Counter[str] = field(default_factory=Counter)
    defects: Counter[Kind] = field(default_factory=Counter)
    running: Chaos | None = None

    async def run(self, seed: int, minutes: float) -> None:
        """One round after the other until the time is over, one at least."""
        began = time.monotonic()
        telling = asyncio.create_task(self._tell(began))
        try:
            while True:
                await self._round(seed)
                seed += 1
                if time.monotonic() - began >= minutes * 60:
                    break
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    def told(self) -> str:
        """The counts so far, those of the round that is being played included."""
        counts = self.counts + (self.running.counts if self.running else Counter())
        defects = ", ".join(f"{self.defects[kind]} {kind}" for kind in Kind)
        return f"{', '.join(f'{counts[what]} {what}' for what in COUNTED)}; {defects}"

    async def _round(self, seed: int) -> None:
        folder = self.folder / f"round-{seed}"
        folder.mkdir()
        with self._database(folder) as (url, crash):
            async with new_world(folder, url) as world:
                defects = await self._played(world, seed, crash)
        self.counts["rounds"] += 1
        if self.running:
            self.counts += self.running.counts
        self.running = None
        self.defects.update(defect.kind for defect in defects)
        for defect in defects:
            print(f"round {seed}: {defect}  (see {folder})", flush=True)

    async def _played(self, world: World, seed: int, crash: Callable[[], Awaitable[None]] | None) -> list[Defect]:
        try:
            async with chaos(world, seed, crash) as run:
                self.running = run
                await run.rage(MOMENTS)
                await run.calm_down()
                defects = await run.verdict()
        except Exception:  # noqa: BLE001  whatever ends a round is to be told, and must not end the others
            defects = [Defect(Kind.WRONG, traceback.format_exc())]
        if self.running:
            keep(self.running, world.folder)
        return defects

    @contextmanager
    def _database(self, folder: Path) -> Iterator[tuple[str, Callable[[], Awaitable[None]] | None]]:
        if self.postgres is None:
            yield f"sqlite:///{folder}/buildbot.db", None
            return
        with self.postgres.database() as url:
            yield url, self._crash

    async def _crash(self) -> None:
        assert self.postgres is not None
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.to_thread(self.postgres.start)

    async def _tell(self, began: float) -> None:
        while True:
            await asyncio.sleep(NEWS_SECONDS)
            print(f"{time.monotonic() - began:.0f} s: {self.told()}", flush=True)


def keep(run: Chaos, folder: Path) -> None:
    """Write down what happened in a round."""
    for number, one in enumerate(run.fleet):
        (folder / f"instance-{number}.log").write_text("\n".join(one.lines))
    if run.known:
        (folder / "builds.txt").write_text("\n".join(str(story) for story in run.known.stories))
    quay = [
        {"id": build.id, "phase": build.phase, "archive": build.archive_url, "tags": build.tags, "log": build.log}
        for build in run.world.quay.builds
    ]
    github = [
        {"guid": one.delivery.guid, "at": f"{one.delivered_at}", "status": one.status_code, "answer": one.answer}
        for one in run.world.github.hookshot.log
    ]
    pushes = [
        {"number": number, "ref": told.push.ref, "before": told.push.before, "after": told.push.after}
        | {"guids": [*told.guids]}
        for number, told in enumerate(run.traffic.pushes)
    ]
    for name, what in {"quay": quay, "github": github, "pushes": pushes}.items():
        (folder / f"{name}.json").write_text(json.dumps(what, indent=1))


def main() -> int:
    """Run it; 0 when every promise was kept, 1 when one was broken."""
    asked = argparse.ArgumentParser(description="Chaos for as long as you like; every promise is counted.")
    asked.add_argument("--minutes", type=float, default=5.0, help="the round that is being played is played to its end")
    asked.add_argument("--seed", type=int, default=1, help="of the first round; each round after it takes the next")
    asked.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    options = asked.parse_args()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the sandboxes' lost answers are meant to be lost
    folder = Path(tempfile.mkdtemp(prefix="buildbot-soak-"))
    print(f"everything is kept in {folder}", flush=True)
    if options.store == "sqlite":
        soak = Soak(folder, None)
        asyncio.run(soak.run(options.seed, options.minutes))
    else:
        with running_postgres() as postgres:
            soak = Soak(folder, postgres)
            asyncio.run(soak.run(options.seed, options.minutes))
    print(soak.told())
    return 1 if soak.defects else 0


if __name__ == "__main__":
    sys.exit(main())
