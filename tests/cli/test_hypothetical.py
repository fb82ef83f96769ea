"""A made-up push is what the forge's own delivery would have been read as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from buildbot.cli.hypothetical import PLACEHOLDER_SHA, hypothetical_push, likely_default_branch
from buildbot.config import ForgeConfig, ForgeKind, read
from buildbot.config.kinds import KINDS
from buildbot.domain.push import PushEvent, Source
from tests.config.files import ENVIRON, GOOD
from tests.forges.test_contract import WORLDS
from tests.forges.world import REPO, SECRET, ForgeWorld


@pytest.mark.anyio
@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_the_archive_is_where_the_webhook_reader_says(kind: type[Any]) -> None:
    sandbox = kind.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        world: ForgeWorld = kind(client, sandbox)
        world.add_hook(SECRET)
        push = world.read(await world.sandbox.commit_and_push(REPO, deliver=False))
    config = ForgeConfig("forge", ForgeKind(kind.name), sandbox.url, sandbox.api_url, (), "t", None, None, 60)
    made_up = hypothetical_push(config, push.source, push.ref, push.commit or "", None)
    assert made_up.archive == push.archive
    assert made_up.archive.is_direct is not bool(KINDS[config.kind].not_direct)


def test_nothing_but_the_paths_is_left_unknown() -> None:
    config = read(GOOD, ENVIRON, base=Path("/nowhere")).forges["github"]
    push = hypothetical_push(config, Source("github", "", "acme/api"), "refs/heads/x", PLACEHOLDER_SHA, None)
    assert isinstance(push, PushEvent)
    assert (push.commit, push.after, push.changed_paths) == (PLACEHOLDER_SHA, PLACEHOLDER_SHA, None)


@pytest.mark.parametrize(
    ("ref", "branch"), [("refs/heads/master", "master"), ("refs/heads/x", "main"), ("refs/tags/master", "main")]
)
def test_who_pushes_to_master_has_no_main(ref: str, branch: str) -> None:
    assert likely_default_branch(ref) == branch
