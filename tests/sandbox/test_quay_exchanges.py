"""The sandbox's Quay answers what the real one was recorded to answer.

`quay_exchanges.json` holds 322 exchanges with a real Quay (quay/quay at ffba0c7, PostgreSQL, Redis, gunicorn, some
behind Quay's own nginx), reduced to what matters to a client: secrets, dates and ids are replaced by names, and
`given` says what was so before. Each is sent again; status, content type, `Location` and `Allow` must be the same,
error texts to the letter, builds field by field except for id and time, everything else by keys and types. What
cannot be set up is named below.
"""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from buildbot.sandbox.quay_builds import Build
from tests.sandbox.quay_world import EXCHANGES, SITE, World

pytestmark = pytest.mark.anyio

_LEGACY = "the recorder wrote a legacy worker's status into Redis; nothing in today's Quay writes it"
_UPLOAD = "uploads of sources: the sandbox takes archives by address only"
_OUTGOING = "a notification that Quay sends; the bot polls"
NOT_REPLAYED = {
    "status object with a fresh heartbeat": _LEGACY,
    "heartbeat 50 s old": _LEGACY,
    "heartbeat 70 s old, no retries left (expired)": _LEGACY,
    "heartbeat 0 is ignored": _LEGACY,
    "old heartbeat but final phase: status not read": _LEGACY,
    "logs: repo:write token (2)": "a log entry without data, written by hand; no component writes one",
    "web: status badge of a public repo": "a picture of Quay's web pages",
    "trigger: webhook push (custom-git payload), $oauthtoken Basic": "Quay's own git triggers",
    "filedrop: get an upload URL": _UPLOAD,
    "filedrop: upload": _UPLOAD,
    "build from a file, repo:read token": _UPLOAD,
    "post: file_id and archive_url, both valid": _UPLOAD,
    "notification sent by Quay: build_queued": _OUTGOING,
    "notification sent by Quay: build_start": _OUTGOING,
    "notification sent by Quay: build_success": _OUTGOING,
    "notification sent by Quay: build_cancelled": _OUTGOING,
}
_REPLAYED = [it for it in EXCHANGES if it["name"] not in NOT_REPLAYED]
_NOT_COMPARED = {"id", "started"}


def test_every_exchange_left_out_is_one_that_was_recorded() -> None:
    assert set(NOT_REPLAYED) <= {it["name"] for it in EXCHANGES}
    assert len(_REPLAYED) == len(EXCHANGES) - len(NOT_REPLAYED)


@pytest.mark.parametrize("exchange", _REPLAYED, ids=[it["name"] for it in _REPLAYED])
async def test_an_exchange_goes_as_recorded(exchange: dict[str, Any]) -> None:
    world = World()
    try:
        builds = await _prepare(world, exchange.get("given", {}))
        answer = await _send(world, exchange["request"], builds)
        _compare(exchange["response"], answer, builds)
    finally:
        await world.close()


async def _prepare(world: World, given: dict[str, Any]) -> list[Build]:
    builds = []
    for it in given.get("builds", []):
        builds.append(await world.build_in(it))
        world.turn(it.get("then_wait", 0.0))
    if given.get("archived"):
        world.quay.faults.on("archive-logs")
        await world.ask("GET", f"/{builds[-1].repository}/build/{builds[-1].id}/logs")
    for name, value in given.get("features", {}).items():
        setattr(world.quay.features, name, value)
    for _ in range(given.get("cancels_before", 0)):
        await world.ask("DELETE", f"/{builds[-1].repository}/build/{builds[-1].id}")
    for name, state in given.get("states", {}).items():
        world.quay.add_repository(name, state=state)
    for namespace, limit in given.get("queue_limits", {}).items():
        world.quay.limit_queue(namespace, limit)
    for kind, operation in given.get("faults", []):
        world.quay.faults.on(kind, operation)
    for _ in range(given.get("requests_before", 0)):
        await world.client.get("/api/v1/error/not_found")
    return builds


