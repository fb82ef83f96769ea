"""The whole bot as one application: what outlives every configuration, and the setup that it works by."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from buildbot.bootstrap.adapters import open_client, open_store
from buildbot.bootstrap.setup import new_setup
from buildbot.config import Config
from buildbot.engine.archive_relay import ArchiveRelay
from buildbot.engine.attendance import Attendance
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.intake import Intake
from buildbot.engine.listening import Listening
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock, Share
from buildbot.engine.redelivery import redeliveries
from buildbot.engine.repository_pass import Memory, Tools
from buildbot.engine.rounds import RoundLoop, going
from buildbot.engine.running import Engine
from buildbot.engine.setup import Current
from buildbot.engine.status_loop import StatusLoop
from buildbot.engine.sweep import sweeps
from buildbot.web.app import create_app
from buildbot.web.archives import archive_routes
from buildbot.web.health import Health
from buildbot.web.pages import build_routes
from buildbot.web.webhooks import WebhookEndpoint


def build_app(config: Config, clock: Clock | None = None) -> Starlette:
    """The whole bot, of a configuration with its secrets. Raises BadDatabase."""
    clock = clock or Clock()
    store, client = open_store(config), open_client()
    owner, share = secrets.token_hex(8), Share()
    current = Current(new_setup(config, client, clock, share))
    relay, tails = ArchiveRelay(store, current, clock), LogTails(current, clock)
    lease = config.store.lease
    statuses = StatusLoop(store, current, clock, lease)
    tools = Tools(store, clock, Memory(), relay.url_of)
    builds = BuildLoop(owner, lease, current, tools, on_news=statuses.pulse.beat)
    engine = Engine(store, builds, statuses, current, clock)

    def wake() -> None:
        builds.pulse.beat()
        statuses.pulse.beat()

    intake = Intake(store, wake)
    rounds = (
        RoundLoop(redeliveries(store, current), store, clock, owner=owner, lease=lease),
        RoundLoop(sweeps(store, intake, current), store, clock, owner=owner, lease=lease),
    )

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            await stack.enter_async_context(client)
            stack.push_async_callback(tails.close)
            await stack.enter_async_context(Attendance(store, owner, share, clock).running())
            await stack.enter_async_context(engine.running())
            await stack.enter_async_context(Listening(store, wake).running())
            await stack.enter_async_context(going(rounds))
            yield

    routes = [
        *WebhookEndpoint(intake, current, clock).routes(),
        *archive_routes(relay),
        *build_routes(store, current, tails, clock),
        *Health(store, current.lines, clock.now).routes(),
    ]
    return create_app(routes, running)
