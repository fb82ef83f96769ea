"""The page of a build: it tells what matters, it keeps hostile text harmless, it hides what it must."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from buildbot.domain.build import (
    BuildId,
    BuildPhase,
    CancelReason,
    Delete,
    DeleteState,
    Goal,
    GoalKind,
    LogDigest,
)
from buildbot.domain.lifecycle import Limits
from buildbot.domain.status import CommitStatus, StatusState, status_of
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock, RegistryLine
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import RegistrySite
from buildbot.ports import BuildStory, Commission, NoSuchBuild, Registry, Store, StoreUnavailable
from buildbot.store.sql_store import SqlStore
from buildbot.web.hostile_text import shown
from buildbot.web.pages import build_routes, wants_json
from tests.web.builds import BEGINNING, COMMIT, ID, NOW, REQUEST, SOURCE, build, digest_of, story
from tests.web.markup import Markup

P = BuildPhase
HTML, JSON = "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"
SCRIPT = "<script>alert(1)</script>"


class _Shelf:
    """A store of one story, or one that is away."""

    def __init__(self, one: BuildStory | None = None, error: Exception | None = None) -> None:
        self._one, self._error = one, error

    async def story(self, build_id: BuildId) -> BuildStory:
        if self._error is not None:
            raise self._error
        if self._one is None or self._one.build.id != build_id:
            raise NoSuchBuild(f"no build has the id {build_id!r}")
        return self._one


class _Quay:
    def build_page(self, repository: str, build_id: str) -> str:
        return f"https://quay.io/repository/{repository}/build/{build_id}"


async def get(
    store: object, build_id: str = ID, accept: str = HTML, public_url: str | None = None, method: str = "GET"
) -> httpx.Response:
    """Ask for a page."""
    clock = Clock(now=lambda: NOW, monotonic=lambda: 0.0)
    line = RegistryLine("quay", 5, clock)
    quay = RegistrySite("quay", cast("Registry", _Quay()), line, Limits(), timedelta(seconds=30))
    current = Current(Setup(registries={"quay": quay}, public_url=public_url))
    routes = build_routes(cast("Store", store), current, LogTails(Current(Setup()), clock), clock)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
        return await client.request(method, f"/builds/{build_id}", headers={"Accept": accept})


async def read(told: BuildStory) -> Markup:
    """The page of a story, as a browser reads it."""
    answer = await get(_Shelf(told))
    assert answer.status_code == 200
    return Markup(answer.text)


pytestmark = pytest.mark.anyio

SUPERSEDED = Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "9f8e7d6")
REFUSAL = Delete(CancelReason.SUPERSEDED, "9f8e7d6", NOW, state=DeleteState.REFUSED, refusal="it is pushing")


@pytest.mark.parametrize(
    ("phase", "changes", "words"),
    [
        (P.PLANNED, {"attempt": 0, "quay_id": None}, ["Asking Quay to build acme/api:main", "has not been asked yet"]),
        (
            P.PLANNED,
            {"because": "waiting for the build of 0000000"},
            ["Waiting for the build of 0000000 (main)"],
        ),
        (P.REQUESTING, {"attempt": 2}, ["asked Quay 2 times"]),
        (P.WAITING, {"ahead": 2, "quay_phase": "waiting"}, ["Queued behind 2 builds of acme/api", "Quay says waiting"]),
        (P.WAITING, {"silent_since": NOW, "because": "timed out"}, ["no word from Quay since 12:05 UTC: timed out"]),
        (P.BUILDING, {"quay_phase": "pulling"}, ["Building acme/api:main, sha-1a2b3c4", "Under way for 5 m."]),
        (
            P.BUILDING,
            {"quay_phase": "internalerror", "quay_attempt": 2, "quay_phase_since": NOW},
            ["Attempt 2 failed, Quay retries", "internalerror (attempt 2 of 3) since 2026-03-01 12:05:00 UTC"],
        ),
        (
            P.BUILDING,
            {"goal": SUPERSEDED, "delete": REFUSAL, "quay_phase": "pushing"},
            ["to be cancelled: superseded by 9f8e7d6", "refused: it is pushing", "too late to cancel"],
        ),
        (
            P.SUCCEEDED,
            {"building_since": NOW - timedelta(seconds=192)},
            ["Built acme/api:main, sha-1a2b3c4 in 3 m 12 s", "5 m after it was planned"],
        ),
        (
            P.FAILED,
            {"because": "failed in step 3/7: RUN make: no rule", "log": digest_of("make: *** no rule")},
            ["Failed in step 3/7: RUN make: no rule (main)", "make: *** no rule", "Failed step 3/7: RUN make"],
        ),
        (P.ERRORED, {"because": "timed out after 3 h"}, ["Timed out after 3 h (main)", "Ended 2026-03-01 12:05:00"]),
        (
            P.CANCELLED,
            {"because": "superseded by 9f8e7d6", "goal": SUPERSEDED, "quay_id": None},
            ["Superseded by 9f8e7d6 (main)", "Quay does not have this build", "buildbot builds rebuild"],
        ),
    ],
)
async def test_a_page_says_how_the_build_stands(phase: P, changes: Mapping[str, Any], words: list[str]) -> None:
    page = await read(story(build(phase, **changes)))
    assert [word for word in words if word not in page.text] == []
    assert page.inside("div") == phase
    assert ("header", {"class": str(phase)}) in page.elements


async def test_a_page_says_what_was_pushed_and_asked() -> None:
    page = await read(story(build(request=replace(REQUEST, pull_robot="acme+puller"))))
    for fact in (
        *("acme/api", "main", COMMIT[:7], "Serve faster", "ada", "api", "sha-1a2b3c4", "acme+puller"),
        *(REQUEST.context, REQUEST.dockerfile_path),
    ):
        assert fact in page.text
    assert "Because it was slow" not in page.text
    assert page.links == [
        "#log",
        "https://quay.io/repository/acme/api/build/quay-1",
        "https://github.com/acme/api",
        f"https://github.com/acme/api/commit/{COMMIT}",
        "https://github.com/acme/api/compare/0...1",
    ]


async def test_where_the_archive_lies_is_not_told() -> None:
    told = _Shelf(story(build()))
    assert "secret-of-the-archive" not in (await get(told)).text + (await get(told, accept=JSON)).text


async def test_every_step_has_its_time_and_how_long_it_took_until_then() -> None:
    page = await read(story(build(), "asked Quay for the build", "building", "succeeded"))
    assert "2026-03-01 12:00:00 UTC +0 s asked Quay for the build" in page.text
    assert "2026-03-01 12:02:10 UTC +2 m 10 s succeeded" in page.text
    assert ("time", {"datetime": "2026-03-01T12:02:10+00:00"}) in page.elements


async def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    told = story(build(created_at=NOW + timedelta(seconds=1)), "asked Quay for the build")
    page = await read(told)
    assert "Under way for 0 s." in page.text
    assert "+0 s asked Quay" in page.text


@pytest.mark.parametrize("phase", list(P))
async def test_only_the_page_of_an_unfinished_build_reloads_itself(phase: P) -> None:
    page = await read(story(build(phase)))
    assert page.meta("refresh") == (None if phase.is_final else "10")
    assert ("reloads itself" in page.text) is not phase.is_final


async def test_a_posted_status_is_told_once() -> None:
    page = await read(story(build(P.SUCCEEDED)))
    assert "Posted 2026-03-01 12:05:00 UTC: success, “Built acme/api:main, sha-1a2b3c4" in page.text
    assert "quay/api" in page.text
    assert "Given up" not in page.text


async def test_a_status_that_could_not_be_posted_says_why() -> None:
    page = await read(story(build(P.SUCCEEDED), posted=False, stopped="the token may not write statuses"))
    assert "Posted nothing yet" in page.text
    assert "Wanted success, “Built acme/api" in page.text
    assert "Given up the token may not write statuses" in page.text


async def test_what_stands_at_the_forge_for_an_earlier_build_is_called_so() -> None:
    told = story(build(P.SUCCEEDED))
    assert told.status is not None
    assert told.status.posted is not None
    earlier = replace(told.status.posted, owner=BuildId("earlier"))
    page = await read(replace(told, status=replace(told.status, posted=earlier)))
    assert "of an earlier build, 2026-03-01" in page.text
    assert "Wanted success" in page.text


@pytest.mark.parametrize(
    ("commit", "words"), [(None, "the commit that the tag points to is not known"), (COMMIT, "reports as quay/api")]
)
async def test_a_build_without_a_status_of_its_own_says_why(commit: str | None, words: str) -> None:
    page = await read(replace(story(build(commit=commit)), status=None))
    assert words in page.text


async def test_a_reason_longer_than_a_status_is_told_whole() -> None:
    because = "failed in step 3/7: " + "long " * 60 + "end"
    assert "long end" in (await read(story(build(P.FAILED, because=because)))).text


async def test_a_rebuild_leads_to_the_build_it_repeats_and_says_its_warning() -> None:
    page = await read(story(build(rebuild_of=BuildId("0123ab"), warning="rule web writes main too")))
    assert "./0123ab" in page.links
    assert "Rule web writes main too" in page.inside("p")


# ── hostile text ─────────────────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "'></pre></style><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}&lt;&#60;",
    "\x1b[31mred\x1b[0m\x1b]8;;https://evil.example\x07",
    "a\x00b\x7f\x9b",
    "gpj.\u202emain\u2066",
    "half a \ud83d emoji",
    "x" * 500,
    "<!-- --><!DOCTYPE html><base href=//evil>",
]


def hostile_story(text: str) -> BuildStory:
    """A build in which a stranger wrote everything that a stranger can write."""
    source = replace(SOURCE, full_name=f"acme/{text}", html_url=f"https://{text}")
    request = replace(
        REQUEST,
        rule=text,
        repository=text,
        image_tags=(text, text),
        context=text,
        dockerfile_path=text,
        status_context=text,
        pull_robot=text,
    )
    made = build(
        P.FAILED,
        source=source,
        request=request,
        ref=f"refs/heads/{text}",
        commit=f"1a2b3c4{text}",
        message=text,
        pusher=text,
        compare_url=text,
        warning=text,
        because=text,
        quay_phase=text,
        quay_id=text,
        rebuild_of=BuildId(text),
        goal=Goal(GoalKind.CANCEL, CancelReason.PERSON, text),
        delete=Delete(CancelReason.PERSON, text, NOW, state=DeleteState.REFUSED, refusal=text),
        log=LogDigest(1, text, text, True, (text, text)),
    )
    return story(made, text, text, stopped=text)


def assert_harmless(page: Markup, page_bytes: bytes) -> None:
    """Nothing of the page is markup or a link that a stranger wrote."""
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "header", "div", "h1", "h2", "p", "section"}
    assert page.tags <= allowed | {"dl", "dt", "dd", "code", "ol", "li", "time", "span", "pre", "a"}
    assert all(link == "#log" or link.startswith(("https://", "./")) for link in page.links)
    assert not set(page_bytes.decode()) & {"\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066"}


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_stays_text_wherever_it_stands(text: str) -> None:
    answer = await get(_Shelf(hostile_story(text)))
    page = Markup(answer.text)
    assert_harmless(page, answer.content)
    # in the log, the steps, the rule, the ref … and nowhere lost
    assert page.inside("pre") == f"{shown(text)}\n" * 2
    assert page.text.count(" ".join(shown(text).split())) >= 12


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("<>&\"'{}%\n\r\0\ud83d\u202e"), min_size=1))
def test_no_text_at_all_breaks_the_page_or_the_json(text: str) -> None:
    async def both() -> tuple[httpx.Response, httpx.Response]:
        told = _Shelf(hostile_story(text))
        return await get(told), await get(told, accept=JSON)

    answer, as_json = anyio.run(both)
    assert_harmless(Markup(answer.text), answer.content)
    assert json.loads(as_json.content)["message"] == text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://a@evil.example"])
async def test_what_is_no_plain_web_address_becomes_no_link(url: str) -> None:
    page = await read(story(build(compare_url=url, source=replace(SOURCE, html_url=url), quay_id=None)))
    assert page.links == ["#log"]
    assert "acme/api" in page.text


# ── around the page ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("accept", [HTML, JSON])
@pytest.mark.parametrize("store", [_Shelf(story(build())), _Shelf(), _Shelf(error=StoreUnavailable("locked"))])
async def test_every_answer_forbids_scripts_caches_frames_and_referrers(store: _Shelf, accept: str) -> None:
    headers = (await get(store, accept=accept)).headers
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-robots-tag"] == "noindex"
    assert headers["content-type"] == (JSON if accept == JSON else "text/html; charset=utf-8")


@pytest.mark.parametrize("build_id", ["0" * 32, "%3Cscript%3E", "%00", "%FF", "a.b", "x" * 65])
async def test_an_unknown_build_is_a_friendly_page_that_echoes_nothing(build_id: str) -> None:
    answer = await get(_Shelf(story(build())), build_id)
    assert answer.status_code == 404
    page = Markup(answer.text)
    assert "There is no build here" in page.text
    assert page.inside("h1") == "Not Found"
    assert httpx.URL(f"http://bot/{build_id}").path[1:] not in answer.text
    assert page.meta("refresh") is None


async def test_what_is_no_id_is_not_even_asked_of_the_store() -> None:
    assert (await get(_Shelf(error=AssertionError("asked")), "%00")).status_code == 404


async def test_a_store_that_is_away_is_a_503_that_says_when_to_come_back() -> None:
    answer = await get(_Shelf(error=StoreUnavailable("disk full at /var/lib")))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "disk full" not in answer.text
    assert "It goes on all the same" in Markup(answer.text).text


async def test_head_answers_like_get() -> None:
    answer = await get(_Shelf(story(build())), method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_program_gets_the_same_facts_as_json() -> None:
    told = story(build(P.FAILED, because="failed in step 3/7", log=digest_of("no rule")), "failed")
    answer = (await get(_Shelf(told), accept=JSON, public_url="https://builds.example")).json()
    assert answer["id"] == ID
    assert (answer["phase"], answer["because"], answer["commit"]) == ("failed", "failed in step 3/7", COMMIT)
    assert answer["page_url"] == f"https://builds.example/builds/{ID}"
    assert answer["registry_url"] == "https://quay.io/repository/acme/api/build/quay-1"
    assert answer["steps"] == [{"at": "2026-03-01T12:00:00+00:00", "what": "failed"}]
    assert answer["status"]["posted"]["state"] == "failure"
    assert answer["log_tail"] == ["no rule"]


@pytest.mark.parametrize(("store", "status"), [(_Shelf(), 404), (_Shelf(error=StoreUnavailable("locked")), 503)])
async def test_a_program_gets_refusals_as_json_too(store: _Shelf, status: int) -> None:
    answer = await get(store, accept=JSON)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("", False),
        ("*/*", False),
        (HTML, False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, text/html", False),
        ("application/json, text/html;q=0.9", True),
        ("text/html, application/json;q=0.9", False),
        ("application/json;q=0", False),
        ("application/json, */*;q=0.1", True),
        ("application/json;q=nonsense, ;;,", True),
    ],
)
async def test_people_get_html_and_whoever_prefers_json_gets_it(accept: str, is_json: bool) -> None:
    assert wants_json(accept) is is_json


async def test_a_build_of_the_real_store_has_a_page(tmp_path: Path) -> None:
    def wording(of: Any) -> CommitStatus:
        return status_of(of)

    asked = Commission(SOURCE, "refs/heads/main", COMMIT, REQUEST, "ada")
    with SqlStore(f"sqlite:///{tmp_path}/bot.db") as store:
        made = await store.commission(asked, BEGINNING, wording)
        page = Markup((await get(store, made.id)).text)
        unknown = await get(store, "0" * 32)
    assert "Asking Quay to build acme/api:main, sha-1a2b3c4" in page.text
    assert f"Wanted {StatusState.PENDING}" in page.text
    assert unknown.status_code == 404


async def test_a_page_says_why_a_status_is_not_posted_yet() -> None:
    page = await read(story(build(P.WAITING), posted=False, delayed="GitHub does not accept the credential"))
    assert "Not yet, because" in page.text
    assert "GitHub does not accept the credential" in page.text
