"""The worlds that the sandboxes are tried in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.github_world import World, github_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """acme/api on a sandbox GitHub, with a first commit on main, and a bot that its hooks may be pointed at."""
    async with github_world() as it:
        yield it
