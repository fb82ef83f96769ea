"""`buildbot serve`: runs the service until SIGTERM or SIGINT; SIGHUP has the configuration read again."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import typer
import uvicorn

from buildbot.cli.lean import DRAWING, without
from buildbot.cli.options import DEFAULT_FILE, WRONG, ConfigFile, fail, load_or_exit
from buildbot.config import Files, Server

GRACEFUL_SECONDS = 2
SWITCH_SECONDS = 0.001
"""The store's thread gives the interpreter away at each statement and may wait so long until it has it back; with
Python's own 5 ms a busy bot took a third of the pushes (measured on two busy cores)."""
BACKLOG = 2048


def serve(config: ConfigFile = DEFAULT_FILE) -> None:
    """Run the service."""
    with without(*DRAWING):
        import httpx  # noqa: F401  here first
        import structlog

    from buildbot.bootstrap import Source, build_app, known_secrets
    from buildbot.ports import StoreUnavailable
    from buildbot.store.database import BadDatabase, DatabaseAway
    from buildbot.telemetry import log_to

    _on_signals(lambda: sys.exit(0))
    _on_hangup(lambda: None)  # what is about to be read needs no reading again
    sys.setswitchinterval(SWITCH_SECONDS)
    files = Files()
    loaded = load_or_exit(config, files=files)
    source = Source(config, os.environ, files, log_to(sys.stderr, secrets=known_secrets(loaded)).learn)
    _on_hangup(source.ask)
    log = structlog.get_logger("buildbot")
    for warning in loaded.warnings:
        log.warning("configuration", because=str(warning))
    listening = _bind(loaded.server)
    try:
        app = build_app(loaded, source=source)
    except (DatabaseAway, StoreUnavailable) as away:
        fail(str(away))  # not the configuration's fault: to be started again, which systemd does for this exit code
    except BadDatabase as bad:
        fail(str(bad), WRONG)
    host, port = _listen(listening, loaded.server)
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
        proxy_headers=False,  # nothing asks who the client is
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        lifespan="on",
    )


def run_until_told(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until a signal; then return instead of dying by it, as uvicorn would by raising it again."""

    def stop() -> None:
        server.should_exit = True

    _on_signals(stop)
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(1)


def _on_signals(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def _on_hangup(act: Callable[[], object]) -> None:
    if not hasattr(signal, "SIGHUP"):  # Windows
        return
    had_terminal = _has_terminal()

    def act_or_end() -> None:
        # Closing the terminal it was started in sends the same signal: then it ends, as every command does.
        if had_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            act()

    signal.signal(signal.SIGHUP, lambda *_: act_or_end())


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _bind(server: Server) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.listen_host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((server.listen_host, server.listen_port))
    except OSError as error:
        _cannot_listen(bound, server, error)
    return bound


def _listen(bound: socket.socket, server: Server) -> tuple[str, int]:
    # Before the line that says so: who connects from then on waits for the answer instead of being turned away.
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        _cannot_listen(bound, server, error)
    host, port = bound.getsockname()[:2]
    return host, port


def _cannot_listen(bound: socket.socket, server: Server, error: OSError) -> NoReturn:
    bound.close()
    fail(f"cannot listen on {server.listen_host}:{server.listen_port}: {error.strerror or error}", WRONG)
