"""The bytes and headers of Quay's five shapes of errors, which the replay compares as JSON only."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from buildbot.sandbox.quay_answers import CORS
from tests.sandbox.quay_world import SITE, World

pytestmark = pytest.mark.anyio

COLLECTION = "/acme/app/build/"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def test_an_api_error_is_spaced_json_with_its_newline_and_cors_headers(world: World) -> None:
    answer = await world.ask("GET", f"{COLLECTION}nosuch")
    assert answer.content.decode() == (
        '{"detail": "Not Found", "error_message": "Not Found", "error_type": "not_found", "title": "not_found", '
        f'"type": "{SITE}/api/v1/error/not_found", "status": 404}}\n'
    )
    assert CORS.items() <= {key.title(): value for key, value in answer.headers.items()}.items()


async def test_what_flask_itself_answers_is_compact_and_has_no_cors_headers(world: World) -> None:
    answer = await world.ask("GET", f"{COLLECTION}nosuch/status")
    assert answer.content == b'{"message":"Unable to locate a build by id: nosuch"}\n'
    assert "access-control-allow-origin" not in answer.headers


async def test_an_abort_is_json_without_a_newline_that_claims_to_be_html(world: World) -> None:
    answer = await world.client.post(f"/api/v1/repository{COLLECTION}", json={})
    assert answer.content == b'{"error": "CSRF token was invalid or missing."}'
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_crash_is_gunicorn_s_page_of_141_bytes_without_cors_headers(world: World) -> None:
    answer = await world.ask("GET", f"{COLLECTION}?limit=-1")
    assert (answer.status_code, len(answer.content), answer.headers["content-type"]) == (500, 141, "text/html")
    assert "access-control-allow-origin" not in answer.headers


async def test_a_cancel_is_answered_with_a_json_string(world: World) -> None:
    build = await world.request()
    answer = await world.ask("DELETE", f"{COLLECTION}{build.id}")
    assert (answer.status_code, answer.content) == (201, b'"Okay"\n')


async def test_a_page_that_does_not_exist_sets_a_session_cookie(world: World) -> None:
    build = await world.request()
    answer = await world.ask("GET", f"{COLLECTION}{build.id}/")
    assert answer.status_code == 404
    assert "session" in answer.cookies


async def test_json_is_ascii(world: World) -> None:
    build = await world.request(docker_tags=["größe"])
    answer = await world.ask("GET", f"{COLLECTION}{build.id}")
    assert answer.content.isascii()
    assert answer.json()["tags"] == ["größe"]
    assert answer.content.endswith(b"}\n")


async def test_a_head_has_the_length_but_not_the_body(world: World) -> None:
    listed, head = await world.ask("GET", COLLECTION), await world.ask("HEAD", COLLECTION)
    assert head.headers["content-length"] == str(len(listed.content))
    assert head.content == b""
