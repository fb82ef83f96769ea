"""The git of the sandbox: what moves of refs bring, and which names lead to a commit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.sandbox.git_repository import Change, NoSuchRef, NotFastForward, Repository, full_ref
from buildbot.sandbox.github import GitHub
from tests.sandbox.github_world import Clock

ADA = GitHub().accounts.person("ada")
AT = Clock()()


def a_repository() -> Repository:
    return GitHub(now=Clock()).add_repository("acme/api", files={"a": "1"})


def commit(it: Repository, parent: str | None, **files: str | None) -> str:
    return it.commit(parent, Change("change", files), ADA, AT).sha


def head_of(it: Repository) -> str:
    return it.refs["refs/heads/main"]


@pytest.mark.parametrize(
    ("ref", "full"), [("main", "refs/heads/main"), ("a/b", "refs/heads/a/b"), ("refs/tags/v1", "refs/tags/v1")]
)
def test_what_is_no_full_ref_is_a_branch(ref: str, full: str) -> None:
    assert full_ref(ref) == full


def test_the_same_content_twice_is_two_commits() -> None:
    it = a_repository()
    assert commit(it, head_of(it)) != commit(it, head_of(it))


def test_a_commit_may_be_given_its_id() -> None:
    it = a_repository()
    assert it.commit(None, Change("x", {}, sha="ab" * 20), ADA, AT).sha == "ab" * 20


def test_a_merge_brings_the_commits_of_the_other_branch() -> None:
    it = a_repository()
    base = head_of(it)
    side, main = commit(it, base, side="1"), commit(it, base, main="1")
    it.move("refs/heads/main", main, known=frozenset(it.commits))
    merge = it.commit(main, Change("Merge", {"side": "1"}, merges=(side,)), ADA, AT).sha
    update = it.move("refs/heads/main", merge, known=frozenset({base, main}))
    assert [one.sha for one in update.commits] == [side, merge]
    assert update.distinct == {side, merge}


def test_commits_that_another_branch_brought_are_listed_but_not_distinct() -> None:
    it = a_repository()
    side = commit(it, head_of(it), side="1")
    it.move("refs/heads/side", side, known=frozenset({head_of(it)}))
    update = it.move("refs/heads/main", side, known=frozenset(it.commits))
    assert [one.sha for one in update.commits] == [side]
    assert update.distinct == frozenset()


def test_a_move_that_would_lose_commits_changes_nothing() -> None:
    it = a_repository()
    other = commit(it, None, b="1")
    before = head_of(it)
    with pytest.raises(NotFastForward, match="force the push"):
        it.move("refs/heads/main", other, known=frozenset(it.commits))
    assert head_of(it) == before


def test_a_tag_of_an_annotated_tags_commit_peels() -> None:
    it = a_repository()
    tag = it.annotate("v1", head_of(it), "v1", ADA, AT)
    it.move("refs/tags/v1", tag.sha, known=frozenset(it.commits))
    names = [tag.sha, "v1", "tags/v1", "refs/tags/v1", "main", "heads/main", head_of(it), head_of(it)[:7]]
    assert {it.resolve(name).sha for name in names} == {head_of(it)}


@pytest.mark.parametrize("name", ["nothing", "f" * 40, ""])
def test_what_names_nothing_is_an_error(name: str) -> None:
    with pytest.raises(NoSuchRef):
        a_repository().resolve(name)


def test_an_abbreviation_needs_seven_digits() -> None:
    it = a_repository()
    with pytest.raises(NoSuchRef):
        it.resolve(head_of(it)[:6])


def test_a_file_that_does_not_exist_cannot_be_removed() -> None:
    it = a_repository()
    with pytest.raises(NoSuchRef, match="cannot remove nothing"):
        commit(it, head_of(it), nothing=None)


trees = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"), max_size=6)


@given(before=trees, after=trees)
def test_added_removed_and_modified_lead_from_one_tree_to_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    it = GitHub(now=Clock()).add_repository("acme/api", files=before)
    change = {**dict.fromkeys(before.keys() - after.keys()), **after}
    made = it.commits[commit(it, head_of(it), **change)]
    assert made.files == {path: text.encode() for path, text in after.items()}
    assert set(made.added) == after.keys() - before.keys()
    assert set(made.removed) == before.keys() - after.keys()
    assert set(made.modified) == {path for path in before.keys() & after.keys() if before[path] != after[path]}
