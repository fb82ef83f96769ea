"""The questions of `doctor`: what each recorded answer proves, and that none of them changes anything."""

from __future__ import annotations

import json

import httpx
import pytest

from buildbot.registry.quay import ProbeResult
from tests.registry.quay_wire import REPOSITORY, URL, Answer, Said, quay

pytestmark = pytest.mark.anyio

API_ERROR = {"detail": "Unauthorized", "error_message": "Unauthorized", "error_type": "insufficient_scope"}
NO_SCOPE = Said(403, json.dumps(API_ERROR))
CSRF = Said(403, '{"error": "CSRF token was invalid or missing."}', "text/html; charset=utf-8")
NO_TOKEN = Said(401, '{"detail": "Requires authentication", "error_type": "invalid_token"}')
JWT = Said(401, '{"error": "Issuer https://example.com not configured"}', "text/html; charset=utf-8")
NOT_FOUND = Said(404, '{"detail": "Not Found", "error_type": "not_found"}')
NO_ARCHIVE = Said(400, '{"detail": "file_id or archive_url required", "error_type": "invalid_request"}')
MIRROR = Said(503, '{"message": "Repository is in read only or mirror mode: 2"}')
PAGE_404 = Said(404, "<html><title>Quay</title></html>", "text/html")
PAGE_400 = Said(400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>", "text/html")
PAGE_500 = Said(500, "<html><title>Internal Server Error</title></html>", "text/html")
AWAY = httpx.ConnectError("[Errno 111] Connection refused")
LOGIN = Said(200, "<html><title>Sign in</title></html>", "text/html")

YES, NO, BAD, UNTOLD = ProbeResult.YES, ProbeResult.NO, ProbeResult.BAD_TOKEN, ProbeResult.UNTOLD


@pytest.mark.parametrize(
    ("answer", "result"),
    [(NO_ARCHIVE, YES), (NO_SCOPE, NO), (CSRF, BAD), (NO_TOKEN, BAD), (JWT, BAD)]
    + [(other, UNTOLD) for other in (NOT_FOUND, MIRROR, PAGE_404, PAGE_400, PAGE_500, AWAY, LOGIN)],
    ids=str,
)
async def test_whether_builds_may_be_requested(answer: Answer, result: ProbeResult) -> None:
    async with quay(answer) as (registry, wire):
        finding = await registry.may_request(REPOSITORY)
    assert finding.result is result
    assert finding.detail
    (request,) = wire.asked
    assert (request.method, request.content, request.headers["Content-Type"]) == ("POST", b"{}", "application/json")


@pytest.mark.parametrize(
    ("answer", "result"),
    [(NOT_FOUND, YES), (NO_SCOPE, NO), (CSRF, BAD), (JWT, BAD)]
    + [(other, UNTOLD) for other in (MIRROR, PAGE_404, PAGE_400, PAGE_500, AWAY, LOGIN, Said(201, '"Okay"'))],
    ids=str,
)
async def test_whether_builds_may_be_cancelled(answer: Answer, result: ProbeResult) -> None:
    async with quay(answer) as (registry, wire):
        finding = await registry.may_cancel(REPOSITORY)
    assert finding.result is result
    assert finding.detail
    assert wire.asked[0].method == "DELETE"


async def test_a_probe_of_cancelling_never_names_the_same_build_twice() -> None:
    async with quay(NOT_FOUND, NOT_FOUND) as (registry, wire):
        await registry.may_cancel(REPOSITORY)
        await registry.may_cancel(REPOSITORY)
    assert wire.asked[0].url != wire.asked[1].url


@pytest.mark.parametrize(
    ("answer", "result"),
    [(Said(200, '{"namespace": "acme", "name": "app"}'), YES), (NOT_FOUND, NO)]
    + [(other, UNTOLD) for other in (NO_SCOPE, NO_TOKEN, PAGE_404, PAGE_500, AWAY, LOGIN, Said(200, "[]"))],
    ids=str,
)
async def test_whether_a_repository_exists(answer: Answer, result: ProbeResult) -> None:
    async with quay(answer) as (registry, wire):
        finding = await registry.has_repository(REPOSITORY)
    assert finding.result is result
    assert finding.detail
    assert str(wire.asked[0].url).partition("?")[0] == f"{URL}/api/v1/repository/acme/app"
