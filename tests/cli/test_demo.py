"""The demo plays the same story at every forge, believes no fault to be none, and always ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from buildbot.cli.demo import bot, show
from buildbot.sandbox.demo import stage
from buildbot.sandbox.demo_forges import ForgeName
from buildbot.sandbox.serving import serving

FAST = 400.0
LINES = (
    "quay/api {success}: Built acme/api:main, sha-",
    "quay/api {error}: Superseded by ",
    "quay/api {failure}: Failed in step 2/2: RUN false (feature/try)",
    "quay/release {success}: Built acme/api:1.0.0, 1.0 in ",
)
USUAL = {"success": "success", "failure": "failure", "error": "error"}
WORDS = {
    ForgeName.GITHUB: USUAL,
    ForgeName.GITLAB: {"success": "success", "failure": "failed", "error": "failed"},
    ForgeName.GITEA: USUAL,
    ForgeName.FORGEJO: USUAL,
    ForgeName.BITBUCKET: {"success": "SUCCESSFUL", "failure": "FAILED", "error": "STOPPED"},
}
BY_COMMAND = {ForgeName.GITHUB: [], ForgeName.GITLAB: ["--forge", "gitlab"]}


def check(told: str, forge: ForgeName) -> None:
    statuses = [line.split(maxsplit=2)[2] for line in told.splitlines() if line.startswith("status ")]
    for line in LINES:
        assert [one for one in statuses if one.startswith(line.format(**WORDS[forge]))], line
    assert "6 pushes, 5 builds at Quay, all ended as told" in told


@pytest.mark.parametrize("forge", BY_COMMAND)
def test_the_command_plays_the_story_and_ends_well(forge: ForgeName) -> None:
    command = [sys.executable, "-m", "buildbot", "demo", "--once", f"--speed={FAST}", *BY_COMMAND[forge]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    check(ended.stdout, forge)


def test_a_forge_without_a_sandbox_is_refused() -> None:
    command = [sys.executable, "-m", "buildbot", "demo", "--once", "--forge", "sourcehut"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'sourcehut'" in ended.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("forge", [one for one in ForgeName if one not in BY_COMMAND])
async def test_the_story_is_the_same_at_every_forge(
    forge: ForgeName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(forge, FAST) as on, bot(on, forge, tmp_path) as url:
        faults = await show(on, f"{url}/webhooks/{forge}")
        relayed = [build for build in on.quay.builds if str(build.archive_url).startswith(f"{url}/archives/")]
    assert faults == []
    assert len(relayed) == (len(on.quay.builds) if forge is ForgeName.GITEA else 0)
    check(capsys.readouterr().out, forge)


@pytest.mark.anyio
async def test_a_bot_that_never_posts_a_status_is_found_at_fault(capsys: pytest.CaptureFixture[str]) -> None:
    async def promise(_request: Request) -> JSONResponse:
        return JSONResponse({"decision": "planned", "reason": "later"}, 202)

    async with (
        stage(ForgeName.GITEA, FAST) as on,
        serving(Starlette(routes=[Route("/", promise, methods=["POST"])])) as url,
    ):
        faults = await show(on, f"{url}/", patience_seconds=0.5)
    assert faults == [
        "only 1 of 6 pushes were made",
        "Say hello: expected success 'Built acme/api:main', got None ''",
    ]
    assert "all ended otherwise than told" in capsys.readouterr().out
