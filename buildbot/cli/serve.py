"""`buildbot serve`: runs the service until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import socket
import sys

import structlog
import typer
import uvicorn

from buildbot.cli.options import DEFAULT_FILE, ConfigFile, fail, load_or_exit
from buildbot.config import Server

GRACEFUL_SECONDS = 2


def serve(config: ConfigFile = DEFAULT_FILE) -> None:
    """Run the service."""
    from buildbot.bootstrap import build_app, known_secrets
    from buildbot.ports import StoreUnavailable
    from buildbot.store.database import BadDatabase
    from buildbot.telemetry import log_to

    loaded = load_or_exit(config)
    log_to(sys.stderr, secrets=known_secrets(loaded))
    log = structlog.get_logger("buildbot")
    for warning in loaded.warnings:
        log.warning("configuration", because=str(warning))
    listening = _listen(loaded.server)
    try:
        app = build_app(loaded)
    except (BadDatabase, StoreUnavailable) as bad:
        fail(str(bad), 2)
    host, port = listening.getsockname()[:2]
    log.info("listening", host=host, port=port, rules=len(loaded.rules))
    run_until_told(uvicorn.Server(server_config(app)), listening)
    log.info("stopped")


def server_config(app: object) -> uvicorn.Config:
    """uvicorn, with our own logging and a bound on how long it waits for open connections."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI application
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        lifespan="on",
    )


def run_until_told(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until a signal; then return instead of dying by it, as uvicorn would by raising it again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(1)


def _listen(server: Server) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.listen_host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((server.listen_host, server.listen_port))
    except OSError as error:
        listening.close()
        fail(f"cannot listen on {server.listen_host}:{server.listen_port}: {error.strerror}", 2)
    return listening
