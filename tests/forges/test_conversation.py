"""What is asked once and what is tried again; reads that may find nothing; whose budget a token spends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from buildbot.forges.auth import TokenAuth
from buildbot.forges.conversation import Conversation, UserBudget, reading, sha_in
from buildbot.forges.fields import Fields
from buildbot.forges.github.dialect import GITHUB
from buildbot.ports import CallError, Refused, Throttled, Unanswered, Unavailable, Vanished
from tests.forges.github.wire import API_URL, NOW, SECOND, SHA, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO, PATH, DOING = "acme/api", "/repos/acme/api/things", "to show things"


def talk(client: httpx.AsyncClient) -> Conversation:
    return Conversation(
        client,
        GITHUB,
        TokenAuth("t"),
        api_url=API_URL,
        request_timeout=20 * SECOND,
        retry_pause=timedelta(0),
        now=lambda: NOW,
    )


async def test_a_list_is_read_as_its_members() -> None:
    async with wired(answer(200, [{"id": 1}, {"id": 2}])) as (client, _):
        told = await talk(client).read_list(REPO, PATH, DOING)
    assert [member.number("id") for member in told.members] == [1, 2]


@pytest.mark.parametrize("body", [{"id": 1}, [1], "x", None])
async def test_what_is_no_list_of_objects_makes_no_sense(body: object) -> None:
    async with wired(*[httpx.Response(200, json=body)] * 3) as (client, _):
        with pytest.raises(Unanswered, match="list of objects"):
            await talk(client).read_list(REPO, PATH, DOING)


@pytest.mark.parametrize("response", [answer(200, []), answer(200, {}), said(404, "Not Found")])
async def test_a_look_may_find_nothing(response: httpx.Response) -> None:
    async with wired(response) as (client, _):
        assert (await talk(client).look(REPO, PATH, DOING)).status == response.status_code


@pytest.mark.parametrize(
    ("response", "kind"), [(page(404), Unavailable), (said(403, "no"), Refused), (said(429, "slow"), Throttled)]
)
async def test_a_look_that_was_refused_has_found_out_nothing(response: httpx.Response, kind: type[CallError]) -> None:
    async with wired(response) as (client, wire):
        with pytest.raises(kind):
            await talk(client).look(REPO, PATH, DOING)
    assert len(wire.requests) == 1


async def test_a_look_is_tried_again_after_what_may_pass() -> None:
    async with wired(httpx.ReadError("x"), said(502, "x"), answer(200, {})) as (client, _):
        assert (await talk(client).look(REPO, PATH, DOING)).status == 200


async def test_a_comparison_is_unknown_where_a_commit_is_gone_or_too_much_is_told() -> None:
    too_much = httpx.Response(200, content=b"x" * 8_000_001)
    async with wired(said(404, "Not Found"), too_much, answer(200, {"files": []})) as (client, _):
        assert await talk(client).compared(REPO, PATH, DOING) is None
        assert await talk(client).compared(REPO, PATH, DOING) is None
        assert await talk(client).compared(REPO, PATH, DOING) is not None


# Budgets


async def test_a_user_is_asked_for_once_however_many_want_to_know() -> None:
    asked = []

    async def ask() -> str:
        asked.append(1)
        await asyncio.sleep(0)
        return "ci-bot"

    budget = UserBudget(ask, "git.test")
    assert await asyncio.gather(*[budget.name() for _ in range(5)]) == ["user:ci-bot"] * 5
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "asked_again"),
    [(Refused("x"), False), (Vanished("x"), False), (Unavailable("x"), True), (Unanswered("x"), True)],
)
async def test_a_forge_that_does_not_say_whose_token_it_is_is_asked_again_only_if_that_may_pass(
    error: CallError, asked_again: bool
) -> None:
    answers: list[CallError | str] = [error, "ci-bot"]

    async def ask() -> str:
        told = answers.pop(0)
        if isinstance(told, CallError):
            raise told
        return told

    budget = UserBudget(ask, "git.test")
    assert await budget.name() == "token:git.test"
    assert await budget.name() == ("user:ci-bot" if asked_again else "token:git.test")


# Answers


def test_a_field_that_is_wrong_in_an_answer_is_named_with_its_forge() -> None:
    with pytest.raises(Unanswered, match=r"GitLab's answer makes no sense: id is missing"):
        reading(lambda: Fields({}).number("id"), "GitLab")


@pytest.mark.parametrize("value", ["main", SHA[:7], SHA.upper(), "", None])
def test_an_object_id_in_an_answer_is_whole(value: str | None) -> None:
    assert sha_in(Fields({"id": SHA}), "id", "GitLab") == SHA
    with pytest.raises(Unanswered, match="makes no sense"):
        sha_in(Fields({"id": value}), "id", "GitLab")
