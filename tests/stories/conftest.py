"""A fresh world for every story."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stories.world import World, new_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A GitHub and a Quay; the bot is started by the story."""
    async with new_world(tmp_path) as made:
        yield made
