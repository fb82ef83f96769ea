"""Hearing of others' work: every piece of news wakes the loops, and a connection that is lost is made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from buildbot.engine.listening import Listening
from buildbot.ports import Store, StoreUnavailable

pytestmark = pytest.mark.anyio


class Telling:
    """The part of a store that tells: news, and whether it goes away afterwards."""

    def __init__(self, *, is_cut: bool) -> None:
        self.begun = 0
        self.is_cut = is_cut
        self.has_told = asyncio.Event()

    async def listen(self, on_news: Callable[[], None]) -> None:
        """Tell once; then be cut off, or end as SQLite does."""
        self.begun += 1
        on_news()
        if self.begun == 2 or not self.is_cut:
            self.has_told.set()
            return
        raise StoreUnavailable("the server went away")


@pytest.mark.parametrize(("is_cut", "begun"), [(False, 1), (True, 2)], ids=["told", "cut-off"])
async def test_it_listens_until_there_is_nothing_to_hear(is_cut: bool, begun: int) -> None:
    store, woken = Telling(is_cut=is_cut), []
    async with Listening(cast("Store", store), lambda: woken.append(1)).running(), asyncio.timeout(20):
        await store.has_told.wait()
    assert (store.begun, len(woken)) == (begun, begun)


async def test_it_ends_with_the_block() -> None:
    class Silent:
        async def listen(self, _: Callable[[], None]) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(20), Listening(cast("Store", Silent()), lambda: None).running():
        pass
