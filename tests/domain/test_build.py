"""Marks that find a build again, requests that wait for their commit, phases that are final."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import FINAL_PHASES, BuildId, BuildPhase, mark_of, read_mark
from buildbot.domain.push import RefKind
from tests.domain.builds import REQUEST, SHA, a_build, requesting

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-_", min_size=1).map(BuildId)


@given(ids, st.integers(0, 999_999_999), st.sampled_from(["https://x/a.tar.gz", "https://x/a?b=c", ""]))
def test_a_mark_is_read_back_from_the_fragment_it_travelled_in(build: BuildId, attempt: int, url: str) -> None:
    assert read_mark(f"{url}#{mark_of(build, attempt)}") == (build, attempt)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://x/a.tar.gz",
        "https://x/b1.1",
        "https://x/#",
        "https://x/#readme",
        "https://x/#.1",
        "https://x/#b1.",
        "https://x/#b1.one",
        "https://x/#b1.-1",
        "https://x/#b1.²",
        "https://x/#b1.٣",
        "https://x/#b1." + "9" * 5000,
    ],
)
def test_what_is_no_mark_of_ours_is_not_read_as_one(url: str | None) -> None:
    assert read_mark(url) is None


@given(st.text())
def test_no_text_is_too_odd_to_be_looked_at_for_a_mark(url: str) -> None:
    found = read_mark(url)
    assert found is None or found[0]


def test_a_build_carries_the_mark_of_the_attempt_asked_last() -> None:
    assert a_build(requesting(attempt=3)).mark == "b1.3"


def test_a_known_commit_is_filled_in_everywhere_and_equal_tags_become_one() -> None:
    open_request = replace(
        REQUEST,
        image_tags=("v1", "sha-{short_sha}", "sha-1a2b3c4", "{sha}"),
        archive_url="https://x/{sha}.tar.gz",
        context="/api-{sha}/src",
        dockerfile_path="/api-{sha}/src/Dockerfile",
        status_context="quay/api/{short_sha}",
    )
    filled = open_request.for_commit(SHA)
    assert filled.image_tags == ("v1", "sha-1a2b3c4", SHA)
    assert filled.archive_url == f"https://x/{SHA}.tar.gz"
    assert (filled.context, filled.dockerfile_path) == (f"/api-{SHA}/src", f"/api-{SHA}/src/Dockerfile")
    assert filled.status_context == "quay/api/1a2b3c4"


def test_filling_in_a_commit_twice_changes_nothing_more() -> None:
    assert REQUEST.for_commit(SHA) == REQUEST


@pytest.mark.parametrize("phase", list(BuildPhase))
def test_exactly_five_phases_are_final(phase: BuildPhase) -> None:
    is_final = phase.value in {"succeeded", "failed", "errored", "cancelled", "skipped"}
    assert phase.is_final is is_final is (phase in FINAL_PHASES)


def test_a_build_knows_its_ref() -> None:
    tag = replace(a_build(), ref="refs/tags/release/1")
    assert (tag.kind, tag.ref_name) == (RefKind.TAG, "release/1")
