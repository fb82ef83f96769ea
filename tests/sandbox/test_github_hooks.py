"""Webhooks on the wire: signatures against known vectors, headers, and every way in which sending can end."""

from __future__ import annotations

import httpx
import pytest

from buildbot.sandbox.github_hooks import Attempt, Delivery, Hook, Hookshot, signatures
from tests.sandbox.github_world import BOT_URL, Clock, World

# GitHub's documentation has this secret, body and SHA-256; the others were computed from the same secret.
SECRET = "It's a Secret to Everybody"
FORM = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22zen%22%3A%22gr%C3%B6%C3%9Fe+%2B+100%25%22%7D"
FORM_SHA256 = "sha256=9bafad6bc982d65e719bf2a113e69d57e414e45d0a99d40c6a91f4baffc89c41"


def a_delivery(hook: Hook, **payload: object) -> Delivery:
    return Delivery(1, "guid", "push", hook, payload)


def a_hook(**kwargs: object) -> Hook:
    return Hook(1, BOT_URL, Clock()(), repository_id=2, **kwargs)  # type: ignore[arg-type]


async def sent_to(transport: httpx.AsyncBaseTransport) -> Attempt:
    async with httpx.AsyncClient(transport=transport) as client:
        return await Hookshot(Clock(), client).send(a_delivery(a_hook()))


def test_signatures_are_githubs() -> None:
    assert signatures(SECRET, b"Hello, World!") == {
        "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59",
    }


def test_a_form_is_signed_as_sent_and_not_as_decoded() -> None:
    hook = a_hook(secret=SECRET, content_type="form")
    delivery = a_delivery(hook, ref="refs/heads/main", zen="größe + 100%")
    assert delivery.body == FORM
    assert delivery.headers["X-Hub-Signature-256"] == FORM_SHA256
    assert delivery.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_hook_without_a_secret_sends_no_signature() -> None:
    assert not [name for name in a_delivery(a_hook()).headers if "Signature" in name]


def test_json_goes_out_as_utf8_and_not_escaped() -> None:
    assert a_delivery(a_hook(), zen="größe").body == '{"zen":"größe"}'.encode()


@pytest.mark.parametrize(
    ("active", "events", "hears"),
    [(True, ("push",), True), (True, ("*",), True), (True, ("create",), False), (False, ("push",), False)],
)
def test_a_hook_hears_what_it_is_subscribed_to_while_it_is_on(
    active: bool, events: tuple[str, ...], hears: bool
) -> None:
    assert a_hook(active=active, events=events).hears("push") is hears


@pytest.mark.anyio
async def test_the_headers_are_githubs_on_an_enterprise_server(world: World) -> None:
    hook = world.github.add_hook("acme/api", BOT_URL, secret="s")
    await world.github.commit_and_push("acme/api")
    headers = world.bot.received[0].headers
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    assert headers["content-type"] == "application/json"
    assert headers["x-github-hook-id"] == str(hook.id)
    assert headers["x-github-hook-installation-target-type"] == "repository"
    assert headers["x-github-hook-installation-target-id"] == str(world.repository.id)
    assert headers["x-github-enterprise-host"] == "github.test"
    assert headers["x-hub-signature-256"] == signatures("s", world.bot.received[0].body)["X-Hub-Signature-256"]


@pytest.mark.anyio
async def test_a_form_carries_the_same_payload(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, content_type="form")
    pushed = await world.github.commit_and_push("acme/api", message="größe + 100%")
    assert world.bot.received[0].payload == pushed.deliveries[0].payload


@pytest.mark.anyio
async def test_a_tamperer_changes_the_body_but_cannot_sign_it(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, secret="s")
    [delivery] = (await world.github.commit_and_push("acme/api", deliver=False)).deliveries
    await world.github.deliver(delivery, body=b"{}")
    [received] = world.bot.received
    assert received.body == b"{}"
    assert received.headers["x-hub-signature-256"] == delivery.headers["X-Hub-Signature-256"]
    assert received.headers["x-hub-signature-256"] != signatures("s", received.body)["X-Hub-Signature-256"]


@pytest.mark.anyio
async def test_a_tamperer_may_change_or_take_away_headers(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, secret="s")
    [delivery] = (await world.github.commit_and_push("acme/api", deliver=False)).deliveries
    await world.github.deliver(delivery, headers={"X-Hub-Signature-256": None, "X-GitHub-Event": "ping"})
    assert "x-hub-signature-256" not in world.bot.received[0].headers
    assert world.bot.received[0].event == "ping"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "status"), [(202, "OK"), (500, "Invalid HTTP Response: 500"), (302, "Invalid HTTP Response: 302")]
)
async def test_the_answer_is_logged_and_nothing_is_sent_twice(world: World, code: int, status: str) -> None:
    world.bot.status = code
    world.github.add_hook("acme/api", BOT_URL)
    [attempt] = (await world.github.commit_and_push("acme/api")).attempts
    assert (attempt.status_code, attempt.status, attempt.answer) == (code, status, "noted")
    assert world.github.hookshot.log == [attempt]
    assert len(world.bot.received) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "status"),
    [(httpx.ReadTimeout("slow"), "timed out"), (httpx.ConnectError("refused"), "failed to connect to host")],
)
async def test_no_answer_is_logged_with_the_code_0(error: Exception, status: str) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    attempt = await sent_to(httpx.MockTransport(fail))
    assert (attempt.status_code, attempt.status) == (0, status)


@pytest.mark.anyio
async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    asked = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(307, headers={"Location": "http://elsewhere.test/"})

    attempt = await sent_to(httpx.MockTransport(redirect))
    assert (attempt.status_code, asked) == (307, [BOT_URL])


@pytest.mark.anyio
async def test_a_bot_has_ten_seconds_to_answer() -> None:
    patience = []

    def note(request: httpx.Request) -> httpx.Response:
        patience.append(request.extensions["timeout"]["read"])
        return httpx.Response(200)

    await sent_to(httpx.MockTransport(note))
    assert patience == [10.0]


@pytest.mark.anyio
async def test_without_a_client_a_connection_is_opened_for_each_sending() -> None:
    nobody_there = Hook(1, "http://127.0.0.1:1/", Clock()(), repository_id=2)
    attempt = await Hookshot(Clock()).send(a_delivery(nobody_there))
    assert (attempt.status_code, attempt.status) == (0, "failed to connect to host")
