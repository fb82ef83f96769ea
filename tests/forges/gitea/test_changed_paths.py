"""Proof that a push tells all the paths it changed, from its payload and from a comparison."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.fields import Fields
from buildbot.forges.gitea.changed_paths import compared_paths, listed_paths
from buildbot.ports import BadPayload
from buildbot.sandbox import gitea_payloads
from buildbot.sandbox.git_repository import Change, Repository
from buildbot.sandbox.gitea import Gitea

AFTER, BEFORE = "a" * 40, "b" * 40


def commit(*paths: str, sha: str = "c" * 40, **fields: object) -> dict[str, Any]:
    return {"id": sha, "message": "change", "added": [], "removed": [], "modified": list(paths)} | fields


def newest(*paths: str, **fields: object) -> dict[str, Any]:
    return commit(*paths, sha=AFTER, **fields)


def listed(*commits: object, **fields: object) -> tuple[str, ...] | None:
    return listed_paths(Fields({"commits": list(commits), "total_commits": len(commits)} | fields), AFTER)


def test_a_whole_list_is_the_sorted_union_of_all_three_kinds() -> None:
    assert listed(newest("b", "d"), commit("b", added=["z", "a"], removed=["c"])) == ("a", "b", "c", "d", "z")


@pytest.mark.parametrize(
    "fields",
    [
        {"total_commits": 2},
        {"total_commits": 0},
        {"total_commits": None},
        {"commits": []},
        {"commits": None},
        {"commits": [], "total_commits": 0},
        {"commits": [commit("a")]},
    ],
)
def test_a_push_that_may_have_left_something_out_proves_nothing(fields: dict[str, object]) -> None:
    assert listed(newest("a"), **fields) is None


@pytest.mark.parametrize(
    "hiding",
    [
        {"added": None},
        {"removed": None},
        {"modified": None},
        {"modified": []},
        {"modified": [""]},
        {"modified": ["gr\ufffde"]},
        {"modified": ['"gr\\303\\266\\303\\237e"']},
        {"message": "Merge branch 'main' into topic"},
        {"message": "\nmerge main"},
    ],
)
def test_one_commit_that_may_hide_something_is_enough_for_doubt(hiding: dict[str, object]) -> None:
    assert listed(newest("a"), commit("b")) == ("a", "b")
    assert listed(newest("a"), commit("b") | hiding) is None
    assert listed(newest("a") | hiding, commit("b")) is None


# Comparisons


def compared_commit(sha: str, parents: list[str], *paths: str) -> dict[str, Any]:
    files = [{"filename": path, "status": "modified"} for path in paths]
    return {"sha": sha, "parents": [{"sha": parent} for parent in parents], "files": files}


def compared(*commits: dict[str, Any], **fields: object) -> tuple[str, ...] | None:
    comparison = {"total_commits": len(commits), "commits": list(commits)} | fields
    return compared_paths(Fields(comparison), BEFORE, AFTER)


MIDDLE, SIDE = "d" * 40, "e" * 40


def test_a_straight_line_is_the_union_of_its_commits() -> None:
    assert compared(compared_commit(AFTER, [MIDDLE], "x"), compared_commit(MIDDLE, [BEFORE], "y", "x")) == ("x", "y")


def test_a_merge_into_the_branch_tells_by_itself_what_it_brought() -> None:
    merge = compared_commit(AFTER, [BEFORE, SIDE], "brought")
    assert compared(merge, compared_commit(SIDE, [MIDDLE], "brought", "undone"), compared_commit(MIDDLE, [])) == (
        "brought",
    )


@pytest.mark.parametrize(
    "commits",
    [
        pytest.param([compared_commit(AFTER, [MIDDLE], "x")], id="forced: not reachable"),
        pytest.param([compared_commit(AFTER, [], "x")], id="unrelated: a root"),
        pytest.param([], id="moved back"),
        pytest.param(
            [compared_commit(AFTER, [SIDE, BEFORE], "x"), compared_commit(SIDE, [MIDDLE], "y")], id="merged on the side"
        ),
        pytest.param([compared_commit(AFTER, [BEFORE])], id="nothing listed: a change of type"),
        pytest.param([compared_commit(AFTER, [BEFORE], "x", "")], id="no name"),
        pytest.param([compared_commit(AFTER, [AFTER], "x")], id="a circle"),
        pytest.param([compared_commit(AFTER, [BEFORE], "x") | {"files": None}], id="an old version without files"),
    ],
)
def test_what_a_comparison_does_not_show_whole_is_unknown(commits: list[dict[str, Any]]) -> None:
    assert compared(*commits) is None


def test_a_comparison_that_was_cut_is_unknown() -> None:
    assert compared(compared_commit(AFTER, [BEFORE], "x"), total_commits=2) is None


def test_a_commit_compared_with_itself_changed_nothing() -> None:
    assert compared_paths(Fields({"total_commits": 0, "commits": []}), AFTER, AFTER) == ()


@pytest.mark.parametrize("broken", [{"sha": 1}, {"parents": {}}, {"files": [1]}, {"parents": [{"sha": None}]}])
def test_a_field_of_the_wrong_type_is_named(broken: dict[str, object]) -> None:
    with pytest.raises(BadPayload):
        compared(compared_commit(AFTER, [BEFORE], "x") | broken)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.none() | st.integers(0, 5),
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), min_size=1),
    ),
    min_size=1,
    max_size=6,
)


def history(steps: list[tuple[int, int | None, dict[str, str]]]) -> tuple[Gitea, Repository, list[str]]:
    sandbox = Gitea()
    it = sandbox.add_repository("acme/api")
    shas = [it.refs["refs/heads/main"]]
    for parent, merged, files in steps:
        merges = () if merged is None else (shas[merged % len(shas)],)
        change = Change("change", files, merges)
        shas.append(it.commit(shas[parent % len(shas)], change, it.owner, sandbox.now()).sha)
    return sandbox, it, shas


@given(STEPS, st.data())
def test_whatever_the_history_no_path_in_which_the_trees_differ_is_left_out(
    steps: list[tuple[int, int | None, dict[str, str]]], data: st.DataObject
) -> None:
    sandbox, it, shas = history(steps)
    before, after = data.draw(st.sampled_from(shas)), data.draw(st.sampled_from(shas))
    commits = [gitea_payloads.commit(sandbox.state, it, one) for one in it.between(before, after)[::-1]]
    told = compared_paths(Fields({"total_commits": len(commits), "commits": commits}), before, after)
    old, new = it.commits[before].files, it.commits[after].files
    differing = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    assert told is None or differing <= set(told)
    if before == after:
        assert told == ()
