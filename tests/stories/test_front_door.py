"""The front door over real sockets: what is answered, that an answer is kept, and that a crowd makes no difference."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from buildbot.sandbox.github import Push
from buildbot.sandbox.github_hooks import Attempt, Delivery, signatures
from buildbot.sandbox.serving import listen, serving
from tests.stories.world import PATIENCE_SECONDS, REPOSITORY, SECRET, World

pytestmark = pytest.mark.anyio

LIMIT = 25 * 1024 * 1024
PIECE = bytes(64 * 1024)


def told(attempt: Attempt) -> tuple[int, str]:
    """The status and the decision of an answer."""
    return attempt.status_code, json.loads(attempt.answer).get("decision", "refused")


async def at_once(world: World, deliveries: Sequence[Delivery]) -> list[Attempt]:
    """Deliver all at the same time."""
    attempts: list[Attempt] = []

    async def deliver(one: Delivery) -> None:
        attempts.append(await world.github.deliver(one))

    async with anyio.create_task_group() as group:
        for delivery in deliveries:
            group.start_soon(deliver, delivery)
    return attempts


async def held(world: World, ref: str | None = None) -> Push:
    """A push that GitHub has not told of yet."""
    return await world.github.commit_and_push(REPOSITORY, ref=ref, deliver=False)


# ── what is decided ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_delivery_leads_to_is_in_its_answer(world: World) -> None:
    world.quay.allowed_workers = 0
    async with world.bot():
        first, second = await held(world), await held(world)
        ping = world.github.ping(world.hook)
        assert told(await world.github.deliver(ping)) == (200, "ignored")
        assert told(await world.github.deliver(second.deliveries[0])) == (202, "planned")
        late = await world.github.deliver(first.deliveries[0])
        assert told(late) == (202, "superseded")
        (build,) = json.loads(late.answer)["builds"]
        assert build["image_tags"] == ["main", f"sha-{first.sha[:7]}", "latest"]
        other = await world.github.commit_and_push(REPOSITORY, ref="experiment")
        assert told(other.attempts[0]) == (200, "ignored")
        assert "api" in dict(json.loads(other.attempts[0].answer)["rules"])
        await world.github.commit_and_push(REPOSITORY, ref="release/1")
        deleted = await world.github.delete_ref(REPOSITORY, "release/1")
        assert told(deleted.attempts[0]) == (200, "cancelled")


async def test_a_repetition_builds_nothing_and_says_so(world: World) -> None:
    async with world.bot():
        push = await world.github.commit_and_push(REPOSITORY)
        (delivery,) = push.deliveries
        again = await world.github.deliver(delivery)
        moved = await world.github.deliver(delivery, guid="11111111-2222-3333-4444-555555555555")
        assert (told(again), told(moved)) == ((200, "repeated"), (200, "repeated"))
        assert json.loads(again.answer)["builds"] == json.loads(moved.answer)["builds"] == []
        assert (await world.final_status(push.sha)).state == "success"
    assert len(world.quay.builds) == 1


async def test_a_push_that_moved_nothing_builds_nothing(world: World) -> None:
    async with world.bot():
        head = (await held(world)).sha
        (delivery,) = (await world.github.push_ref(REPOSITORY, "main", head, deliver=False)).deliveries
        assert delivery.payload["before"] == delivery.payload["after"]
        assert told(await world.github.deliver(delivery))[0] == 200
        assert world.rows("SELECT id FROM builds") == []


async def test_both_secrets_are_taken_while_they_rotate(world: World) -> None:
    world.environ["NEXT_SECRET"] = "the next one"
    world.setting.secrets = '"env:NEXT_SECRET", "env:GITHUB_WEBHOOK_SECRET"'
    async with world.bot() as url:
        assert told((await world.github.commit_and_push(REPOSITORY)).attempts[0]) == (202, "planned")
        world.github.state.hooks.clear()
        world.github.add_hook(REPOSITORY, f"{url}/webhooks/github", secret="the next one")
        assert told((await world.github.commit_and_push(REPOSITORY)).attempts[0]) == (202, "planned")


# ── what is answered is kept ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_answered_2xx_is_committed_when_the_answer_arrives(world: World) -> None:
    async with world.bot():
        for number in range(20):
            push = await world.github.commit_and_push(REPOSITORY, ref=f"release/{number}")
            assert push.attempts[0].status_code == 202
            assert push.deliveries[0].guid in world.rows("SELECT guid FROM deliveries")
            (build,) = json.loads(push.attempts[0].answer)["builds"]
            assert build["id"] in world.rows("SELECT id FROM builds")


async def test_nobody_is_answered_while_the_database_is_held_by_another(world: World) -> None:
    async with world.bot():
        push = await held(world)
        with world.held_store():
            answering = asyncio.ensure_future(world.github.deliver(push.deliveries[0]))
            done, _ = await asyncio.wait({answering}, timeout=0.3)
            assert not done
        assert told(await answering) == (202, "planned")


async def test_what_could_not_be_recorded_is_503_and_built_when_it_comes_again(world: World) -> None:
    async with world.bot():
        push = await held(world)
        with world.held_store() as other:
            other.execute(text("ALTER TABLE deliveries RENAME TO elsewhere"))
        refused = await world.github.deliver(push.deliveries[0])
        assert refused.status_code == 503
        assert "send it again" in json.loads(refused.answer)["error"]
        with world.held_store() as other:
            other.execute(text("ALTER TABLE elsewhere RENAME TO deliveries"))
        assert told(await world.github.deliver(push.deliveries[0])) == (202, "planned")
        assert (await world.final_status(push.sha)).state == "success"


async def test_a_refused_delivery_is_planned_once_it_is_signed_well(world: World) -> None:
    async with world.bot():
        (delivery,) = (await held(world)).deliveries
        forged = await world.github.deliver(delivery, headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})
        assert forged.status_code == 401
        assert told(await world.github.deliver(delivery)) == (202, "planned")


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_fifty_deliveries_at_once_are_all_recorded(world: World) -> None:
    world.quay.allowed_workers = 0
    async with world.bot():
        pushes = [await held(world, f"release/{number}") for number in range(50)]
        attempts = await at_once(world, [push.deliveries[0] for push in pushes])
        assert [told(attempt) for attempt in attempts] == [(202, "planned")] * 50
        assert set(world.rows("SELECT guid FROM deliveries")) == {push.deliveries[0].guid for push in pushes}
        assert len(world.rows("SELECT id FROM builds")) == 50


async def test_one_delivery_twenty_times_at_once_is_one_build(world: World) -> None:
    async with world.bot():
        push = await held(world)
        attempts = await at_once(world, list(push.deliveries) * 20)
        assert sorted(told(attempt) for attempt in attempts) == [(200, "repeated")] * 19 + [(202, "planned")]
        assert (await world.final_status(push.sha)).state == "success"
    assert len(world.quay.builds) == 1


# ── bodies on real connections ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_without_end_is_413_on_the_connection_itself(world: World) -> None:
    async with world.bot() as url:
        chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
        pieces = (chunk for _ in range(LIMIT // len(PIECE) + 2))
        answer = await asyncio.to_thread(send, url, b"Transfer-Encoding: chunked", pieces)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 ")
        assert b"larger than 25 MiB" in answer


async def test_a_body_that_announces_itself_as_too_large_is_413_before_a_byte_of_it(world: World) -> None:
    async with world.bot() as url:
        answer = await asyncio.to_thread(send, url, b"Content-Length: %d" % (LIMIT + 1), iter(()))
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_streams_200_mib_is_told_413_or_cut_off_and_others_are_served(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200 * 1024 * 1024 // len(PIECE)):
            yield PIECE

    async with world.bot() as url, httpx.AsyncClient(timeout=20) as client:
        try:
            status = (await client.post(f"{url}/webhooks/github", content=endless())).status_code
        except httpx.WriteError:
            status = 413
        assert status == 413
        assert told((await world.github.commit_and_push(REPOSITORY)).attempts[0]) == (202, "planned")


async def test_a_body_that_is_cut_is_no_delivery_and_does_no_harm(world: World) -> None:
    async with world.bot() as url:
        push = await held(world)
        (delivery,) = push.deliveries
        half = delivery.body[: len(delivery.body) // 2]
        await asyncio.to_thread(send, url, b"Content-Length: %d" % len(delivery.body), iter([half]), hang_up=True)
        assert (await world.get("/livez")).status_code == 200
        assert world.rows("SELECT guid FROM deliveries") == []
        assert told(await world.github.deliver(delivery)) == (202, "planned")


def send(url: str, framing: bytes, pieces: Iterator[bytes], *, hang_up: bool = False) -> bytes:
    """Speak HTTP by hand, which shows what an impatient client library would hide; returns all that comes back."""
    address = urlsplit(url)
    signed = signatures(SECRET, b"another body")["X-Hub-Signature-256"].encode()
    head = b"POST /webhooks/github HTTP/1.1\r\nHost: bot\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: " + signed
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n" + framing + b"\r\n\r\n")
        for piece in pieces:
            connection.sendall(piece)
        if hang_up:
            return b""
        answer = b""
        while not answer.endswith(b"}") and (more := connection.recv(65536)):
            answer += more
        return answer


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_quay_that_is_down_is_named_and_the_bot_stays_ready_until_it_is_back(world: World) -> None:
    with listen() as free:
        port = int(free.getsockname()[1])
    world.quay.url = f"http://127.0.0.1:{port}"
    async with world.bot():
        push = await world.github.commit_and_push(REPOSITORY)
        assert told(push.attempts[0]) == (202, "planned")
        await eventually(world, "/readyz", lambda answer: list(answer.json()["degraded"]) == ["quay"])
        assert (await world.get("/readyz")).status_code == 200
        async with serving(world.quay.app, listening=listen(port)):
            assert (await world.final_status(push.sha)).state == "success"
            assert (await world.get("/readyz")).json() == {"status": "ready", "degraded": {}, "rounds": {}}


async def test_metrics_tell_the_story_of_a_push(world: World) -> None:
    async with world.bot():
        before = await samples(world)
        push = await world.github.commit_and_push(REPOSITORY)
        await world.github.deliver(push.deliveries[0])
        await world.github.deliver(push.deliveries[0], headers={"X-Hub-Signature-256": None})
        await world.final_status(push.sha)
        await eventually(world, "/metrics", lambda answer: "buildbot_builds_ended_total" in answer.text)
        after = await samples(world)
    grown = {key for key, value in after.items() if value > before.get(key, 0.0)}
    for decision in ("planned", "repeated", "refused"):
        assert ("buildbot_deliveries_total", frozenset({("forge", "github"), ("decision", decision)})) in grown
    for to, operation in (("quay", "requestRepoBuild"), ("quay", "getRepoBuilds"), ("github", "postStatus")):
        labels = frozenset({("to", to), ("operation", operation), ("outcome", "ok")})
        assert ("buildbot_calls_total", labels) in grown
    assert ("buildbot_builds_ended_total", frozenset({("registry", "quay"), ("phase", "succeeded")})) in grown
    assert ("buildbot_status_lag_seconds_count", frozenset({("forge", "github")})) in grown
    assert ("buildbot_acknowledge_seconds_count", frozenset({("forge", "github")})) in grown


async def eventually(world: World, path: str, holds: Callable[[httpx.Response], bool]) -> None:
    """Ask until the answer is the one that is waited for."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds(await world.get(path)):  # noqa: ASYNC110  another process would have to be asked just so
            await asyncio.sleep(0.02)


async def samples(world: World) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the metrics, by name and labels."""
    families = text_string_to_metric_families((await world.get("/metrics")).text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}
