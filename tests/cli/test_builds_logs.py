"""`builds logs`: a log as Quay has it now, in plain text."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from buildbot.domain.build import Build, BuildPhase
from tests.cli.sandboxes import Sandboxes, sandboxes

pytestmark = pytest.mark.anyio


async def built(world: Sandboxes, course: str = "success") -> Build:
    """A build that Quay has, with its row."""
    world.quay.choose = lambda _: course
    quay_build = world.quay.start_from_trigger("acme/api", "1" * 40)
    build = await asyncio.to_thread(world.place.plan)
    return await asyncio.to_thread(world.place.see, build, BuildPhase.BUILDING, quay_id=quay_build.id)


async def test_the_log_is_plain_text(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        build = await built(world)
        world.clock.seconds += 60
        text = await world.run("builds", "logs", build.id)
        assert text.exit_code == 0, text.output
        assert "── build-scheduled" in text.stdout.splitlines()
        assert "\x1b" not in text.stdout
        document = json.loads((await world.run("builds", "logs", build.id[:8], "--json")).stdout)
        assert (document["id"], document["quay_id"]) == (build.id, build.seen.quay_id)
        assert {"kind": "phase", "text": "build-scheduled"} in document["entries"]


async def test_no_log_is_said(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        build = await built(world, "stuck-waiting")
        result = await world.run("builds", "logs", build.id)
        assert (result.exit_code, result.stdout) == (0, "")
        assert f"Quay has no log of build {build.id}" in result.stderr


async def test_a_build_that_quay_has_forgotten_is_told(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        build = await built(world)
        forgotten = str(uuid.UUID(int=1))
        await asyncio.to_thread(world.place.see, build, BuildPhase.BUILDING, quay_id=forgotten)
        result = await world.run("builds", "logs", build.id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert forgotten in result.stderr
        assert len(result.stderr.splitlines()) == 1
