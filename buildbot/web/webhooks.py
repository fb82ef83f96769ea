"""`POST /webhooks/{forge}`: the size first, the signature over the raw bytes second, and only then anything is parsed.

The body is read as a stream with the signature computed on the way. What is too large is refused as soon as that is
known, and the body of an unsigned delivery is counted but not kept. A 2xx is given only after the commit; every
refusal is one line that says what is wrong, which is what people find in the forge's delivery log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog
from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from buildbot.domain.decision import Decision
from buildbot.engine.intake import Intake
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import Hook
from buildbot.ports import BadPayload, BadSignature, Delivery, Recorded, StoreUnavailable, Verifier
from buildbot.telemetry import ACKNOWLEDGE_SECONDS, DELIVERIES

log = structlog.get_logger(__name__)

LARGEST_BODY = 25 * 1024 * 1024
BODY_SECONDS = 60.0
STOPPING = "the bot is stopping, send it again"
PLANNED = frozenset({Decision.PLANNED, Decision.SUPERSEDED})


class RefusedDelivery(Exception):
    """A delivery that is not taken: the HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebhookEndpoint:
    """The endpoint of all forges. A delivery is answered by the setup that is in force when it comes in."""

    def __init__(self, intake: Intake, current: Current, clock: Clock) -> None:
        self._intake = intake
        self._current = current
        self._clock = clock

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/webhooks/{forge}", self.receive, methods=["POST"], name="webhook")]

    async def receive(self, request: Request) -> Response:
        """Answer one delivery."""
        forge, started, setup = request.path_params["forge"], time.perf_counter(), self._current.setup
        hook, headers = setup.hooks.get(forge), _headers(request)
        known = "unknown" if hook is None else forge
        with structlog.contextvars.bound_contextvars(forge=known, delivery=_claimed_id(headers, hook)):
            try:
                return await self._answered(await self._read(request, forge, headers, setup.hooks), setup)
            except RefusedDelivery as refused:
                return _refusal(known, refused.status, str(refused))
            except BadPayload as bad:
                return _refusal(known, 400, str(bad))
            except StoreUnavailable as away:
                return _refusal(known, 503, f"the delivery could not be recorded, send it again: {away}")
            except asyncio.CancelledError:
                return _refusal(known, 503, STOPPING)
            finally:
                ACKNOWLEDGE_SECONDS.labels(known).observe(time.perf_counter() - started)

    async def _answered(self, delivery: Delivery, setup: Setup) -> Response:
        recorded = await self._intake.take(delivery, setup)
        answer = to_json(_answer(delivery, recorded))
        return Response(answer, 202 if recorded.decision in PLANNED else 200, media_type="application/json")

    async def _read(
        self, request: Request, forge: str, headers: Mapping[str, bytes], hooks: Mapping[str, Hook]
    ) -> Delivery:
        hook = hooks.get(forge)
        if hook is None:
            known = ", ".join(hooks)
            raise RefusedDelivery(404, f"no forge of this name is configured; there is: {known}")
        body = await _verified_body(request, hook, headers)
        guid, event = hook.webhook.identify(headers)
        return Delivery(forge, guid, event, hook.webhook.decode(headers, body), self._clock.now())


def _claimed_id(headers: Mapping[str, bytes], hook: Hook | None) -> str | None:
    """What the delivery calls itself, believed or not: it is how people find a refusal in the forge's own log."""
    try:
        return hook.webhook.identify(headers)[0] if hook else None
    except BadPayload:
        return None


async def _verified_body(request: Request, hook: Hook, headers: Mapping[str, bytes]) -> bytes:
    _refuse_announced_size(headers)
    try:
        verifier = hook.webhook.verifier(headers, hook.secrets)
    except BadSignature as unsigned:
        await _take_in(request, None)
        raise RefusedDelivery(401, str(unsigned)) from None
    body = await _take_in(request, verifier)
    try:
        verifier.check()
    except BadSignature as wrong:
        raise RefusedDelivery(401, str(wrong)) from None
    return body


def _headers(request: Request) -> dict[str, bytes]:
    return {name.decode("latin-1").lower(): value for name, value in request.headers.raw}


def _refuse_announced_size(headers: Mapping[str, bytes]) -> None:
    announced = headers.get("content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > LARGEST_BODY:
        raise _too_large()


async def _take_in(request: Request, verifier: Verifier | None) -> bytes:
    """The body, bounded. Without a verifier nothing of it is kept."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise _too_large()
                if verifier is not None:
                    verifier.update(chunk)
                    chunks.append(chunk)
    except (TimeoutError, ClientDisconnect):
        raise RefusedDelivery(400, "the body did not arrive whole") from None
    except asyncio.CancelledError:
        raise RefusedDelivery(503, STOPPING) from None
    return b"".join(chunks)


def _too_large() -> RefusedDelivery:
    return RefusedDelivery(413, f"the delivery is larger than {LARGEST_BODY // 1024 // 1024} MiB")


def _refusal(forge: str, status: int, reason: str) -> Response:
    DELIVERIES.labels(forge, "refused").inc()
    log.warning("delivery refused", status=status, because=reason)
    return JSONResponse({"error": reason}, status)


def _answer(delivery: Delivery, recorded: Recorded) -> dict[str, object]:
    return {
        "delivery": delivery.id,
        "decision": recorded.decision,
        "reason": recorded.reason,
        "builds": [
            {
                "id": build.id,
                "rule": build.request.rule,
                "repository": build.request.repository,
                "image_tags": list(build.request.image_tags),
            }
            for build in recorded.builds
        ],
        "rules": dict(recorded.rules),
    }
