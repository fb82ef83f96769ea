"""`GET /archives/{token}.tar.gz`: the source of one build, for Quay's builder and nobody else.

The builder decides by the content type alone and would take `text/plain` for a Dockerfile. So whatever is not an
archive is `application/json`, which it refuses, even a fault of the bot's own. Once the first byte is out, trouble can
only be told by breaking off: a cut gzip stream is refused by the builder too, and the build's page says why.

A builder that stops taking what it is sent is left after `patience`: it would hold one of the few places for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from buildbot.engine.archive_relay import Archive, ArchiveRelay, ArchiveTrouble, NoSuchArchive
from buildbot.ports import StoreUnavailable

log = structlog.get_logger(__name__)

SUFFIX = ".tar.gz"
MEDIA_TYPE = "application/gzip"
NOT_KEPT = {"Cache-Control": "no-store"}
PATIENCE = timedelta(minutes=2)


def archive_routes(relay: ArchiveRelay, patience: timedelta = PATIENCE) -> list[Route]:
    """The route. HEAD is answered as GET would be, from the forge's first bytes."""

    async def archive(request: Request) -> Response:
        try:
            opened = await relay.open(_token(str(request.path_params["name"])))
        except NoSuchArchive:
            return _refusal("not found", 404)
        except ArchiveTrouble as trouble:
            return _refusal(str(trouble), 502)
        except StoreUnavailable as away:
            return _refusal(str(away), 503)
        except Exception:
            log.exception("archive not opened")
            return _refusal("a fault of the bot's own, which its log tells", 500)
        if request.method == "HEAD":
            await opened.aclose()
            return StreamingResponse(iter(()), media_type=MEDIA_TYPE, headers=NOT_KEPT)
        return _Passed(opened, patience)

    return [Route("/archives/{name}", archive, methods=["GET"], name="archive")]


def _token(name: str) -> str:
    if not name.endswith(SUFFIX):
        raise NoSuchArchive
    return name.removesuffix(SUFFIX)


def _refusal(error: str, status: int) -> JSONResponse:
    return JSONResponse({"error": error}, status, headers=NOT_KEPT)


class _Passed(StreamingResponse):
    def __init__(self, archive: Archive, patience: timedelta) -> None:
        super().__init__(archive, media_type=MEDIA_TYPE, headers=NOT_KEPT)
        self._archive = archive
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience.total_seconds()):
                await send(message)

        async with aclosing(self._archive):
            try:
                await super().__call__(scope, receive, send_in_time)
            except (ArchiveTrouble, ClientDisconnect, TimeoutError):
                return  # the server closes the connection of an answer that was begun and is not completed
