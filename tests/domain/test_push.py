"""What a push tells about itself."""

from __future__ import annotations

import pytest

from buildbot.domain.push import Archive, PushEvent, RefKind, Source, kind_of, name_of, short

SOURCE = Source("github", "42", "acme/api")


def a_push(ref: str = "refs/heads/main", after: str | None = "a" * 40, message: str | None = None) -> PushEvent:
    return PushEvent(SOURCE, ref, "b" * 40, after, after, Archive("https://x/{sha}", "api-{sha}"), message=message)


@pytest.mark.parametrize(
    ("ref", "kind", "name"),
    [
        ("refs/heads/main", RefKind.BRANCH, "main"),
        ("refs/heads/feature/login", RefKind.BRANCH, "feature/login"),
        ("refs/heads/v1.2", RefKind.BRANCH, "v1.2"),
        ("refs/heads/refs/tags/v1", RefKind.BRANCH, "refs/tags/v1"),
        ("refs/tags/v1.2", RefKind.TAG, "v1.2"),
        ("refs/tags/release/1", RefKind.TAG, "release/1"),
    ],
)
def test_the_prefix_alone_says_what_a_ref_names(ref: str, kind: RefKind, name: str) -> None:
    push = a_push(ref)
    assert (push.kind, push.ref_name) == (kind, name) == (kind_of(ref), name_of(ref))


@pytest.mark.parametrize("ref", ["main", "refs/pull/7/head", "refs/notes/x", "refs/headsmain", ""])
def test_a_ref_that_is_neither_branch_nor_tag_is_refused(ref: str) -> None:
    with pytest.raises(ValueError, match="neither a branch nor a tag"):
        kind_of(ref)


@pytest.mark.parametrize(
    ("message", "mark"),
    [
        (None, None),
        ("", None),
        ("Fix the build", None),
        ("skip ci", None),
        ("Typo [skip ci]", "[skip ci]"),
        ("Typo\n\n[CI Skip]\n", "[ci skip]"),
        ("[Skip Build] docs", "[skip build]"),
    ],
)
def test_a_commit_message_may_ask_for_no_build(message: str | None, mark: str | None) -> None:
    assert a_push(message=message).asks_to_skip == mark


def test_a_push_to_nothing_is_a_deletion() -> None:
    assert a_push(after=None).is_deletion
    assert not a_push().is_deletion


@pytest.mark.parametrize(
    ("full_name", "owner", "name"),
    [("acme/api", "acme", "api"), ("group/sub/api", "group/sub", "api"), ("api", "", "api")],
)
def test_a_source_knows_its_owner_and_name(full_name: str, owner: str, name: str) -> None:
    source = Source("github", "42", full_name)
    assert (source.owner, source.name) == (owner, name)


def test_a_commit_is_named_by_seven_digits() -> None:
    assert short("1a2b3c4d5e6f") == "1a2b3c4"
