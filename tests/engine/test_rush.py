"""While many deliveries are recorded at once the loops wait, for a bounded time; else they never do."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from buildbot.engine.rush import MANY, Rush

pytestmark = pytest.mark.anyio


async def test_nobody_waits_while_few_deliveries_come_in() -> None:
    rush = Rush()
    with ExitStack() as taken:
        for _ in range(MANY - 1):
            taken.enter_context(rush.taking())
        waiting = asyncio.ensure_future(rush.over())
        await asyncio.sleep(0)
        assert waiting.done()


async def test_a_rush_is_waited_for_until_it_is_over() -> None:
    rush = Rush()
    with ExitStack() as taken:
        for _ in range(MANY):
            taken.enter_context(rush.taking())
        waiting = asyncio.ensure_future(rush.over())
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting


async def test_a_rush_that_does_not_end_holds_nobody_up_for_ever() -> None:
    rush = Rush()
    with ExitStack() as taken:
        for _ in range(2 * MANY):
            taken.enter_context(rush.taking())
        assert not await rush.over()
