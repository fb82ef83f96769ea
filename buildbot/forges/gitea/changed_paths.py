"""Which paths a push changed, as its payload and as the compare API tell them; None where neither can be believed.

Per commit, Gitea and Forgejo list what was added, removed and modified against the commit's first parent (`-m
--first-parent`: a merge's list has all that it brought), changes of a file's *type* left out.

*The payload* lists the newest few commits (5 or 15 by default), says how many there were, and does not show parents.
The union is taken if all are listed (`total_commits`), the newest being `after`, and none may hide something: one with
nothing in its lists (a change of type only, an old version) and one that calls itself a merge. What no payload tells is
whether `before` is an ancestor of `after`: after a force push to another line of commits, what the old line had changed
is undone and listed nowhere. `PushEvent.forced` is None for that reason: the list is whole if the push was not forced,
and whoever wants that proven asks the compare API.

*The compare API* shows every commit that is reachable from `after` and not from `before`, with its parents. The commits
from `after` along first parents down to `before` are a chain of differences from tree to tree, so the union over them
holds every path in which the two differ. Where that chain does not end at `before` (a force push, a fast-forward to a
merge that was made on the side) the difference cannot be put together from lists per commit.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.forges.fields import Fields
from buildbot.forges.paths import spelled_out

_LISTS = ("added", "removed", "modified")


def listed_paths(push: Fields, after: str) -> tuple[str, ...] | None:
    """The paths that the commits of a push to an existing branch changed, sorted; None if the payload may lack some.

    `push` is the payload; the caller has seen to it that the ref is a branch and that `before` is not zeros.
    Raises BadPayload for a field of the wrong type.
    """
    commits, total = push.maybe_each("commits") or [], push.maybe_number("total_commits")
    if not commits or total != len(commits) or commits[0].maybe_raw("id") != after:
        return None
    changes = [_listed_by(commit) for commit in commits]
    return _union(changes)


def compared_paths(comparison: Fields, before: str, after: str) -> tuple[str, ...] | None:
    """The paths that differ between two commits, sorted; None if their comparison does not show all of them.

    Raises BadPayload for a field of the wrong type.
    """
    listed = comparison.maybe_each("commits") or []
    if comparison.maybe_number("total_commits") != len(listed):
        return None
    commits = {commit.name("sha"): commit for commit in listed}
    chain = _first_parents(commits, before, after)
    return None if chain is None else _union([_files_of(commit) for commit in chain])


def _listed_by(commit: Fields) -> list[str] | None:
    lists = [commit.maybe_raws(key) for key in _LISTS]
    paths = [path for one in lists for path in one or ()]
    message = (commit.maybe_raw("message") or "").lstrip().lower()
    return None if None in lists or not paths or message.startswith("merge") else paths


def _first_parents(commits: Mapping[str, Fields], before: str, after: str) -> list[Fields] | None:
    chain: list[Fields] = []
    sha = after
    for _ in range(len(commits) + 1):
        if sha == before:
            return chain
        if (commit := commits.get(sha)) is None or not (parents := commit.maybe_each("parents")):
            return None
        chain.append(commit)
        sha = parents[0].name("sha")
    return None


def _files_of(commit: Fields) -> list[str] | None:
    files = commit.maybe_each("files")
    # With nothing in it, it may have changed a file's type, which is not listed.
    return [file.maybe_raw("filename") or "" for file in files] if files else None


def _union(changes: list[list[str] | None]) -> tuple[str, ...] | None:
    told = [paths for paths in changes if paths is not None]
    if len(told) < len(changes) or not all(path for paths in told for path in paths):
        return None
    return spelled_out(path for paths in told for path in paths)
