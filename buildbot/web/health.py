"""Is it alive, is it ready, what is it doing: the three questions of whoever runs it.

Ready means that the store takes writes, since then no push is lost. A registry or forge that is away is named as
degraded and does not make the bot unready: restarting it, or sending webhooks elsewhere, would help nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from buildbot.domain.build import BuildPhase
from buildbot.engine.pacing import Line
from buildbot.ports import Store, StoreUnavailable
from buildbot.telemetry import OLDEST_BUILD, REGISTRY, UNDELIVERED_STATUSES, UNFINISHED_BUILDS


class Health:
    """The routes. `lines` are those to every registry and forge."""

    def __init__(self, store: Store, lines: Sequence[Line]) -> None:
        self._store = store
        self._lines = tuple(lines)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/livez", self.livez, name="livez"),
            Route("/readyz", self.readyz, name="readyz"),
            Route("/metrics", self.metrics, name="metrics"),
        ]

    async def livez(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, _request: Request) -> Response:
        """The store takes writes; what is degraded besides."""
        degraded = {line.name: line.trouble for line in self._lines if line.trouble}
        try:
            await self._store.ping()
        except StoreUnavailable as away:
            return JSONResponse({"status": "not ready", "because": str(away), "degraded": degraded}, 503)
        return JSONResponse({"status": "ready", "degraded": degraded})

    async def metrics(self, _request: Request) -> Response:
        """Prometheus text; what the store knows is counted when asked for."""
        try:
            counts = await self._store.counts()
        except StoreUnavailable as away:
            return JSONResponse({"error": str(away)}, 503)
        for phase in BuildPhase:
            if not phase.is_final:
                UNFINISHED_BUILDS.labels(phase).set(counts.builds.get(phase, 0))
        UNDELIVERED_STATUSES.set(counts.statuses)
        OLDEST_BUILD.set(counts.oldest_seconds)
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
