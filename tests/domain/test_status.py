"""What a commit shows: in words that help, name the ref and fit; and when that is worth another call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import (
    Build,
    BuildId,
    BuildPhase,
    BuildRequest,
    CancelReason,
    Delete,
    DeleteState,
    Seen,
    WaitingLine,
)
from buildbot.domain.lifecycle import end
from buildbot.domain.push import Source
from buildbot.domain.status import (
    DESCRIPTION_LIMIT,
    CommitStatus,
    Later,
    Nothing,
    Post,
    Posted,
    StatusState,
    cut,
    describe,
    next_post,
    ordinal,
    status_of,
)

P = BuildPhase
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REQUEST = BuildRequest(
    rule="api",
    registry="quay",
    repository="acme/api",
    image_tags=("main", "sha-1a2b3c4"),
    archive_url="https://forge/a.tar.gz",
    context="/api",
    dockerfile_path="/api/Dockerfile",
    status_context="quay/api",
)
BUILD = Build(
    id=BuildId("b1"),
    seq=1,
    source=Source("github", "1", "acme/api"),
    ref="refs/heads/main",
    commit="1a2b3c4" + "0" * 33,
    tag_object=None,
    request=REQUEST,
    created_at=NOW,
)
REFUSED = Delete(CancelReason.SUPERSEDED, "1a2b3c4", NOW, state=DeleteState.REFUSED, refusal="too late")


def seen(phase: BuildPhase, **changes: Any) -> Build:
    return replace(BUILD, seen=Seen(phase=phase, **changes))


def text(build: Build) -> str:
    return status_of(build).description


def built(**changes: Any) -> Build:
    return seen(P.SUCCEEDED, finished_at=NOW + timedelta(seconds=192), **changes)


def tagged(build: Build, *image_tags: str, ref: str = "refs/heads/main") -> Build:
    return replace(build, ref=ref, request=replace(build.request, image_tags=image_tags))


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (seen(P.PLANNED), "Asking Quay to build acme/api:main, sha-1a2b3c4"),
        (seen(P.REQUESTING), "Asking Quay to build acme/api:main, sha-1a2b3c4"),
        (
            seen(P.PLANNED, because="waits for the build of 0a0b0c0, which still writes main"),
            "Waits for the build of 0a0b0c0, which still writes main (main)",
        ),
        (
            seen(P.PLANNED, because="waits for a free place", line=WaitingLine.PLACE, place=3),
            "Waits for a free place: 3rd in line (main)",
        ),
        (
            seen(P.PLANNED, because="Quay's queue is full (no)", line=WaitingLine.QUEUE, place=1),
            "Quay's queue is full (no), 1st in line (main)",
        ),
        (
            seen(P.PLANNED, because="x" * 200, line=WaitingLine.QUEUE, place=1),
            f"X{'x' * 118}…, 1st in line (main)",
        ),
        (seen(P.PLANNED, because="Quay refuses the token"), "Quay refuses the token (main)"),
        (seen(P.REQUESTING, because="timed out after 20 s"), "Timed out after 20 s (main)"),
        (seen(P.WAITING), "Queued at Quay: acme/api:main, sha-1a2b3c4"),
        (seen(P.WAITING, ahead=1), "Queued behind 1 build of acme/api (main)"),
        (seen(P.WAITING, ahead=2), "Queued behind 2 builds of acme/api (main)"),
        (
            seen(P.WAITING, silent_since=NOW, because="timed out"),
            "Queued at Quay, no word from Quay since 12:00 UTC: timed out (main)",
        ),
        (seen(P.BUILDING, quay_phase="building"), "Building acme/api:main, sha-1a2b3c4"),
        (seen(P.BUILDING, quay_phase="pushing", quay_attempt=2), "Building acme/api:main, sha-1a2b3c4, attempt 2"),
        (
            seen(P.BUILDING, silent_since=NOW, because="timed out"),
            "Building, no word from Quay since 12:00 UTC: timed out (main)",
        ),
        (
            seen(P.BUILDING, quay_phase="internalerror"),
            "Attempt 1 failed, Quay retries acme/api:main, sha-1a2b3c4",
        ),
        (
            seen(P.BUILDING, quay_phase="expired", quay_attempt=2),
            "Attempt 2 failed, Quay retries acme/api:main, sha-1a2b3c4",
        ),
        (
            seen(P.BUILDING, quay_phase="expired", quay_attempt=3),
            "Attempt 3 failed, finding out why: acme/api:main, sha-1a2b3c4",
        ),
        (
            seen(P.BUILDING, quay_phase="pushing", delete=REFUSED),
            "Building acme/api:main, sha-1a2b3c4; too late to cancel: too late",
        ),
        (built(building_since=NOW), "Built acme/api:main, sha-1a2b3c4 in 3 m 12 s"),
        (built(accepted_at=NOW), "Built acme/api:main, sha-1a2b3c4 in 3 m 12 s"),
        (built(), "Built acme/api:main, sha-1a2b3c4"),
        (
            seen(P.FAILED, because="failed in step 3/7: RUN make: no such file"),
            "Failed in step 3/7: RUN make: no such file (main)",
        ),
        (seen(P.CANCELLED, because="superseded by 1a2b3c4"), "Superseded by 1a2b3c4 (main)"),
        (seen(P.CANCELLED, because="branch main was deleted"), "Branch main was deleted (main)"),
        (seen(P.ERRORED, because="timed out after 3 h"), "Timed out after 3 h (main)"),
        (
            seen(P.ERRORED, because="Quay's builder could not use the source archive"),
            "Quay's builder could not use the source archive (main)",
        ),
        (seen(P.ERRORED), "Errored (main)"),
    ],
)
def test_a_status_says_where_its_build_stands(build: Build, words: str) -> None:
    assert text(build) == words


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (tagged(built(), "latest"), "Built acme/api:latest (main)"),
        (tagged(built(building_since=NOW), "latest"), "Built acme/api:latest in 3 m 12 s (main)"),
        (tagged(seen(P.BUILDING), "main-1"), "Building acme/api:main-1 (main)"),
        (tagged(seen(P.BUILDING), "a-b", ref="refs/heads/a/b"), "Building acme/api:a-b (a/b)"),
        (tagged(seen(P.BUILDING), "1.2", "v1.2", ref="refs/tags/v1.2"), "Building acme/api:1.2, v1.2"),
    ],
)
def test_a_status_names_its_ref_where_no_image_tag_does(build: Build, words: str) -> None:
    assert text(build) == words


@pytest.mark.parametrize("phase", [P.PLANNED, P.WAITING, P.BUILDING])
def test_a_ref_is_never_spelled_in_another_way(phase: BuildPhase) -> None:
    build = seen(phase, because="x", silent_since=None if phase is P.PLANNED else NOW)
    assert "Main" not in text(build)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (111, "111th"),
        (1022, "1022nd"),
    ],
)
def test_a_place_is_spelled_as_people_do(number: int, word: str) -> None:
    assert ordinal(number) == word


def test_a_warning_is_told_however_long_the_rest_is() -> None:
    build = tagged(replace(built(building_since=NOW), warning="rule docs writes the same image tag"), "main", "x" * 200)
    assert text(build).endswith("… in 3 m 12 s (main); rule docs writes the same image tag")
    assert len(text(build)) == DESCRIPTION_LIMIT


def test_what_is_cut_short_is_the_least_telling() -> None:
    many = tuple(f"tag-{number}" for number in range(40))
    assert text(tagged(built(building_since=NOW), *many, "main")).endswith("… in 3 m 12 s (main)")
    assert text(seen(P.FAILED, because="failed in step 3/7: RUN " + "x" * 500)).endswith("x… (main)")
    long_ref = tagged(seen(P.WAITING, ahead=2), "x", ref="refs/heads/" + "r" * 200)
    assert text(long_ref) == f"Queued behind 2 builds of acme/api ({'r' * 39}…)"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("two\nlines\r\n  here ", "two lines here"),
        ("\x1b[31mred\x1b[0m \u202eturned", "red turned"),
        ("x" * 140, "x" * 140),
        ("x" * 141, "x" * 139 + "…"),
        ("", ""),
    ],
)
def test_a_description_is_one_line_that_fits(given: str, line: str) -> None:
    assert cut(given) == line


texts = st.text(max_size=300)


@given(
    phase=st.sampled_from(P),
    because=texts,
    ref=st.text(min_size=1, max_size=250),
    tags=st.lists(st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}\Z"), min_size=1, max_size=5),
    warning=texts,
    refusal=texts,
    word=st.sampled_from(["", "building", "internalerror", "expired"]),
    attempt=st.integers(1, 4),
    is_silent=st.booleans(),
    ahead=st.integers(0, 999),
)
def test_every_status_fits_on_one_line(
    *, phase: BuildPhase, because: str, ref: str, tags: list[str], warning: str, refusal: str, word: str, attempt: int,
    is_silent: bool, ahead: int,
) -> None:  # fmt: skip
    state = Seen(
        phase=phase,
        because=because,
        quay_phase=word,
        quay_attempt=attempt,
        ahead=ahead,
        silent_since=NOW if is_silent else None,
        delete=replace(REFUSED, refusal=refusal),
        finished_at=NOW,
        accepted_at=NOW - timedelta(days=400),
    )
    build = tagged(replace(BUILD, seen=state, warning=warning), *tags, ref=f"refs/heads/{ref}")
    status = status_of(build)
    assert 0 < len(status.description) <= DESCRIPTION_LIMIT
    assert status.description.splitlines() == [status.description]
    assert status.state.is_final is phase.is_final
    status.description.encode()


def test_a_description_may_have_another_room() -> None:
    assert len(describe(tagged(BUILD, "x" * 100), 60)) == 60


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (P.PLANNED, StatusState.PENDING),
        (P.REQUESTING, StatusState.PENDING),
        (P.WAITING, StatusState.PENDING),
        (P.BUILDING, StatusState.PENDING),
        (P.SUCCEEDED, StatusState.SUCCESS),
        (P.FAILED, StatusState.FAILURE),
        (P.ERRORED, StatusState.ERROR),
        (P.CANCELLED, StatusState.ERROR),
    ],
)
def test_a_phase_has_its_state_at_the_forge(phase: BuildPhase, state: StatusState) -> None:
    build = seen(phase, because="because")
    assert status_of(build, "https://bot/builds/b1").state is state
    assert status_of(build, "https://bot/builds/b1").target_url == "https://bot/builds/b1"


@pytest.mark.parametrize(
    ("build", "stage"),
    [
        (seen(P.PLANNED), "queued"),
        (seen(P.PLANNED, because="waits"), "blocked"),
        (seen(P.REQUESTING), "queued"),
        (seen(P.REQUESTING, because="timed out"), "blocked"),
        (seen(P.WAITING), "queued"),
        (seen(P.WAITING, ahead=3), "queued"),
        (seen(P.WAITING, silent_since=NOW), "blocked"),
        (seen(P.BUILDING, quay_phase="pulling"), "building"),
        (seen(P.BUILDING, quay_phase="internalerror"), "retrying"),
        (seen(P.BUILDING, quay_phase="expired"), "retrying"),
        (seen(P.BUILDING, quay_phase="building", quay_attempt=2), "retrying"),
        (seen(P.BUILDING, quay_phase="internalerror", silent_since=NOW), "blocked"),
        (end(seen(P.BUILDING), P.SUCCEEDED, "", NOW), ""),
    ],
)
def test_pendings_are_classed(build: Build, stage: str) -> None:
    assert status_of(build).stage == stage


# ── when to post ─────────────────────────────────────────────────────────────────────────────────────────────────────

MINE, OTHER = BuildId("mine"), BuildId("other")


def pending(stage: str, words: str = "…") -> CommitStatus:
    return CommitStatus(StatusState.PENDING, words, None, stage)


def final(words: str = "built", state: StatusState = StatusState.SUCCESS) -> CommitStatus:
    return CommitStatus(state, words)


def posted(status: CommitStatus, ago: timedelta = MINUTE, pendings: int = 1, owner: BuildId = MINE) -> Posted:
    return Posted(status, owner, NOW - ago, pendings)


@pytest.mark.parametrize(
    ("wanted", "last", "then"),
    [
        (pending("queued"), None, Post()),
        (final(), None, Post()),
        (pending("queued"), posted(pending("queued"), owner=OTHER), Post()),
        (pending("queued"), posted(final(), owner=OTHER), Post()),
        (final(), posted(final(), owner=OTHER), Post()),
        (pending("queued", "other words"), posted(pending("queued")), Nothing()),
        (pending("building"), posted(pending("queued")), Post()),
        (pending("building"), posted(pending("queued"), timedelta(seconds=20)), Later(NOW + timedelta(seconds=40))),
        (pending("building"), posted(pending("queued"), timedelta()), Later(NOW + MINUTE)),
        (pending("retrying"), posted(pending("building"), pendings=2), Post()),
        (pending("building"), posted(pending("retrying"), pendings=3), Nothing()),
        (final(), posted(pending("building"), timedelta(), pendings=3), Post()),
        (final(), posted(final()), Nothing()),
        (final("other words"), posted(final()), Post()),
        (final("built", StatusState.ERROR), posted(final()), Post()),
    ],
)
def test_a_status_is_worth_a_call_or_not(wanted: CommitStatus, last: Posted | None, then: object) -> None:
    assert next_post(wanted, MINE, last, NOW) == then


@given(st.lists(st.tuples(st.sampled_from(["queued", "blocked", "building", "retrying"]), st.integers(0, 300))))
def test_a_build_never_has_more_than_three_pendings_and_one_final(news: list[tuple[str, int]]) -> None:
    now, last, sent = NOW, None, 0
    for stage, seconds in news:
        now += timedelta(seconds=seconds)
        if next_post(pending(stage), MINE, last, now) == Post():
            assert last is None or now - last.at >= MINUTE
            sent += 1
            last = Posted(pending(stage), MINE, now, sent)
    assert sent <= 3
    assert next_post(final(), MINE, last, now) == Post()
    assert next_post(final(), MINE, Posted(final(), MINE, now, sent), now) == Nothing()
