"""The whole bot as one application: what outlives every configuration, and the setup that it works by."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

import httpx
from starlette.applications import Starlette

from buildbot.bootstrap.adapters import open_store
from buildbot.bootstrap.connections import open_client
from buildbot.bootstrap.reloading import ChangeOver, Reloading
from buildbot.bootstrap.setup import Shared, new_setup
from buildbot.bootstrap.source import Source
from buildbot.config import Config
from buildbot.engine.archive_relay import ArchiveRelay
from buildbot.engine.attendance import Attendance
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.intake import Intake
from buildbot.engine.listening import Listening
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock
from buildbot.engine.redelivery import redeliveries
from buildbot.engine.rounds import RoundLoop, Rounds
from buildbot.engine.running import Engine
from buildbot.engine.rush import Rush
from buildbot.engine.setup import Current
from buildbot.engine.status_loop import StatusLoop
from buildbot.engine.sweep import sweeps
from buildbot.engine.tools import Memory, Tools
from buildbot.store.sql_store import SqlStore
from buildbot.web.app import create_app
from buildbot.web.archives import archive_routes
from buildbot.web.health import Health
from buildbot.web.pages import build_routes
from buildbot.web.webhooks import WebhookEndpoint


def build_app(config: Config, clock: Clock | None = None, source: Source | None = None) -> Starlette:
    """The whole bot, of a configuration with its secrets. Raises BadDatabase.

    `source` is where the configuration was read, for the bot to follow it; None: it never changes.
    """
    clock = clock or Clock()
    store, client = open_store(config), open_client()
    owner, lease, shared = secrets.token_hex(8), config.store.lease, Shared(client, clock)
    current, memory = Current(new_setup(config, shared)), Memory()
    relay, tails = ArchiveRelay(store, current, clock), LogTails(current, clock)
    rush = Rush()
    statuses = StatusLoop(store, current, clock, lease, rush)
    tools = Tools(store, clock, memory, relay.url_of)
    builds = BuildLoop(owner, lease, current, tools, on_news=statuses.pulse.beat, rush=rush)

    def wake() -> None:
        builds.pulse.beat()
        statuses.pulse.beat()

    intake = Intake(store, wake, rush)
    rounds = Rounds(
        RoundLoop(redeliveries(store, current), store, clock, owner=owner, lease=lease),
        RoundLoop(sweeps(store, intake, current), store, clock, owner=owner, lease=lease),
    )
    change = ChangeOver(store, shared, memory.hurry, wake)
    reloading = Reloading(config, source, current, change) if source else None
    attendance = Attendance(store, owner, shared.share, clock)
    engine = Engine(store, builds, statuses, current, clock)
    beside = (attendance, engine, Listening(store, wake), rounds, *((reloading,) if reloading else ()))
    routes = [
        *WebhookEndpoint(intake, current, clock).routes(),
        *archive_routes(relay),
        *build_routes(store, current, tails, clock),
        *Health(store, current.lines, lambda: reloading.trouble if reloading else "", clock.now).routes(),
    ]
    return create_app(routes, _running(store, client, tails, beside))


class _Beside(Protocol):
    def running(self) -> AbstractAsyncContextManager[None]: ...


def _running(
    store: SqlStore, client: httpx.AsyncClient, tails: LogTails, beside: Sequence[_Beside]
) -> Callable[[], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            await stack.enter_async_context(client)
            stack.push_async_callback(tails.close)
            for one in beside:
                await stack.enter_async_context(one.running())
            stack.callback(store.hasten)  # the first thing when it stops
            yield

    return running
