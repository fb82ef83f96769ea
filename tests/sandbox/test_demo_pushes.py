"""Pushing in the demo from another terminal, at any forge."""

from __future__ import annotations

import httpx
import pytest

from buildbot.sandbox.demo_forges import FORGES, REPOSITORY, ForgeName

pytestmark = pytest.mark.anyio
FORGE_URL = "http://forge.test"


@pytest.mark.parametrize("name", ForgeName)
async def test_a_push_is_made_at_every_forge(name: ForgeName) -> None:
    forge = FORGES[name]()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(forge.app), base_url=FORGE_URL) as web:
        body = {"repository": REPOSITORY, "ref": "main", "message": "My push", "files": {"docs/index.md": None}}
        answer = await web.post("/_sandbox/push", json=body)
    head = forge.repository.resolve("main")
    assert (answer.status_code, answer.json()["sha"], head.message) == (200, head.sha, "My push")
    assert "docs/index.md" not in head.files


@pytest.mark.parametrize("name", ForgeName)
async def test_everything_else_is_the_forges(name: ForgeName) -> None:
    forge = FORGES[name]()
    path = forge.sandbox.api_url.removeprefix(forge.sandbox.url)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(forge.app), base_url=FORGE_URL) as web:
        repository = "/projects/acme%2Fapi" if name is ForgeName.GITLAB else f"/repo{_s(name)}/{REPOSITORY}"
        answer = await web.get(path + repository)
    assert answer.status_code == 200
    assert REPOSITORY in answer.text


def _s(name: ForgeName) -> str:
    return "sitories" if name is ForgeName.BITBUCKET else "s"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "not JSON"),
        ("[]", 400, "must be an object"),
        ('{"ref": "main"}', 400, "must be an object"),
        ('{"repository": 5}', 400, "not 'repository' with 5"),
        ('{"repository": "acme/api", "branch": "x"}', 400, "not 'branch'"),
        ('{"repository": "acme/nothing"}', 404, "no project acme/nothing"),
        ('{"repository": "acme/api", "files": {"nothing": null}}', 404, "cannot remove nothing"),
    ],
)
async def test_a_push_that_cannot_be_made_is_refused_in_words(body: str, status: int, said: str) -> None:
    app = FORGES[ForgeName.GITLAB]().app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=FORGE_URL) as web:
        answer = await web.post("/_sandbox/push", content=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]
