"""`builds start`: a build without a push, of the commit that the forge names, or the rule's reason why not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from buildbot.cli.commissioning import Wish, plan_wish
from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.rule import Planned, Rule, plan_builds
from tests.cli.sandboxes import Sandboxes, sandboxes
from tests.forges.test_contract import WORLDS
from tests.forges.world import REPO, SECRET, ForgeWorld

pytestmark = pytest.mark.anyio
START = ("builds", "start", "--rule", "api", "--ref")


async def test_a_build_is_started_of_the_refs_head(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        push = await world.github.commit_and_push("acme/api")
        result = await world.run(*START, "refs/heads/main", "--by", "ada")
        assert result.exit_code == 0, result.output
        (build,) = await _listed(world)
        assert f"planned {build['id']} (acme/api:main, sha-{push.sha[:7]}, latest)" in result.stdout
        assert "image tag {version} left out" in result.stdout
        assert (build["commit"], build["pusher"], build["rule"]) == (push.sha, "ada", "api")
        assert (build["context"], build["phase"]) == (f"/api-{push.sha}", "planned")
        assert build["source"] == "acme/api"


async def test_an_annotated_tag_is_followed_to_its_commit(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        push = await world.github.commit_and_push("acme/api")
        await world.github.push_tag("acme/api", "v1.2.3", annotated=True)
        result = await world.run(*START, "refs/tags/v1.2.3", "--json")
        started = json.loads(result.stdout)
        assert started["commit"] == push.sha
        assert started["image_tags"] == ["v1.2.3", f"sha-{push.sha[:7]}", "1.2.3"]
        assert started["notes"] == ["image tag {default_branch?latest} left out: v1.2.3 is not the default branch"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("api", "refs/heads/dev"), 1, "rule api does not build acme/api refs/heads/dev: branch dev does not match"),
        (("api", "refs/heads/release/gone"), 1, "it is not there"),
        (("web", "refs/heads/main"), 1, "acme/web"),
        (("wep", "refs/heads/main"), 2, 'there is no rule "wep"; did you mean web?'),
        (("docs", "refs/heads/main"), 2, "the rule's source is a pattern, acme/*: say which repository with --source"),
        (("docs", "main", "--source", "acme/api"), 2, "write refs/heads/main"),
        (("api", "refs/heads/main", "--source", "acme"), 2, "write owner/name"),
    ],
)
async def test_what_cannot_be_started_is_refused_with_the_reason(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    async with sandboxes(tmp_path) as world:
        await world.github.commit_and_push("acme/api", ref="dev")
        rule, ref, *more = arguments
        result = await world.run("builds", "start", "--rule", rule, "--ref", ref, *more)
        assert (result.exit_code, result.stdout) == (code, "")
        assert told in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert await _listed(world) == []


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_a_build_is_planned_at_every_forge_as_its_push_would_have_been(kind: type[Any]) -> None:
    sandbox = kind.new_sandbox()
    quiet = timedelta(minutes=5)
    rule = Rule("api", kind.name, "acme/api", "quay", "acme/api", ("main",), can_relay=True, quiet_period=quiet)
    config = ForgeConfig(kind.name, ForgeKind(kind.name), sandbox.url, sandbox.api_url, (), "t", None, None, 60)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        world: ForgeWorld = kind(client, sandbox)
        world.add_hook(SECRET)
        pushed = world.read(await world.sandbox.commit_and_push(REPO, deliver=False))
        asked, plan = await plan_wish(Wish(rule, REPO, "refs/heads/main", "ada"), world.forge, config)
    (as_pushed,) = plan_builds(pushed, [rule])
    assert isinstance(as_pushed, Planned)
    assert asked.commit == pushed.commit
    assert replace(asked.request, is_dockerfile_in_doubt=False) == replace(
        as_pushed.request, is_dockerfile_in_doubt=False, quiet_period=timedelta()
    )
    assert (asked.source.repository_id, plan.notes) == (pushed.source.repository_id, ())


async def test_a_pattern_builds_the_source_that_is_named(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        named = ("builds", "start", "--rule", "docs", "--ref", "refs/heads/main", "--source", "ACME/api", "--json")
        started = json.loads((await world.run(*named)).stdout)
        assert (started["source"], started["repository"]) == ("acme/api", "acme/docs")
        strange = await world.run(
            "builds", "start", "--rule", "web", "--ref", "refs/heads/main", "--source", "acme/api"
        )
        assert strange.exit_code == 1
        assert "its source is acme/web" in strange.stderr


async def test_a_repository_that_was_renamed_is_told_by_its_new_name(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        world.github.rename("acme/api", "acme/service")
        result = await world.run(*START, "refs/heads/main")
        assert result.exit_code == 1
        assert "(acme/api has that name now): its source is acme/api" in result.stderr


async def test_a_refused_token_is_one_line(tmp_path: Path) -> None:
    async with sandboxes(tmp_path) as world:
        world.place.environ["TOKEN"] = "ghp_wrong"
        result = await world.run(*START, "refs/heads/main")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "does not accept the credential" in result.stderr
        assert "ghp_wrong" not in result.output


async def _listed(world: Sandboxes) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads((await world.run("builds", "list", "--json")).stdout)
    return listed
