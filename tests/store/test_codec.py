"""Values survive their way through JSON text, whatever is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import BuildId, BuildPhase, BuildRequest, CancelReason, Delete, DeleteState, LogDigest, Seen
from buildbot.domain.push import Archive, PushEvent, Source
from buildbot.domain.status import CommitStatus, Posted, StatusState
from buildbot.store import codec

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.text()))
def test_any_texts_are_read_back(values: list[str]) -> None:
    written = codec.texts(values)
    written.encode("ascii")
    assert codec.read_texts(written) == tuple(values)


@given(texts, st.sampled_from(StatusState), st.none() | texts, texts)
def test_a_status_is_read_back(words: str, state: StatusState, url: str | None, stage: str) -> None:
    status = CommitStatus(state, words, url, stage)
    assert codec.read_status(codec.status_text(status)) == status
    posted = Posted(status, BuildId("b"), NOW, 2)
    assert codec.read_posted(codec.posted_text(posted)) == posted


def test_nothing_posted_is_read_as_nothing() -> None:
    assert codec.read_posted(None) is None


def test_everything_that_can_be_seen_is_read_back() -> None:
    seen = Seen(
        phase=BuildPhase.BUILDING,
        because="it's a “reason”",
        attempt=2,
        asked_at=NOW,
        quay_id="q",
        ran=timedelta(hours=1, microseconds=7),
        behind=True,
        delete=Delete(CancelReason.STARVED, "10 m", NOW, 2, DeleteState.REFUSED, "no", read_since=True),
        ended=("q-0", "q-1"),
        log=LogDigest(3, "2/3: RUN make", "boom", has_output=True, tail=("─ a", "b")),
    )
    assert codec._SEEN.validate_json(codec._dump(codec._SEEN, seen)) == seen


def test_a_request_keeps_its_own_timeout() -> None:
    request = BuildRequest("r", "quay", "a/b", ("x",), "https://a", "/", "/Dockerfile", "quay/r", "robot")
    for one in (request, replace(request, timeout=timedelta(minutes=90), pull_robot=None)):
        assert codec._REQUEST.validate_json(codec._dump(codec._REQUEST, one)) == one


def test_a_request_of_a_version_that_knew_no_submodules_is_read_without_them() -> None:
    request = BuildRequest("r", "quay", "a/b", ("x",), "", "/", "/Dockerfile", "quay/r", is_relayed=True)
    written = codec._dump(codec._REQUEST, request)
    assert "submodules" not in written
    assert codec._REQUEST.validate_json(written) == request
    asking = replace(request, submodules=True)
    assert codec._REQUEST.validate_json(codec._dump(codec._REQUEST, asking)) == asking


def a_push(**more: object) -> PushEvent:
    source = Source("github", "1", "acme/api", private=True, default_branch="main", html_url="https://github.com/x")
    archive = Archive("https://x/{sha}.tar.gz", "api-{sha}", is_direct=False)
    push = PushEvent(source, "refs/heads/main", "a" * 40, "b" * 40, "b" * 40, archive, NOW, forced=True)
    return replace(push, **more)  # type: ignore[arg-type]


@given(st.lists(st.builds(a_push, message=st.none() | st.text(), pusher=st.none() | texts), max_size=3).map(tuple))
def test_pushes_are_read_back_whatever_is_in_them(pushes: tuple[PushEvent, ...]) -> None:
    written = codec.pushes_text(pushes)
    written.encode("ascii")
    assert codec.read_pushes(written) == pushes


def test_lone_surrogates_in_a_commit_message_are_kept() -> None:
    push = a_push(message="half a \ud83d smile", changed_paths=("a", "b"), compare_url="https://x")
    assert codec.read_pushes(codec.pushes_text((push,))) == (push,)


def test_what_is_kept_of_a_push_is_bounded() -> None:
    push = a_push(message="x" * 9000 + "[skip ci]", changed_paths=tuple(f"f{number}" for number in range(501)))
    (kept,) = codec.read_pushes(codec.pushes_text((push,))) or ()
    assert kept.changed_paths is None
    assert len(kept.message or "") < 5100
    assert kept.asks_to_skip == "[skip ci]"
