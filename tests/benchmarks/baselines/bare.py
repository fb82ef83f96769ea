"""Baseline (a): read the body, check the signature, answer. What any Starlette application costs at least."""

from __future__ import annotations

import hmac
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.benchmarks.pushes import SECRET


def is_signed(request: Request, body: bytes) -> bool:
    """Whether the body carries our secret's signature."""
    made = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    return hmac.compare_digest(made, request.headers.get("x-hub-signature-256", ""))


async def ready(_: Request) -> Response:
    """Up."""
    return PlainTextResponse("ok")


async def receive(request: Request) -> Response:
    """One delivery."""
    body = await request.body()
    if not is_signed(request, body):
        return JSONResponse({"error": "wrong signature"}, 401)
    return JSONResponse({"delivery": request.headers["x-github-delivery"]}, 202)


def serve(app: Starlette, port: int) -> None:
    """Serve with what uvicorn is fastest with, and without a line per request."""
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


def main() -> None:
    """`python -m tests.benchmarks.baselines.bare PORT`"""
    routes = [Route("/ready", ready), Route("/webhook", receive, methods=["POST"])]
    serve(Starlette(routes=routes), int(sys.argv[1]))


if __name__ == "__main__":
    main()