async def _send(world: World, request: dict[str, Any], builds: list[Build]) -> httpx.Response:
    path = request["path"]
    for ago in (210, 3600):
        path = path.replace(f"{{{ago} s ago}}", str(int(world.now) - ago))
    if builds:
        path = path.replace("{build}", builds[-1].id).replace("{BUILD}", builds[-1].id.upper())
    headers = dict(request["headers"])
    if "Authorization" in headers:
        headers["Authorization"] = _credentials(world, headers["Authorization"])
    return await world.client.request(request["method"], path, headers=headers, content=_body(request.get("body")))


def _credentials(world: World, recorded: str) -> str:
    if recorded.startswith("Basic"):
        name = recorded[len("Basic <") : -1]
        password = world.tokens["FULL"] if name == "$oauthtoken" else "a password"
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    for name, token in world.tokens.items():
        recorded = recorded.replace(f"<TOKEN:{name}>", token).replace(f"<TOKEN_NAME:{name}>", token[:20])
    return recorded.replace("<ROBOT_TOKEN:acme+builder>", "a robot's token")


def _body(recorded: str | None) -> bytes | None:
    match recorded:
        case None:
            return None
        case "<not UTF-8>":
            return b'{"archive_url": "https://example.com/\xff.tar.gz"}'
        case "<over 1 MB>":
            return b'{"archive_url": "https://example.com/%s"}' % (b"a" * 1_100_000)
        case _:
            return recorded.encode()


def _compare(recorded: dict[str, Any], answer: httpx.Response, builds: list[Build]) -> None:
    assert answer.status_code == recorded["status"], answer.text
    assert answer.headers.get("content-type") == recorded["content_type"]
    made = answer.json()["id"] if answer.status_code == 201 and answer.text.startswith("{") else ""
    names = [(build.id, "{build}") for build in builds] + ([(made, "{build}")] if made else [])
    if "location" in recorded:
        assert _named(answer.headers["location"], names) == recorded["location"]
    assert _methods(answer.headers.get("allow")) == _methods(recorded.get("allow"))
    if recorded["body"] is None:
        return
    if isinstance(recorded["body"], str) and recorded["status"] != 201:
        assert _named(answer.text, names) == recorded["body"]
    elif recorded["status"] >= 400:
        assert answer.json() == recorded["body"]
    else:
        _compare_values(recorded["body"], answer.json())
        _compare_shapes(recorded["body"], answer.json(), "body")


def _named(text: str, names: list[tuple[str, str]]) -> str:
    for build_id, name in names:
        text = text.replace(build_id, name)
    return text


def _methods(allow: str | None) -> set[str]:
    return set((allow or "").replace(" ", "").split(","))


def _compare_values(recorded: Any, got: Any) -> None:
    """Builds are the same but for id and time; of lists of builds, number and order are; of logs, `start` is."""
    if not isinstance(recorded, dict):
        assert got == recorded
    elif "builds" in recorded:
        assert [it["tags"] for it in got["builds"]] == [it["tags"] for it in recorded["builds"]]
        for one, other in zip(recorded["builds"], got["builds"], strict=True):
            _compare_values(one, other)
    elif "display_name" in recorded and recorded["trigger"] is None:
        assert {k: v for k, v in got.items() if k not in _NOT_COMPARED} == {
            k: v for k, v in recorded.items() if k not in _NOT_COMPARED
        }
    elif "logs" in recorded:
        assert got["start"] == recorded["start"]
        assert bool(got["logs"]) == bool(recorded["logs"])
    elif "description" in recorded:
        assert got == recorded


def _compare_shapes(recorded: Any, got: Any, where: str) -> None:
    assert type(got) is type(recorded), where
    if isinstance(recorded, dict):
        assert got.keys() == recorded.keys(), where
        for key, value in recorded.items():
            _compare_shapes(value, got[key], f"{where}.{key}")
    elif isinstance(recorded, list):
        for number, item in enumerate(got):
            assert any(_is_like(model, item) for model in recorded), f"{where}[{number}]: {item}"


def _is_like(recorded: Any, got: Any) -> bool:
    try:
        _compare_shapes(recorded, got, "")
    except AssertionError:
        return False
    return True


def test_the_recording_names_no_server_but_its_own() -> None:
    assert all(it["request"]["path"].startswith("/") for it in EXCHANGES)
    assert SITE in str(EXCHANGES)
