"""The six operations: what is sent, what recorded answers of the real Quay become, and what nonsense becomes.

`quay_answers.json` holds answers recorded from a running Quay (August 2026, commit ffba0c7), each with the operation
and what must come of it; adding a case needs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot import ports
from buildbot.domain.log import LogEntry
from buildbot.ports import (
    BuildOrder,
    BuildRecord,
    CallError,
    CredentialRefused,
    Refused,
    Registry,
    Throttled,
    Unanswered,
    Vanished,
)
from buildbot.registry.quay import ascii_url, record_of
from tests.registry.quay_wire import BUILD, NOW, ORDER, REPOSITORY, TOKEN, URL, Said, quay

pytestmark = pytest.mark.anyio

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("quay_answers.json").read_text())
READS = {"get_repo_build", "get_repo_build_status", "get_repo_builds", "get_repo_build_logs"}

RECORD: Mapping[str, object] = {
    "id": BUILD,
    "phase": "waiting",
    "started": "Mon, 23 Nov 2026 16:48:42 -0000",
    "tags": ["main"],
    "archive_url": "https://github.com/acme/app/archive/0.tar.gz#b1.1",
}


async def perform(registry: Registry, operation: str) -> object:
    match operation:
        case "request_repo_build":
            return await registry.request_repo_build(ORDER)
        case "cancel_repo_build":
            await registry.cancel_repo_build(REPOSITORY, BUILD)
            return None
        case "get_repo_build":
            return await registry.get_repo_build(REPOSITORY, BUILD)
        case "get_repo_build_status":
            return await registry.get_repo_build_status(REPOSITORY, BUILD)
        case "get_repo_builds":
            return await registry.get_repo_builds(REPOSITORY, NOW)
        case "get_repo_build_logs":
            return await registry.get_repo_build_logs(REPOSITORY, BUILD)
        case _:
            raise ValueError(operation)


def simple(value: object) -> object:
    match value:
        case BuildRecord():
            return {"id": value.id, "phase": value.phase, "tags": list(value.tags), "archive_url": value.archive_url}
        case LogEntry():
            return [value.kind, value.message]
        case tuple():
            return [item.id if isinstance(item, BuildRecord) else simple(item) for item in value]
        case _:
            return value


def tries_of(case: Mapping[str, Any]) -> int:
    is_server_error = case["status"] >= 500 and case["status"] != 503
    return 3 if case["operation"] in READS and is_server_error else 1


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['operation']}-{case['name']}")
async def test_a_recorded_answer_becomes_a_value_or_one_error(case: dict[str, Any]) -> None:
    said = Said(case["status"], case["body"], case["content_type"])
    async with quay(*[said] * tries_of(case)) as (registry, _):
        if "error" not in case:
            assert simple(await perform(registry, case["operation"])) == case["gives"]
            return
        with pytest.raises(CallError) as raised:
            await perform(registry, case["operation"])
    assert type(raised.value) is getattr(ports, case["error"])
    assert case["says"] in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400
    if isinstance(raised.value, Throttled):
        assert raised.value.by_proxy is case["by_proxy"]


def test_the_recordings_cover_every_operation_and_every_error_of_an_answer() -> None:
    assert {case["operation"] for case in RECORDED} == {*READS, "request_repo_build", "cancel_repo_build"}
    errors = {case.get("error") for case in RECORDED} - {None}
    assert errors == {"CredentialRefused", "Refused", "Vanished", "Throttled", "Unavailable", "Unanswered"}


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_sends_the_tags_under_both_names_and_absolute_paths() -> None:
    async with quay(Said(201, json.dumps(RECORD))) as (registry, wire):
        await registry.request_repo_build(ORDER)
    (request,) = wire.asked
    assert (request.method, str(request.url)) == ("POST", f"{URL}/api/v1/repository/acme/app/build/")
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {
        "archive_url": ORDER.archive_url,
        "docker_tags": ["main", "sha-0123456"],
        "tags": ["main", "sha-0123456"],
        "context": "/app-0123456789abcdef",
        "dockerfile_path": "/app-0123456789abcdef/docker/Dockerfile",
    }


async def test_relative_paths_become_absolute_and_a_robot_is_named_only_when_set() -> None:
    order = BuildOrder("acme/app", "https://x.example/a", ("v1",), "app", "app/Dockerfile", pull_robot="acme+puller")
    async with quay(Said(201, json.dumps(RECORD))) as (registry, wire):
        await registry.request_repo_build(order)
    body = json.loads(wire.asked[0].content)
    assert (body["context"], body["dockerfile_path"], body["pull_robot"]) == ("/app", "/app/Dockerfile", "acme+puller")


async def test_a_request_that_no_encoding_can_carry_is_still_sent_as_ascii() -> None:
    order = BuildOrder("acme/app", "https://x.example/gr\u00f6\u00dfe#b1.1", ("\u65e5",), "/\ud800", "/\ud800/D")
    async with quay(Said(201, json.dumps(RECORD))) as (registry, wire):
        await registry.request_repo_build(order)
    assert wire.asked[0].content.isascii()
    assert json.loads(wire.asked[0].content)["archive_url"] == "https://x.example/gr%C3%B6%C3%9Fe#b1.1"


@pytest.mark.parametrize(
    ("operation", "method", "target"),
    [
        ("cancel_repo_build", "DELETE", f"/api/v1/repository/acme/app/build/{BUILD}"),
        ("get_repo_build", "GET", f"/api/v1/repository/acme/app/build/{BUILD}"),
        ("get_repo_build_status", "GET", f"/api/v1/repository/acme/app/build/{BUILD}/status"),
        ("get_repo_builds", "GET", "/api/v1/repository/acme/app/build/?limit=0&since=1795453200"),
        ("get_repo_build_logs", "GET", f"/api/v1/repository/acme/app/build/{BUILD}/logs?start=0"),
    ],
)
async def test_each_operation_asks_for_its_own_path_as_a_bot(operation: str, method: str, target: str) -> None:
    async with quay(Said(404, '{"message": "no"}')) as (registry, wire):
        with pytest.raises(Vanished):
            await perform(registry, operation)
    (request,) = wire.asked
    assert (request.method, request.url.raw_path.decode()) == (method, target)
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"].startswith("quay-buildbot/")


async def test_a_list_asks_since_the_whole_second_before() -> None:
    since = datetime(2026, 11, 23, 18, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    async with quay(Said(200, '{"builds": []}')) as (registry, wire):
        assert await registry.get_repo_builds(REPOSITORY, since) == ()
    assert wire.asked[0].url.params["since"] == "1795453200"


async def test_names_are_encoded_but_the_slashes_of_a_nested_repository_stay() -> None:
    async with quay(Said(200, '{"builds": []}')) as (registry, wire):
        await registry.get_repo_builds("acme/ne sted/d\u00e9p?x", NOW)
    assert wire.asked[0].url.raw_path.startswith(b"/api/v1/repository/acme/ne%20sted/d%C3%A9p%3Fx/build/?")


@pytest.mark.parametrize("repository", ["", "acme//app", "acme/../rival", "/acme/app", "acme/."])
async def test_a_repository_that_would_lead_elsewhere_is_never_asked_for(repository: str) -> None:
    async with quay() as (registry, _):
        with pytest.raises(Refused):
            await registry.get_repo_builds(repository, NOW)


@pytest.mark.parametrize("build", ["", ".", "..", "a/b", "x?y", "\u00e9"])
async def test_a_build_that_would_lead_elsewhere_is_never_cancelled(build: str) -> None:
    async with quay() as (registry, _):
        with pytest.raises(Vanished):
            await registry.cancel_repo_build(REPOSITORY, build)


@pytest.mark.parametrize("url", [URL, f"{URL}/", "https://me:secret@quay.example.com"])
async def test_a_build_page_is_quays_own_without_credentials(url: str) -> None:
    async with quay(url=url) as (registry, _):
        assert registry.build_page("acme/nested/app", BUILD) == f"{URL}/repository/acme/nested/app/build/{BUILD}"


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_without_a_zone_is_utc() -> None:
    assert record_of(RECORD).started == datetime(2026, 11, 23, 16, 48, 42, tzinfo=UTC)
    shifted = record_of({**RECORD, "started": "Mon, 23 Nov 2026 17:48:42 +0100"})
    assert shifted.started == datetime(2026, 11, 23, 16, 48, 42, tzinfo=UTC)


@pytest.mark.parametrize("started", [None, 5, "", "soon", "Mon, 99 Nov 2026 16:48:42 -0000", "1" * 400])
def test_a_start_that_cannot_be_read_is_unknown(started: object) -> None:
    assert record_of({**RECORD, "started": started}).started is None


@pytest.mark.parametrize("hidden", [{}, {"archive_url": None}, {"archive_url": ""}, {"archive_url": 5}])
def test_a_hidden_archive_is_none(hidden: dict[str, object]) -> None:
    shown = {key: value for key, value in RECORD.items() if key != "archive_url"}
    assert record_of({**shown, **hidden}).archive_url is None


NONSENSE = [
    "null",
    "[]",
    '"Okay"',
    "{}",
    "<html><title>Sign in</title></html>",
    "",
    "\x00\xff",
    "[" * 100_000,
    json.dumps({**RECORD, "id": None}),
    json.dumps({**RECORD, "id": "../rival"}),
    json.dumps({**RECORD, "phase": ""}),
    json.dumps({**RECORD, "phase": ["waiting"]}),
    json.dumps({**RECORD, "phase": "wait\x00ing"}),
    json.dumps({**RECORD, "tags": "main"}),
    json.dumps({**RECORD, "tags": [1]}),
]


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("operation", ["request_repo_build", "get_repo_build", "get_repo_build_status"])
async def test_a_success_that_makes_no_sense_is_no_answer(operation: str, body: str) -> None:
    async with quay(Said(201 if operation == "request_repo_build" else 200, body)) as (registry, _):
        with pytest.raises(Unanswered, match=r"Quay answered") as raised:
            await perform(registry, operation)
    assert not raised.value.timed_out


@pytest.mark.parametrize("body", ['{"builds": null}', "[]", '{"builds": [{}]}', '{"builds": [null]}', "<html>"])
async def test_a_list_with_one_unreadable_build_proves_nothing(body: str) -> None:
    async with quay(Said(200, body)) as (registry, _):
        with pytest.raises(Unanswered):
            await registry.get_repo_builds(REPOSITORY, NOW)


@pytest.mark.parametrize("said", [Said(201, '"Okay"\n'), Said(200, '"Okay"\n'), Said(204)])
async def test_a_cancel_is_done_by_the_recorded_and_by_the_documented_answer(said: Said) -> None:
    async with quay(said) as (registry, _):
        await registry.cancel_repo_build(REPOSITORY, BUILD)


async def test_a_page_in_place_of_a_cancels_answer_cancels_nothing() -> None:
    async with quay(Said(200, "<html>Sign in</html>", "text/html")) as (registry, _):
        with pytest.raises(Unanswered):
            await registry.cancel_repo_build(REPOSITORY, BUILD)


async def test_a_refused_robot_names_the_robot_and_the_scope_it_needs() -> None:
    order = BuildOrder("acme/app", "https://x.example/a", ("v1",), "/", "/Dockerfile", pull_robot="acme+puller")
    unauthorized = Said(403, '{"detail": "Unauthorized", "error_type": "insufficient_scope"}')
    async with quay(unauthorized, Said(404, '{"detail": "Not Found"}')) as (registry, _):
        with pytest.raises(Refused, match="org:admin"):
            await registry.request_repo_build(order)
        with pytest.raises(Refused, match=r"acme\+puller not found"):
            await registry.request_repo_build(order)


@pytest.mark.parametrize("operation", ["get_repo_build", "get_repo_builds", "get_repo_build_logs"])
async def test_a_rate_limit_on_a_read_is_a_proxys_whatever_its_shape(operation: str) -> None:
    async with quay(Said(429, '{"message": "API rate limit exceeded"}', headers={"Retry-After": "7"})) as (registry, _):
        with pytest.raises(Throttled) as raised:
            await perform(registry, operation)
    assert raised.value.by_proxy
    assert raised.value.retry_at == NOW + timedelta(seconds=7)


@pytest.mark.parametrize("operation", [*sorted(READS), "request_repo_build", "cancel_repo_build"])
async def test_the_token_stays_out_of_every_error_and_repr(operation: str) -> None:
    echo = json.dumps({"error": f"bad header Authorization: Bearer {TOKEN}"})
    async with quay(Said(400, echo)) as (registry, _):
        assert TOKEN not in repr(registry)
        with pytest.raises(Refused, match=r"Bearer \*\*\*") as raised:
            await perform(registry, operation)
    assert TOKEN not in repr(raised.value)


@pytest.mark.parametrize("token", ["", " ", "tok\u00ebn", "token\nX-Evil: 1"])
async def test_a_token_that_no_header_can_carry_is_never_sent_nor_shown(token: str) -> None:
    async with quay(token=token) as (registry, _):
        with pytest.raises(CredentialRefused) as raised:
            await registry.request_repo_build(ORDER)
    assert not token.strip() or token not in str(raised.value)


# ── archive URLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "ascii_form"),
    [
        ("https://github.com/a/b/archive/1.tar.gz#b1.1", "https://github.com/a/b/archive/1.tar.gz#b1.1"),
        ("HTTPS://x.example:443/%7e/a%20b?q=%C3%A9", "HTTPS://x.example:443/%7e/a%20b?q=%C3%A9"),
        ("https://x.example/\u00fcber/\u65e5?q=\u00e9#b1.1", "https://x.example/%C3%BCber/%E6%97%A5?q=%C3%A9#b1.1"),
        ("https://b\u00fccher.example:8443/a b", "https://xn--bcher-kva.example:8443/a%20b"),
        ("https://us\u00e9r:p\u00e4ss@x.example/a", "https://us%C3%A9r:p%C3%A4ss@x.example/a"),
    ],
)
def test_an_archive_url_is_encoded_only_where_it_must_be(url: str, ascii_form: str) -> None:
    assert ascii_url(url) == ascii_form


@pytest.mark.parametrize("url", ["https://\u00e9..\u2028/a", "https://[\u00e9/a", "https://\u2100.example/a"])
def test_an_archive_url_without_a_host_name_is_refused_before_it_is_sent(url: str) -> None:
    with pytest.raises(Refused):
        ascii_url(url)


@given(st.text(), st.text(), st.text())
def test_any_path_becomes_clean_ascii_that_stays_as_it_is(path: str, query: str, mark: str) -> None:
    encoded = ascii_url(f"https://x.example/{path}?{query}#{mark}")
    assert encoded.isascii()
    assert encoded.isprintable()
    assert " " not in encoded
    assert ascii_url(encoded) == encoded
    assert httpx.URL(encoded).host == "x.example"


async def test_log_entries_come_with_their_kinds() -> None:
    logs = {"logs": [{"message": "building", "type": "phase"}, {"message": "Step 1/2 : RUN make", "type": "command"}]}
    async with quay(Said(200, json.dumps({"start": 4, "total": 6, **logs}))) as (registry, wire):
        entries = await registry.get_repo_build_logs(REPOSITORY, BUILD, start=4)
    assert entries == (LogEntry("phase", "building"), LogEntry("command", "Step 1/2 : RUN make"))
    assert wire.asked[0].url.params["start"] == "4"
