"""Which paths a push changed, if its payload proves that it tells all of them; else None, which means build.

A path filter may keep a build from happening, so the list must be a superset of the difference between the trees of
`before` and `after`. GitHub lists, per commit, what was added, removed and modified against the commit's first parent
(believed, not documented). The union over the commits is such a superset if

- the ref is a branch that existed before, `before` is an ancestor of `after` (`forced` is false), and all commits
  between are listed: at least one (`commits: []` is a branch moved onto known commits), fewer than the 2 048 that
  GitHub lists at most, the last being `after`;
- no commit's lists are cut. GitHub does not say when it cuts; its compare API stops at 300 files without a word, so
  300 paths in one commit prove nothing;
- the paths are spelled as they are: no U+FFFD or control character (bytes that are not UTF-8), no leading quote (git's
  C-style quoting);
- and no commit is a merge that could hide something. Take a merge made on a side branch, whose first parent is that
  side (`git merge -s ours main`, then main fast-forwarded to it): it throws away what `main` had changed, and no list
  names those paths, since main's commits are older than `before`. The payload does not show parents, so a commit that
  calls itself a merge, and one with nothing in its lists (what a merge shows if GitHub lists none of its own changes),
  leave the answer open.

One merge is known to be harmless: that of GitHub's merge button ("Merge pull request #7", committed by `web-flow`). It
has the base branch as its first parent and is made only without conflicts, so each path it changed on the base was
changed by one of the listed commits of the side. Without this exception, filters would never skip anything for teams
that merge with the button. What remains is a merge on a side branch that hides under another message *and* drops
changes of the base; only the compare API would find it.
"""

from __future__ import annotations

from buildbot.forges.fields import Fields
from buildbot.forges.paths import spelled_out

COMMITS_LISTED = 2048
SUSPICIOUSLY_MANY_PATHS = 300
_LISTS = ("added", "removed", "modified")
_MERGE_BUTTON = ("web-flow", "Merge pull request #")


def proven_paths(push: Fields, after: str) -> tuple[str, ...] | None:
    """The paths that a push to an existing branch changed, sorted; None if the payload does not prove the list whole.

    `push` is the payload; the caller has seen to it that the ref is a branch and that `before` is not zeros.
    Raises BadPayload for a field of the wrong type.
    """
    commits = push.maybe_each("commits") or []
    if push.maybe_flag("forced") is not False or push.maybe_flag("created") or not _lists_all(commits, after):
        return None
    changes = [_paths_of(commit) for commit in commits]
    paths = {path for change in changes for path in change or ()}
    return None if None in changes else spelled_out(paths)


def _lists_all(commits: list[Fields], after: str) -> bool:
    return 0 < len(commits) < COMMITS_LISTED and commits[-1].maybe_raw("id") == after


def _paths_of(commit: Fields) -> list[str] | None:
    lists = [commit.maybe_raws(key) for key in _LISTS]
    paths = [path for one in lists for path in one or ()]
    if None in lists or len(paths) >= SUSPICIOUSLY_MANY_PATHS or _may_hide_a_merge(commit, paths):
        return None
    return paths


def _may_hide_a_merge(commit: Fields, paths: list[str]) -> bool:
    message = commit.maybe_raw("message") or ""
    committer = commit.maybe_within("committer")
    web_flow, button = _MERGE_BUTTON
    if message.startswith(button) and committer is not None and committer.maybe_raw("username") == web_flow:
        return False
    return not paths or message.lstrip().lower().startswith("merge")
