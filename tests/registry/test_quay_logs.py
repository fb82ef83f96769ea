"""Logs: odd entries, archives at Quay and at object stores, and where the token may go for them."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from datetime import timedelta

import httpx
import pytest

from buildbot.domain.log import LogEntry
from buildbot.ports import Unanswered
from buildbot.registry.quay import QuayRegistry
from buildbot.registry.quay_logs import SIZE_LIMIT, entries_of
from tests.registry.quay_wire import BUILD, REPOSITORY, TOKEN, URL, Answer, Said, Wire, quay

pytestmark = pytest.mark.anyio

BASIC = "Basic " + b64encode(f"$oauthtoken:{TOKEN}".encode()).decode()
OWN = f"{URL}/logarchive/{BUILD}"
SIGNED = "https://store.example/quay/logarchive/x?X-Amz-Signature=5ecre7"
FORBIDDEN = Said(403, "<!doctype html><title>403 Forbidden</title>", "text/html; charset=utf-8")
ARCHIVE = json.dumps(
    {
        "start": 0,
        "total": 3,
        "logs": [
            {"message": "build-scheduled", "type": "phase", "data": {"datetime": "2026-11-23 17:08:54.314679"}},
            {"message": "Step 1/2 : FROM busybox:latest\n", "type": "command"},
            {"message": "bare entry without data"},
        ],
    }
)
ENTRIES = (
    LogEntry("phase", "build-scheduled"),
    LogEntry("command", "Step 1/2 : FROM busybox:latest\n"),
    LogEntry("", "bare entry without data"),
)


def moved(url: object) -> Said:
    return Said(200, json.dumps({"logs_url": url}))


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "entry"),
    [
        ({"message": "pushing", "type": "phase"}, LogEntry("phase", "pushing")),
        ({"message": "boom", "type": "error"}, LogEntry("error", "boom")),
        ({"message": "x", "type": "stdout"}, LogEntry("", "x")),
        ({"message": "x", "type": ["phase"]}, LogEntry("", "x")),
        ({"message": None, "type": "phase"}, LogEntry("phase", "")),
        ({}, LogEntry("", "")),
        ("bare", LogEntry("", "")),
        (None, LogEntry("", "")),
        ({"message": "\x1b[31mred\x1b[0m \x00 <b>"}, LogEntry("", "\x1b[31mred\x1b[0m \x00 <b>")),
        ({"message": "half \ud800 pair"}, LogEntry("", "half ? pair")),
    ],
)
def test_an_odd_entry_keeps_its_place(item: object, entry: LogEntry) -> None:
    assert entries_of({"logs": [item, {"message": "next"}]}) == (entry, LogEntry("", "next"))


@pytest.mark.parametrize("document", [None, [], {}, {"logs": None}, {"logs": {}}, "Okay"])
def test_what_is_no_log_is_no_answer(document: object) -> None:
    with pytest.raises(Unanswered, match="not a log"):
        entries_of(document)


# ── archives ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", [OWN, OWN.replace("https:", "http:"), OWN.replace("quay.example.com", "inner:8080")])
async def test_quays_own_archive_is_asked_at_our_origin_with_the_token_as_basic(url: str) -> None:
    async with quay(moved(url), Said(200, ARCHIVE)) as (registry, wire):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ENTRIES
    assert str(wire.asked[1].url) == OWN
    assert wire.asked[1].headers["Authorization"] == BASIC


@pytest.mark.parametrize(
    "url", [SIGNED, f"{URL}/logarchive/{BUILD}?X-Amz-Signature=1", "https://me:pw@store.example/l"]
)
async def test_a_stores_archive_never_sees_a_credential(url: str) -> None:
    async with quay(moved(url), Said(200, ARCHIVE)) as (registry, wire):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ENTRIES
    assert "Authorization" not in wire.asked[1].headers
    assert wire.asked[1].url.host == httpx.URL(url).host


async def test_start_counts_in_an_archive_too() -> None:
    async with quay(moved(OWN), Said(200, ARCHIVE), moved(OWN), Said(200, ARCHIVE)) as (registry, _):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD, start=2) == ENTRIES[2:]
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD, start=99) == ()


@pytest.mark.parametrize("url", [OWN, SIGNED])
@pytest.mark.parametrize("missing", [FORBIDDEN, Said(404, "<Error><Code>NoSuchKey</Code></Error>", "application/xml")])
async def test_an_archive_that_was_never_written_is_an_empty_log(url: str, missing: Said) -> None:
    async with quay(moved(url), missing) as (registry, _):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ()


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
async def test_a_zipped_archive_is_unzipped_even_where_the_store_forgot_to_say_so(headers: dict[str, str]) -> None:
    zipped = Said(200, gzip.compress(ARCHIVE.encode()), headers=headers)
    async with quay(moved(SIGNED), zipped) as (registry, _):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ENTRIES


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
async def test_a_zipped_archive_that_unfolds_without_end_is_cut(headers: dict[str, str]) -> None:
    bomb = Said(200, gzip.compress(b" " * (SIZE_LIMIT + 1)), headers=headers)
    async with quay(moved(SIGNED), bomb) as (registry, _):
        with pytest.raises(Unanswered, match="too large"):
            await registry.get_repo_build_logs(REPOSITORY, BUILD)


async def test_a_broken_archive_is_no_answer() -> None:
    async with quay(moved(SIGNED), Said(200, b"\x1f\x8bgarbage")) as (registry, _):
        with pytest.raises(Unanswered, match="unzip"):
            await registry.get_repo_build_logs(REPOSITORY, BUILD)


@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_from_quays_archive_to_a_store_leaves_the_token_behind(status: int) -> None:
    there = Said(status, headers={"Location": SIGNED})
    async with quay(moved(OWN), there, Said(200, ARCHIVE)) as (registry, wire):
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ENTRIES
    assert [request.headers.get("Authorization") for request in wire.asked[1:]] == [BASIC, None]


async def test_archives_that_lead_in_circles_are_left() -> None:
    async with quay(moved(SIGNED), *[Said(302, headers={"Location": SIGNED})] * 4) as (registry, _):
        with pytest.raises(Unanswered, match="answered 302"):
            await registry.get_repo_build_logs(REPOSITORY, BUILD)


@pytest.mark.parametrize(
    "url", [None, 5, "", "ftp://store.example/x", "file:///etc/passwd", "/logarchive/x", "http://x:port/"]
)
async def test_an_archive_at_no_usable_url_is_no_answer(url: object) -> None:
    async with quay(moved(url)) as (registry, _):
        with pytest.raises(Unanswered, match="moved the log"):
            await registry.get_repo_build_logs(REPOSITORY, BUILD)


FAILURES: list[Answer] = [
    httpx.ConnectError("[Errno 111] Connection refused"),
    httpx.ReadError(""),
    httpx.ReadTimeout(""),
    Said(200, "<html>", "text/html"),
    *(Said(status, "<html>", "text/html") for status in (400, 401, 429, 500, 503)),
]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_a_store_that_fails_condemns_neither_quay_nor_the_token_nor_tells_its_signature(failure: Answer) -> None:
    async with quay(moved(SIGNED), failure) as (registry, _):
        with pytest.raises(Unanswered) as raised:
            await registry.get_repo_build_logs(REPOSITORY, BUILD)
    assert "5ecre7" not in str(raised.value)


async def test_a_stores_archive_sees_no_credential_of_the_clients_own_either() -> None:
    wire = Wire([moved(SIGNED), Said(200, ARCHIVE)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(wire.answer), auth=("me", "pw")) as client:
        registry = QuayRegistry(client, url=URL, token=TOKEN, request_timeout=timedelta(seconds=10))
        assert await registry.get_repo_build_logs(REPOSITORY, BUILD) == ENTRIES
    assert [request.headers.get("Authorization") for request in wire.asked] == [f"Bearer {TOKEN}", None]
