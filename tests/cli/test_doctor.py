"""`buildbot doctor` against sandboxes behind sockets: lines for people, JSON for programs, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.sandboxes import sandboxes

pytestmark = pytest.mark.anyio
ONE_RULE = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main"]
repository = "acme/api"
"""


async def test_all_fine_ends_with_0(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        world.place.file.write_text(world.place.file.read_text().replace("public_url", "# public_url"))
        result = await world.run("doctor")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines() == [
            f"forge github ({world.github.url})",
            "  ✓ the token is ci-bot's, with repo",
            "  ✓ acme/api is there: public, default branch main",
            "  ✓ the credential may post commit statuses to acme/api",
            f"registry quay ({world.quay.url})",
            "  ✓ the token is accepted",
            "  ✓ acme/api is there",
            "  ✓ acme/api: builds may be requested",
            "  ✓ acme/api: builds may be cancelled",
            "this bot",
            "  ? server.public_url is not set: it was not asked whether forges can reach the bot",
            "",
            "7 fine, 0 wrong, 1 not to be told",
            "",
            "Webhooks (content type application/json, a secret of webhook_secrets), and the events they are for:",
            "  github: /webhooks/github (just the push event)",
        ]
        assert (world.quay.builds, world.github.repository("acme/api").statuses) == ([], [])
        assert not world.place.database.exists()


async def test_something_wrong_ends_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        text = world.place.file.read_text().replace("https://builds.example.com", "http://127.0.0.1:1")
        world.place.file.write_text(text)
        world.place.environ["QUAY"] = world.quay.issue_token("builder", ("repo:read", "repo:write"))
        result = await world.run("doctor")
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        wrong = [number for number, line in enumerate(lines) if line.startswith("  ✗")]
        assert [lines[number][4:].partition(": ")[0] for number in wrong] == [
            "acme/api",
            "http://127.0.0.1:1/livez does not answer",
        ]
        assert lines[wrong[0] + 1].startswith("      builds can be requested but not cancelled")
        assert lines[wrong[1] + 1].startswith("      start `buildbot serve`")


async def test_json_has_the_same_answers(tmp_path: Path) -> None:
    async with sandboxes(tmp_path, ONE_RULE) as world:
        world.place.environ["TOKEN"] = "ghp_wrong"
        text = world.place.file.read_text().replace("https://builds.example.com", world.quay.url)
        world.place.file.write_text(text)
        result = await world.run("doctor", "--json")
        assert result.exit_code == 1
        document = json.loads(result.stdout)
        assert document["ok"] is False
        assert document["webhooks"] == {"github": f"{world.quay.url}/webhooks/github"}
        assert document["checks"][0]["about"] == f"forge github ({world.github.url})"
        assert {check["verdict"] for check in document["checks"]} == {"fine", "wrong"}
        assert all(check["to_do"] for check in document["checks"] if check["verdict"] == "wrong")
        assert "ghp_wrong" not in result.output
