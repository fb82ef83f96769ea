"""The webhook endpoint on a real store: what it takes, what it refuses with which status, and how little it keeps."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message

from buildbot.bootstrap.adapters import webhook_reader
from buildbot.config import read
from buildbot.engine.intake import Intake
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import Hook
from buildbot.sandbox.github import GitHub
from buildbot.sandbox.github_hooks import Delivery, signatures
from buildbot.store.sql_store import SqlStore
from buildbot.telemetry import REGISTRY
from buildbot.web.app import create_app
from buildbot.web.webhooks import LARGEST_BODY, WebhookEndpoint

pytestmark = pytest.mark.anyio

OLD_SECRET, NEW_SECRET = "the hook's secret", "the hook's next secret"
URL = "/webhooks/github"
CONFIG = """
[forges.github]
kind = "github"
webhook_secrets = ["env:OLD", "env:NEW"]
token = "env:TOKEN"

[registries.quay]
kind = "quay"
token = "env:TOKEN"

[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "release-*"]
repository = "acme/api"
image_tags = ["{ref}", "sha-{short_sha}"]
"""
ENVIRON = {"OLD": OLD_SECRET, "NEW": NEW_SECRET, "TOKEN": "never-used"}


@dataclass
class Door:
    """The endpoint, the database behind it, a GitHub whose deliveries it gets, and how often it woke the loops."""

    client: httpx.AsyncClient
    app: Any
    file: Path
    current: Current
    github: GitHub = field(default_factory=GitHub)
    woken: list[None] = field(default_factory=list)

    def use(self, **changed: Any) -> None:
        """Put a setup in force that is changed in these points."""
        self.current.setup = replace(self.current.setup, **changed)

    async def push(self, branch: str = "main", *, secret: str | None = OLD_SECRET, **how: Any) -> Delivery:
        """A push that GitHub has not yet told of."""
        self.github.state.hooks.clear()
        self.github.add_hook("acme/api", "https://bot.example/", secret=secret, **how)
        return (await self.github.commit_and_push("acme/api", ref=branch, deliver=False)).deliveries[0]

    async def tell(self, delivery: Delivery, **headers: str | bytes | None) -> httpx.Response:
        """Deliver, with other headers than GitHub's (None takes one away)."""
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept: Mapping[str, Any] = {k: v for k, v in (delivery.headers | renamed).items() if v is not None}
        return await self.client.post(URL, content=delivery.body, headers=kept)

    async def tell_body(self, body: bytes, **headers: str) -> httpx.Response:
        """Deliver any body as a push that is signed well."""
        base = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1-2-3", "Content-Type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(URL, content=body, headers=base | signatures(OLD_SECRET, body) | named)

    def count(self, table: str) -> int:
        """How many rows somebody else sees in the database."""
        with closing(sqlite3.connect(self.file)) as other:
            return int(other.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

    def execute(self, statement: str) -> None:
        """Change the database behind the bot's back."""
        with closing(sqlite3.connect(self.file)) as other:
            other.execute(statement)

    @property
    def refusals(self) -> float:
        """How many deliveries the metrics count as refused."""
        labels = {"forge": "github", "decision": "refused"}
        return REGISTRY.get_sample_value("buildbot_deliveries_total", labels) or 0.0


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    file = tmp_path / "buildbot.db"
    with SqlStore(f"sqlite:///{file}") as store:
        config = read(CONFIG, ENVIRON)
        woken: list[None] = []
        hooks = {key: Hook(webhook_reader(forge), forge.webhook_secrets) for key, forge in config.forges.items()}
        current = Current(Setup(rules=config.rules, hooks=hooks))
        intake = Intake(store, lambda: woken.append(None))
        app = create_app(WebhookEndpoint(intake, current, Clock()).routes(), _nothing)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test") as client:
            door = Door(client, app, file, current, woken=woken)
            door.github.add_repository("acme/api")
            yield door


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_push_is_answered_with_what_was_decided(door: Door) -> None:
    delivery = await door.push()
    answer = await door.tell(delivery)
    assert answer.status_code == 202
    told = answer.json()
    (build,) = told["builds"]
    sha = delivery.payload["after"]
    assert told["delivery"] == delivery.guid
    assert told["decision"] == "planned"
    assert told["reason"]
    assert (build["rule"], build["repository"]) == ("api", "acme/api")
    assert build["image_tags"] == ["main", f"sha-{sha[:7]}"]
    assert build["id"]
    assert (door.count("deliveries"), door.count("builds"), len(door.woken)) == (1, 1, 1)


async def test_a_form_is_taken_like_json(door: Door) -> None:
    answer = await door.tell(await door.push(content_type="form"))
    assert (answer.status_code, answer.json()["decision"]) == (202, "planned")


@pytest.mark.parametrize("secret", [OLD_SECRET, NEW_SECRET])
async def test_while_secrets_rotate_both_are_taken(door: Door, secret: str) -> None:
    assert (await door.tell(await door.push(secret=secret))).status_code == 202


async def test_another_event_is_recorded_and_ignored_with_its_reason(door: Door) -> None:
    answer = await door.tell(await door.push(), X_GitHub_Event="issues")
    assert (answer.status_code, answer.json()["decision"], answer.json()["builds"]) == (200, "ignored", [])
    assert "issues" in answer.json()["reason"]
    assert (door.count("deliveries"), door.count("builds")) == (1, 0)


async def test_the_body_of_a_delivery_is_not_kept(door: Door) -> None:
    delivery = await door.push()
    await door.tell(delivery)
    with closing(sqlite3.connect(door.file)) as other:
        kept = "\n".join(other.iterdump())
    assert delivery.payload["after"] in kept
    assert delivery.payload["repository"]["node_id"] not in kept


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

UNSIGNED: dict[str, dict[str, str | bytes | None]] = {
    "unsigned": {"X_Hub_Signature": None, "X_Hub_Signature_256": None},
    "SHA-1 only": {"X_Hub_Signature_256": None},
    "empty": {"X_Hub_Signature_256": ""},
    "not ASCII": {"X_Hub_Signature_256": "sha256=é".encode()},
    "not UTF-8": {"X_Hub_Signature_256": b"sha256=" + b"\xff" * 64},
    "no digits": {"X_Hub_Signature_256": "sha256=" + "x" * 64},
    "bare digits": {"X_Hub_Signature_256": "0" * 64},
    "another's": {"X_Hub_Signature_256": "sha256=" + "0" * 64},
}


@pytest.mark.parametrize("headers", UNSIGNED.values(), ids=UNSIGNED)
async def test_what_is_not_signed_with_our_secret_is_401_and_leaves_nothing(
    door: Door, headers: dict[str, str | bytes | None]
) -> None:
    before = door.refusals
    answer = await door.tell(await door.push(), **headers)
    assert answer.status_code == 401
    _is_one_line(answer)
    assert (door.count("deliveries"), door.woken, door.refusals) == (0, [], before + 1)


async def test_a_delivery_signed_with_a_secret_that_is_not_ours_is_401(door: Door) -> None:
    assert (await door.tell(await door.push(secret="somebody else's"))).status_code == 401


async def test_a_body_that_was_changed_on_the_way_is_401(door: Door) -> None:
    delivery = await door.push()
    answer = await door.client.post(URL, content=delivery.body + b" ", headers=delivery.headers)
    assert answer.status_code == 401


BAD_BODIES = {
    "malformed JSON": (b'{"ref": ', "not JSON"),
    "not UTF-8": (b'{"ref": "\xff"}', "UTF-8"),
    "no object": (b"[]", "not an object"),
    "empty": (b"", "not JSON"),
    "no ref": (b"{}", "ref is missing"),
    "no repository": (b'{"ref": "refs/heads/main"}', "repository is missing"),
    "no id": (b'{"ref": "refs/heads/main", "repository": {}}', "repository.id is missing"),
    "wrong type": (b'{"ref": "refs/heads/main", "repository": {"id": "7"}}', "repository.id is not an integer"),
}


@pytest.mark.parametrize(("body", "said"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_payload_that_cannot_be_read_is_400_and_names_the_place(door: Door, body: bytes, said: str) -> None:
    answer = await door.tell_body(body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    _is_one_line(answer)
    assert (door.count("deliveries"), door.woken) == (0, [])


async def test_a_nested_field_that_is_missing_is_named_with_its_dotted_path(door: Door) -> None:
    payload = dict((await door.push()).payload)
    payload["repository"] = {name: value for name, value in payload["repository"].items() if name != "full_name"}
    answer = await door.tell_body(json.dumps(payload).encode())
    assert (answer.status_code, answer.json()) == (400, {"error": "repository.full_name is missing"})


@pytest.mark.parametrize("header", ["X_GitHub_Delivery", "X_GitHub_Event"])
async def test_a_missing_header_is_400_and_named(door: Door, header: str) -> None:
    answer = await door.tell(await door.push(), **{header: None})
    assert answer.status_code == 400
    assert header.replace("_", "-") in answer.json()["error"]


async def test_a_forge_that_is_not_configured_is_404_and_names_those_that_are(door: Door) -> None:
    answer = await door.client.post("/webhooks/gitlab", content=b"{}")
    assert answer.status_code == 404
    assert "github" in answer.json()["error"]


async def test_only_posts_are_deliveries(door: Door) -> None:
    answer = await door.client.get(URL)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "Method Not Allowed"}


async def test_a_refused_delivery_that_comes_again_well_signed_is_planned(door: Door) -> None:
    delivery = await door.push()
    assert (await door.tell(delivery, X_Hub_Signature_256=None)).status_code == 401
    assert (await door.tell(delivery, X_GitHub_Event=None)).status_code == 400
    assert (await door.tell(delivery)).status_code == 202


@pytest.mark.parametrize("way", ["ABORT", "ROLLBACK"])
async def test_what_cannot_be_recorded_is_503_and_planned_when_it_comes_again(door: Door, way: str) -> None:
    delivery = await door.push()
    door.execute(f"CREATE TRIGGER full BEFORE INSERT ON steps BEGIN SELECT RAISE({way}, 'no space left'); END")
    answer = await door.tell(delivery)
    assert answer.status_code == 503
    assert "could not be recorded, send it again" in answer.json()["error"]
    assert (door.count("deliveries"), door.count("builds"), door.woken) == (0, 0, [])
    door.execute("DROP TRIGGER full")
    answer = await door.tell(delivery)
    assert (answer.status_code, answer.json()["decision"]) == (202, "planned")


@pytest.mark.parametrize("way", ["ABORT", "ROLLBACK"])
async def test_a_delivery_that_breaks_the_common_transaction_takes_no_answered_one_with_it(
    door: Door, way: str
) -> None:
    """A full disk may undo the whole transaction that many deliveries share, in the middle of it."""
    deliveries = [await door.push(f"release-{number}") for number in range(30)]
    when = "NEW.what LIKE '%release-17%'"
    door.execute(f"CREATE TRIGGER full BEFORE INSERT ON steps WHEN {when} BEGIN SELECT RAISE({way}, 'no space'); END")
    answers: dict[str, int] = {}

    async def tell(delivery: Delivery) -> None:
        answers[delivery.guid] = (await door.tell(delivery)).status_code

    async with anyio.create_task_group() as group:
        for delivery in deliveries:
            group.start_soon(tell, delivery)
    assert answers[deliveries[17].guid] == 503
    assert set(answers.values()) <= {202, 503}
    with closing(sqlite3.connect(door.file)) as other:
        recorded = {guid for (guid,) in other.execute("SELECT guid FROM deliveries")}
    assert {guid for guid, status in answers.items() if status == 202} <= recorded
    assert deliveries[17].guid not in recorded


# ── while another configuration takes over ───────────────────────────────────────────────────────────────────────────


def in_parts(delivery: Delivery, between: Callable[[], None]) -> Callable[[], AsyncIterator[bytes]]:
    """The delivery's body in two parts, with something that happens after the first has been taken in."""

    async def parts() -> AsyncIterator[bytes]:
        yield delivery.body[:100]
        between()
        yield delivery.body[100:]

    return parts


@pytest.mark.parametrize(("secret", "after"), [(OLD_SECRET, 401), (NEW_SECRET, 202)], ids=["old", "new"])
async def test_a_delivery_is_proven_by_the_secrets_in_force_when_it_came_in(
    door: Door, secret: str, after: int
) -> None:
    hook = door.current.setup.hooks["github"]
    before, then = (replace(hook, secrets=(one.encode(),)) for one in (OLD_SECRET, NEW_SECRET))
    door.use(hooks={"github": before})
    under_way, next_one = await door.push(secret=secret), await door.push(secret=secret)
    content = in_parts(under_way, lambda: door.use(hooks={"github": then}))
    answer = await door.client.post(URL, content=content(), headers=under_way.headers)
    assert answer.status_code == (202 if secret == OLD_SECRET else 401)
    assert (await door.tell(next_one)).status_code == after


async def test_a_delivery_under_way_is_read_and_planned_by_the_forge_and_rules_that_are_gone_meanwhile(
    door: Door,
) -> None:
    delivery, next_one = await door.push(), await door.push()
    content = in_parts(delivery, lambda: door.use(hooks={}, rules=()))
    answer = await door.client.post(URL, content=content(), headers=delivery.headers)
    assert (answer.status_code, answer.json()["decision"]) == (202, "planned")
    assert (await door.tell(next_one)).status_code == 404


# ── how much is taken in ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_of_exactly_the_limit_is_read(door: Door) -> None:
    body = b"{" + b" " * (LARGEST_BODY - 2) + b"}"
    answer = await door.tell_body(body)
    assert (answer.status_code, answer.json()["error"]) == (400, "ref is missing")


@pytest.mark.parametrize("signature", [b"sha256=" + b"0" * 64, b""])
async def test_what_announces_itself_as_too_large_is_413_unread_and_unverified(door: Door, signature: bytes) -> None:
    body = _Body(chunks=1)
    status, _ = await _post(door, body, (b"content-length", str(LARGEST_BODY + 1).encode()), signature=signature)
    assert (status, body.taken) == (413, 0)


@pytest.mark.parametrize("length", [b"9" * 60, b"-1", "\N{FULLWIDTH DIGIT TWO}".encode(), b"1e3"])
async def test_an_odd_content_length_is_no_accident(door: Door, length: bytes) -> None:
    status, _ = await _post(door, _Body(chunks=1), (b"content-length", length), signature=b"")
    assert status in {401, 413}


@pytest.mark.parametrize("signature", [b"sha256=" + b"0" * 64, b""], ids=["signed", "unsigned"])
async def test_a_stream_without_end_is_413_at_the_limit_and_bounded_in_memory(door: Door, signature: bytes) -> None:
    body = _Body(chunks=200)
    tracemalloc.start()
    try:
        status, answer = await _post(door, body, (b"transfer-encoding", b"chunked"), signature=signature)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == 413
    assert "25 MiB" in json.loads(answer)["error"]
    assert body.taken == LARGEST_BODY // _Body.SIZE + 1
    assert peak < (2 * LARGEST_BODY if signature else 5 * _Body.SIZE)


async def test_a_body_that_is_cut_is_no_delivery(door: Door) -> None:
    body = _Body(chunks=3, cut=True)
    status, answer = await _post(door, body, (b"content-length", b"9000000"), signature=b"sha256=" + b"0" * 64)
    assert (status, json.loads(answer)) == (400, {"error": "the body did not arrive whole"})
    assert door.count("deliveries") == 0


class _Body:
    """A request's body in chunks of a mebibyte, made as they are taken."""

    SIZE = 1024 * 1024

    def __init__(self, chunks: int, *, cut: bool = False) -> None:
        self.taken = 0
        self._chunks = self._made(chunks, cut=cut)

    async def receive(self) -> Message:
        return next(self._chunks)

    def _made(self, chunks: int, *, cut: bool) -> Iterator[Message]:
        for number in range(chunks):
            self.taken += 1
            is_last = number == chunks - 1 and not cut
            yield {"type": "http.request", "body": bytes(self.SIZE), "more_body": not is_last}
        while True:
            yield {"type": "http.disconnect"}


async def _post(door: Door, body: _Body, *headers: tuple[bytes, bytes], signature: bytes) -> tuple[int, bytes]:
    """Deliver without a client in between, which would keep the whole body itself."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "raw_path": URL.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(b"x-github-event", b"push"), (b"x-hub-signature-256", signature), *headers],
        "server": ("bot.test", 80),
        "client": ("198.51.100.7", 1),
    }
    await door.app(scope, body.receive, send)
    answer = b"".join(message.get("body", b"") for message in sent)
    return int(sent[0]["status"]), answer


def _is_one_line(answer: httpx.Response) -> None:
    told = answer.json()
    assert list(told) == ["error"]
    assert told["error"]
    assert "\n" not in told["error"]
