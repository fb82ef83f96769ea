"""Whatever dies, freezes or goes away: no push is lost, built twice or told wrongly, and no tag is left behind."""

from __future__ import annotations

import pytest

from tests.stories.chaos import chaos
from tests.stories.program import assert_keeps_its_secrets
from tests.stories.world import World

pytestmark = pytest.mark.anyio

MOMENTS = 80


@pytest.mark.parametrize("seed", [1])
async def test_in_chaos_every_push_is_accounted_for(world: World, seed: int) -> None:
    async with chaos(world, seed) as run:
        await run.rage(MOMENTS)
        await run.calm_down()
        assert [str(defect) for defect in await run.verdict()] == []
    assert min(run.counts[what] for what in ("kills", "freezes", "outages", "not taken", "duplicates")) > 0, run.counts
    for one in run.fleet:
        assert_keeps_its_secrets(one.lines, world.environ)
