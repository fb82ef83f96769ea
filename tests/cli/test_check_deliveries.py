"""Whether lost deliveries can be asked for again, as `doctor` tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.sandboxes import Sandboxes, sandboxes
from tests.cli.test_doctor import ONE_RULE

pytestmark = pytest.mark.anyio


async def told(world: Sandboxes) -> list[str]:
    """The lines about deliveries, with the advice below them."""
    lines = (await world.run("doctor")).stdout.splitlines()
    about = [number for number, line in enumerate(lines) if "lost deliveries" in line]
    return [lines[number + more].strip() for number in about for more in (0, 1)]


async def test_a_credential_that_may_not_see_webhooks_is_no_mistake(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        line, advice = await told(world)
        assert line.startswith("? acme/api: lost deliveries cannot be asked for again, the sweep has to find them")
        assert advice == (
            "to have them, let it see webhooks (fine-grained: Webhooks, read and write; classic: admin:repo_hook)"
        )


async def test_a_credential_that_may_see_them_is_told_to_suffice(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        world.github.add_collaborator("acme/api", "ci-bot", "admin")
        world.github.add_hook("acme/api", "https://builds.example.com/webhooks/github")
        assert (await told(world))[0] == "✓ acme/api: lost deliveries can be asked for again"


async def test_nothing_is_said_where_nothing_is_asked_for(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        text = world.place.file.read_text().replace("[server]", '[server]\nredeliver_every = "off"')
        world.place.file.write_text(text)
        assert await told(world) == []
