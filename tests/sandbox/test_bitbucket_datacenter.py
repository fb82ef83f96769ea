"""The sandbox Bitbucket Data Center: what its deliveries and answers look like."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from buildbot.sandbox.bitbucket_datacenter import BitbucketDataCenter
from buildbot.sandbox.bitbucket_hooks import signature
from tests.sandbox.github_world import Bot, Clock

pytestmark = pytest.mark.anyio
BOT_URL = "http://bot.test/webhooks/bitbucket"
REPO = "OPS/api"


@dataclass(slots=True)
class World:
    """Everything a test needs."""

    forge: BitbucketDataCenter
    bot: Bot
    client: httpx.AsyncClient

    @property
    def head(self) -> str:
        return self.forge.repository(REPO).refs["refs/heads/main"]

    async def ask(self, path: str, token: str | None = None, **body: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"{self.forge.api_url}/projects/OPS/repos/api{path}"
        return await self.client.request("POST" if body else "GET", url, headers=headers, json=body or None)

    async def get(self, path: str) -> Any:
        answer = await self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    bot = Bot()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(bot)) as to_bot:
        forge = BitbucketDataCenter(now=Clock(), client=to_bot)
        forge.add_repository(REPO)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(forge.app)) as client:
            yield World(forge, bot, client)


def exception(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return str(error["exceptionName"]).rpartition(".")[2]


def status(**changed: object) -> dict[str, object]:
    return {"key": "quay/api", "state": "INPROGRESS", "url": "https://builds.test/1", **changed}


async def test_a_push_is_told_once_and_signed(world: World) -> None:
    world.bot.status = 500
    world.forge.add_hook(REPO, BOT_URL, secret="hush")
    push = await world.forge.push_tag(REPO, "v1", annotated=True)
    (received,) = world.bot.received
    told = json.loads(received.body)
    assert received.headers["x-event-key"] == told["eventKey"] == "repo:refs_changed"
    assert received.headers["x-hub-signature"] == signature("hush", received.body)
    assert "x-request-id" in received.headers
    assert told["changes"][0]["toHash"] == push.after != push.sha == told["toCommit"]["id"]
    assert told["date"].endswith("+0000")


async def test_a_deletion_has_no_commit(world: World) -> None:
    await world.forge.commit_and_push(REPO, ref="topic")
    world.forge.add_hook(REPO, BOT_URL)
    await world.forge.delete_ref(REPO, "topic")
    told = json.loads(world.bot.received[0].body)
    assert (told["changes"][0]["type"], "toCommit" in told) == ("DELETE", False)


async def test_the_connection_test_names_no_repository(world: World) -> None:
    attempt = await world.forge.test_hook(world.forge.add_hook(REPO, BOT_URL))
    (received,) = world.bot.received
    assert (received.headers["x-event-key"], json.loads(received.body)) == ("diagnostics:ping", {"test": True})
    assert attempt.status_code == 202


async def test_a_status_leaves_nothing_but_204_and_is_overwritten_by_its_key(world: World) -> None:
    token = world.forge.issue_token("ci-bot")
    for state in ("INPROGRESS", "SUCCESSFUL"):
        answer = await world.ask(f"/commits/{world.head}/builds", token, **status(state=state))
        assert (answer.status_code, answer.content, answer.headers["x-ausername"]) == (204, b"", "ci-bot")
    assert [one.state for one in world.forge.statuses(REPO, world.head)] == ["SUCCESSFUL"]
    assert (await world.get(f"/commits/{world.head}/builds?key=quay/api"))["state"] == "SUCCESSFUL"


@pytest.mark.parametrize(
    "wrong",
    [{"url": ""}, {"url": "https://" + "x" * 443}, {"key": "k" * 256}, {"state": "STOPPED"}, {"url": "ftp://x"}],
)
async def test_a_wrong_status_is_refused(world: World, wrong: dict[str, str]) -> None:
    answer = await world.ask(f"/commits/{world.head}/builds", world.forge.issue_token("ci-bot"), **status(**wrong))
    assert (answer.status_code, exception(answer)) == (400, "ArgumentValidationException")


async def test_401_is_told_apart_by_its_exception_only(world: World) -> None:
    world.forge.set_private(REPO)
    closed = await world.ask("", world.forge.issue_token("stranger"))
    wrong = await world.ask("", "wrong")
    assert (closed.status_code, exception(closed)) == (401, "AuthorisationException")
    assert (wrong.status_code, exception(wrong)) == (401, "IncorrectPasswordAuthenticationException")
    assert (await world.ask("", world.forge.issue_token("reader", collaborator=REPO))).status_code == 200


async def test_what_is_not_there_is_named_by_its_exception(world: World) -> None:
    assert exception(await world.ask("/commits/gone")) == "NoSuchCommitException"
    assert exception(await world.ask(f"/browse/gone?at={world.head}&type=true")) == "NoSuchPathException"
    gone = await world.client.get(f"{world.forge.api_url}/projects/OPS/repos/gone")
    assert exception(gone) == "NoSuchRepositoryException"


async def test_a_tags_object_is_no_commit_but_in_the_list_of_tags(world: World) -> None:
    push = await world.forge.push_tag(REPO, "v1", annotated=True)
    await world.forge.push_tag(REPO, "v0")
    assert exception(await world.ask(f"/commits/{push.after}")) == "NoSuchCommitException"
    first = await world.get("/tags?orderBy=MODIFICATION&limit=1")
    rest = await world.get(f"/tags?limit=1&start={first['nextPageStart']}")
    told = {tag["displayId"]: (tag["hash"], tag["latestCommit"]) for tag in first["values"] + rest["values"]}
    assert told == {"v1": (push.after, push.sha), "v0": (None, push.sha)}
    assert (first["isLastPage"], rest["isLastPage"]) == (False, True)


async def test_changes_end_at_the_limit_without_a_word(world: World) -> None:
    before = world.head
    await world.forge.commit_and_push(REPO, files={"Dockerfile": None, "moved": "FROM busybox\n", "a": "1"})
    told = await world.get(f"/changes?since={before}&until={world.head}")
    kinds = [(one["type"], one["path"]["toString"]) for one in told["values"]]
    assert kinds == [("DELETE", "Dockerfile"), ("ADD", "a"), ("ADD", "moved")]
    world.forge.state.most_changes = 2
    cut = await world.get(f"/changes?since={before}&until={world.head}&limit=1000")
    assert (len(cut["values"]), cut["limit"], cut["isLastPage"]) == (2, 2, True)


async def test_the_archive_has_no_top_directory_unless_one_is_asked_for(world: World) -> None:
    for prefix, names in (("", ["Dockerfile"]), ("&prefix=source/", ["source/Dockerfile"])):
        answer = await world.ask(f"/archive?at={world.head}&format=tar.gz{prefix}")
        with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
            assert archive.getnames() == names
    assert (await world.ask("/archive?format=rar")).status_code == 400


async def test_too_many_calls_are_told_so(world: World) -> None:
    world.forge.state.throttled_calls, world.forge.state.retry_after = 1, 5
    answer = await world.ask("")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert (await world.ask("")).status_code == 200
