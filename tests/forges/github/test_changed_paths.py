"""Proof that a push tells all the paths it changed: every way in which it may not."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.forges.fields import Fields
from buildbot.forges.github.changed_paths import COMMITS_LISTED, SUSPICIOUSLY_MANY_PATHS, proven_paths

AFTER = "a" * 40


def commit(*paths: str, sha: str = "b" * 40, **fields: object) -> dict[str, Any]:
    lists: dict[str, Any] = {"added": [], "removed": [], "modified": list(paths)}
    return {"id": sha, "message": "change", "committer": {"username": "ann"}} | lists | fields


def last(*paths: str, **fields: object) -> dict[str, Any]:
    return commit(*paths, sha=AFTER, **fields)


def proven(*commits: object, **fields: object) -> tuple[str, ...] | None:
    return proven_paths(Fields({"forced": False, "created": False, "commits": list(commits)} | fields), AFTER)


def test_a_whole_list_is_the_sorted_union_of_all_three_kinds() -> None:
    first = commit("b", added=["z", "a"], removed=["c"])
    assert proven(first, last("b", "d")) == ("a", "b", "c", "d", "z")


def test_as_many_commits_as_github_lists_may_be_a_part_of_them() -> None:
    assert proven(*[commit("a")] * (COMMITS_LISTED - 2), last("b")) == ("a", "b")
    assert proven(*[commit("a")] * (COMMITS_LISTED - 1), last("b")) is None


def test_as_many_paths_as_githubs_compare_lists_may_be_a_part_of_them() -> None:
    names = [f"file-{index}" for index in range(SUSPICIOUSLY_MANY_PATHS)]
    assert proven(last(*names[1:])) == tuple(sorted(names[1:]))
    assert proven(last(*names)) is None
    assert proven(last(*names[:200], added=names[200:])) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"forced": True},
        {"forced": None},
        {"created": True},
        {"commits": []},
        {"commits": None},
        {"commits": [commit("a")]},
        {"commits": [last("a"), commit("b")]},
    ],
)
def test_a_push_that_may_have_left_something_out_proves_nothing(fields: dict[str, object]) -> None:
    assert proven(last("a"), **fields) is None


@pytest.mark.parametrize("missing", ["added", "removed", "modified"])
def test_a_commit_without_one_of_its_lists_proves_nothing(missing: str) -> None:
    assert proven(last("a", **{missing: None})) is None


@pytest.mark.parametrize("path", ["gr\ufffde", "a\x00b", "a\nb", "\ud800", '"gr\\303\\266\\303\\237e"'])
def test_a_path_that_is_not_spelled_as_it_is_proves_nothing(path: str) -> None:
    assert proven(last("a", path)) is None


@pytest.mark.parametrize(
    "message",
    ["Merge branch 'main' into topic", "merge main", " Merged in topic", "Merge pull request #7 from acme/topic"],
)
def test_a_commit_that_calls_itself_a_merge_proves_nothing(message: str) -> None:
    assert proven(commit("a"), last("b", message=message)) is None
    assert proven(commit("a", message=message), last("b")) is None


def test_a_commit_without_paths_may_be_a_merge_that_shows_nothing() -> None:
    assert proven(commit("a"), last()) is None


@pytest.mark.parametrize("own", [(), ("a",)])
def test_githubs_merge_button_changes_nothing_that_its_side_did_not(own: tuple[str, ...]) -> None:
    merge = last(*own, message="Merge pull request #7 from acme/topic", committer={"username": "web-flow"})
    assert proven(commit("a"), merge) == ("a",)


def test_a_merge_on_githubs_site_that_is_not_of_the_button_proves_nothing() -> None:
    merge = last("b", message="Merge branch 'main' into topic", committer={"username": "web-flow"})
    assert proven(commit("a"), merge) is None
