"""Is it alive, is it ready, what is it doing: the three questions of whoever runs it.

Ready means that the store takes writes, since then no push is lost. A registry or forge that is away is named as
degraded and does not make the bot unready: restarting it, or sending webhooks elsewhere, would help nobody. Nor does
a configuration that cannot be taken over, while the one before it is in force. It is also told when pushes that never
arrived were last looked for, and what was found.

Metrics are given whatever is wrong, since that is when they are looked at; what cannot be known then is no number.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from buildbot.domain.build import BuildPhase
from buildbot.engine.pacing import Line, utc_now
from buildbot.ports import Counts, RoundReport, RoundStore, Store, StoreUnavailable
from buildbot.telemetry import OLDEST_BUILD, REGISTRY, ROUND_AGE, STORE_UP, UNDELIVERED_STATUSES, UNFINISHED_BUILDS
from buildbot.web.round_json import round_as_json

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 3.0
UNFINISHED = tuple(phase for phase in BuildPhase if not phase.is_final)


class WatchedStore(Store, RoundStore, Protocol):
    """A store that knows of builds and of rounds."""


class Health:
    """The routes. `lines` gives those to every registry, forge and credential that is known by now, `configuration`
    what is wrong with the newest configuration ("": nothing)."""

    def __init__(
        self,
        store: WatchedStore,
        lines: Callable[[], Iterable[Line]],
        configuration: Callable[[], str] = lambda: "",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._lines = lines
        self._configuration = configuration
        self._now = now

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/", self.front, name="front"),
            Route("/livez", self.livez, name="livez"),
            Route("/readyz", self.readyz, name="readyz"),
            Route("/metrics", self.metrics, name="metrics"),
        ]

    async def front(self, _request: Request) -> Response:
        """What this is, for whoever comes by."""
        what = "quay-buildbot: builds on Quay for every push, with the result on the commit"
        return JSONResponse({"this is": what, "see": ["/readyz", "/livez", "/metrics"]})

    async def livez(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, _request: Request) -> Response:
        """The store takes writes; what is degraded besides."""
        degraded = {line.name: line.trouble for line in self._lines() if line.trouble}
        if wrong := self._configuration():
            degraded["configuration"] = wrong
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._store.ping()
        except TimeoutError:
            because = f"the database did not take a write within {PATIENCE_SECONDS:.0f} seconds"
            return JSONResponse({"status": "not ready", "because": because, "degraded": degraded}, 503)
        except StoreUnavailable as away:
            return JSONResponse({"status": "not ready", "because": str(away), "degraded": degraded}, 503)
        rounds = await self._rounds()
        degraded |= {one.name: "; ".join(one.troubles) for one in rounds if one.troubles}
        told = {one.name: round_as_json(one) for one in rounds}
        return JSONResponse({"status": "ready", "degraded": degraded, "rounds": told})

    async def metrics(self, _request: Request) -> Response:
        """Prometheus text; what the store knows is counted when asked for, and is NaN while it cannot be read."""
        try:
            _show(await self._store.counts())
            _show_rounds(await self._store.round_reports(), self._now())
        except StoreUnavailable as away:
            log.warning("nothing counted", because=str(away))
            _show_unknown()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    async def _rounds(self) -> tuple[RoundReport, ...]:
        try:
            return await self._store.round_reports()
        except StoreUnavailable:
            return ()  # it took a write just now; that it is away again is for the next question to find out


def _show(counts: Counts) -> None:
    STORE_UP.set(1)
    for phase in UNFINISHED:
        UNFINISHED_BUILDS.labels(phase).set(counts.builds.get(phase, 0))
    UNDELIVERED_STATUSES.set(counts.statuses)
    OLDEST_BUILD.set(counts.oldest_seconds)


def _show_rounds(reports: Iterable[RoundReport], now: datetime) -> None:
    for report in reports:
        if report.finished_at is not None:
            ROUND_AGE.labels(report.name).set((now - report.finished_at).total_seconds())


def _show_unknown() -> None:
    STORE_UP.set(0)
    for gauge in (*(UNFINISHED_BUILDS.labels(phase) for phase in UNFINISHED), UNDELIVERED_STATUSES, OLDEST_BUILD):
        gauge.set(math.nan)
