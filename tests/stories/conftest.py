"""A fresh world for every story."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.forges.github.world import GitHubWorld
from tests.forges.world import ForgeWorld
from tests.stories.forge_world import ForgeStory, forge_story
from tests.stories.world import World, new_world


@pytest.fixture
async def world(tmp_path: Path, store_url: str) -> AsyncIterator[World]:
    """A GitHub and a Quay; the bot is started by the story, which is played on every database."""
    async with new_world(tmp_path, store_url) as made:
        yield made


@pytest.fixture
async def story(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ForgeStory]:
    """A story at the forge that the test names, at GitHub where it names none."""
    kind: type[ForgeWorld] = getattr(request, "param", GitHubWorld)
    async with forge_story(kind, tmp_path) as made:
        yield made
