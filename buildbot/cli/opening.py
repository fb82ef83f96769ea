"""What commands open, and how they end when it cannot be had: one line for people, never a traceback.

Commands work on the same database as a running `serve`, which looks at its rows and not at its memory: whatever is
written here is seen there within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from buildbot.cli.naming import SHORTEST_ID, pick_build
from buildbot.cli.options import WRONG, fail
from buildbot.config import Config
from buildbot.domain.build import Build, BuildId
from buildbot.engine.wording import StatusWording
from buildbot.ports import (
    BuildFilter,
    BuildStory,
    CallError,
    NoSuchBuild,
    NoSuchDelivery,
    NotPossible,
    RoundStore,
    Store,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from buildbot.bootstrap import Adapters
    from buildbot.store.sql_store import SqlStore

T = TypeVar("T")
SEARCHED_BUILDS = 1000
"""How many of the newest builds are searched for the beginning of an id."""


def missing_database(config: Config) -> Path | None:
    """The SQLite file that is not there yet, because nothing was ever recorded; None if it is there, or a server."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    _refuse_unknown_place(config)
    try:
        url = make_url(config.store.url)
    except (ArgumentError, ValueError):
        return None  # opening it says what is wrong
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return None
    file = Path(url.database)
    return None if file.exists() else file


def with_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the store. Ends the command with 1 where the store refuses, 2 where it cannot be opened."""

    async def working(store: Store) -> T:
        return await work(store)

    with _opened(config) as store, told():
        return asyncio.run(working(store))


def with_rounds(config: Config, work: Callable[[RoundStore], Awaitable[T]]) -> T:
    """The same of what the store knows of rounds."""

    async def working(store: RoundStore) -> T:
        return await work(store)

    with _opened(config) as store, told():
        return asyncio.run(working(store))


def with_adapters(config: Config, work: Callable[[Adapters], Awaitable[T]]) -> T:
    """What `work` makes of the registries and forges. Ends the command with 1 when a call fails."""
    from buildbot.bootstrap import adapters, open_client

    async def working() -> T:
        async with open_client() as client:
            return await work(adapters(config, client))

    with told():
        return asyncio.run(working())


async def find_story(store: Store, written: str) -> BuildStory:
    """The build of this id, or of the only id that begins like this. Raises NoSuchBuild."""
    try:
        return await store.story(BuildId(written))
    except NoSuchBuild:
        if len(written) < SHORTEST_ID:
            raise
        found = pick_build(written, await store.list_builds(BuildFilter(limit=SEARCHED_BUILDS)))
        if found is None:
            raise
    return await store.story(found.id)


async def find_build(store: Store, written: str) -> Build:
    """The same without its history."""
    return (await find_story(store, written)).build


def wording(config: Config) -> StatusWording:
    """What the status of a new build says; only what Quay has already leads to Quay's page, and a new build is not."""
    return StatusWording(config.server.public_url, {})


def build_links(config: Config, build: Build) -> tuple[str | None, str | None]:
    """(the bot's page of a build, Quay's), None where there is none."""
    public_url, quay_id = config.server.public_url, build.seen.quay_id
    registry = config.registries.get(build.request.registry)
    ours = f"{public_url}/builds/{build.id}" if public_url else None
    if registry is None or quay_id is None:
        return ours, None
    return ours, page_at_quay(registry.url, build.request.repository, quay_id)


def page_at_quay(url: str, repository: str, build: str) -> str:
    """Quay's own page of a build, as `QuayRegistry.build_page` says it: that wants a client, which this does not."""
    return f"{url}/repository/{quote(repository)}/build/{quote(build, safe='')}"


def require_database(config: Config) -> None:
    """End the command with 1 where no build can have been recorded."""
    if (file := missing_database(config)) is not None:
        fail(f"there are no builds yet: nothing was ever recorded in {file}")


@contextmanager
def told() -> Iterator[None]:
    """End the command with 1 and one line for everything that a store or a call may raise."""
    try:
        yield
    except (NoSuchBuild, NoSuchDelivery, NotPossible, StoreUnavailable, CallError) as error:
        fail(str(error))


@contextmanager
def _opened(config: Config) -> Iterator[SqlStore]:
    from buildbot.bootstrap import open_store
    from buildbot.store.database import BadDatabase

    _refuse_unknown_place(config)
    try:
        store = open_store(config)
    except BadDatabase as bad:
        fail(str(bad), WRONG)
    with store:
        yield store


def _refuse_unknown_place(config: Config) -> None:
    if config.store.url:
        return
    why = next((str(warning) for warning in config.warnings if warning.key == "store.url"), "store.url is not known")
    fail(why, WRONG)
