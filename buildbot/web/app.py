"""The web application: the webhook endpoint, the build pages, health and metrics, with the engine running meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute


def create_app(routes: Sequence[BaseRoute], running: Callable[[], AbstractAsyncContextManager[None]]) -> Starlette:
    """The application; `running` holds whatever has to run while it serves."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with running():
            yield

    return Starlette(
        routes=list(routes),
        lifespan=lifespan,
        exception_handlers={HTTPException: _in_json, Exception: _unforeseen},
    )


async def _unforeseen(_request: Request, _error: Exception) -> Response:
    """A bug: told in the log by whoever runs the application, and to the caller without a word of it."""
    return JSONResponse({"error": "something went wrong in the bot; its log says what"}, 500)


async def _in_json(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
