"""What GitLab says about things, as JSON: the bodies of webhooks and the objects its API answers with.

Pure functions of the sandbox's state. Keys, types and oddities follow recorded payloads: `checkout_sha` is null for a
deletion, the last twenty commits are listed and `total_commits_count` tells how many there were, a tag lists the commit
it leads to, nothing says whether a push was forced or when it happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from buildbot.sandbox.git_repository import Commit, Person, RefUpdate, Repository, Status, TagObject
from buildbot.sandbox.gitlab_state import VISIBILITY_LEVELS, State

Json = dict[str, Any]
COMMITS_LISTED = 20


def timestamp(at: datetime) -> str:
    """GitLab's way of writing a time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def push(state: State, it: Repository, update: RefUpdate, by: Person, *, newest_first: bool = False) -> Json:
    """The body of a `push` or `tag_push`; `newest_first` is how the Test button lists the commits."""
    kind = "tag_push" if update.is_tag else "push"
    commits = _listed(update)
    shown = [_pushed_commit(state, it, one) for one in commits[-COMMITS_LISTED:]]
    tag = it.tag_objects.get(update.after)
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": update.before,
        "after": update.after,
        "ref": update.ref,
        "checkout_sha": update.head.sha if update.head else None,
        "message": tag.message if tag else None,
        "user_id": by.id,
        "user_name": by.name,
        "user_username": by.login,
        "user_email": "",
        "user_avatar": f"{state.url}/uploads/user/avatar/{by.id}/avatar.png",
        "project_id": it.id,
        "project": pushed_project(state, it),
        "commits": shown[::-1] if newest_first else shown,
        "total_commits_count": len(commits),
        "push_options": {},
        "repository": _deprecated_repository(state, it),
    }


def pipeline(state: State, it: Repository, status: Status) -> Json:
    """The body of the `pipeline` event that every commit status causes."""
    attributes = {"id": status.id, "ref": status.ref, "sha": status.sha, "status": status.state, "source": "external"}
    return {"object_kind": "pipeline", "object_attributes": attributes, "project": pushed_project(state, it)}


def pushed_project(state: State, it: Repository) -> Json:
    """A project as webhooks show it. `name` is for people."""
    web, ssh = f"{state.url}/{it.full_name}", f"git@{_host(state)}:{it.full_name}.git"
    return {
        "id": it.id,
        "name": it.name.replace("-", " ").title(),
        "description": None,
        "web_url": web,
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": f"{web}.git",
        "namespace": it.full_name.split("/")[-2].title(),
        "visibility_level": VISIBILITY_LEVELS[state.visibility[it.id]],
        "path_with_namespace": it.full_name,
        "default_branch": it.default_branch,
        "ci_config_path": None,
        "homepage": web,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": f"{web}.git",
    }


def project(state: State, it: Repository) -> Json:
    """A project as the API shows it."""
    return {
        "id": it.id,
        "name": it.name.replace("-", " ").title(),
        "path": it.name,
        "path_with_namespace": it.full_name,
        "default_branch": it.default_branch if it.refs else None,
        "visibility": state.visibility[it.id],
        "web_url": f"{state.url}/{it.full_name}",
        "http_url_to_repo": f"{state.url}/{it.full_name}.git",
        "created_at": timestamp(it.created_at),
        "last_activity_at": timestamp(it.pushed_at),
        "archived": False,
        "empty_repo": not it.refs,
    }


def commit(state: State, it: Repository, one: Commit) -> Json:
    """A commit as the API shows it."""
    return {
        "id": one.sha,
        "short_id": one.sha[:8],
        "created_at": timestamp(one.at),
        "parent_ids": list(one.parents),
        "title": one.message.partition("\n")[0],
        "message": one.message,
        "author_name": one.author.name,
        "author_email": one.author.email,
        "authored_date": timestamp(one.at),
        "committer_name": one.author.name,
        "committer_email": one.author.email,
        "committed_date": timestamp(one.at),
        "web_url": f"{state.url}/{it.full_name}/-/commit/{one.sha}",
    }


def branch(state: State, it: Repository, name: str, head: Commit) -> Json:
    """A branch as the API shows it."""
    return {
        "name": name,
        "commit": commit(state, it, head),
        "merged": False,
        "protected": name == it.default_branch,
        "default": name == it.default_branch,
    }


def tag(state: State, it: Repository, name: str, points_to: str, object_: TagObject | None) -> Json:
    """A tag as the API shows it: `target` is the tag's object, or the commit of a lightweight one."""
    return {
        "name": name,
        "message": object_.message if object_ else "",
        "target": points_to,
        "commit": commit(state, it, it.peel(points_to)),
        "release": None,
        "protected": False,
    }


def status(one: Status, author: Person) -> Json:
    """A commit status as the API shows it."""
    return {
        "id": one.id,
        "sha": one.sha,
        "ref": one.ref,
        "status": one.state,
        "name": one.context,
        "target_url": one.target_url,
        "description": one.description,
        "created_at": timestamp(one.created_at),
        "started_at": None,
        "finished_at": None,
        "allow_failure": False,
        "coverage": None,
        "author": {"id": author.id, "username": author.login, "name": author.name, "state": "active"},
    }


def tree_entry(commit: Commit, path: str) -> Json:
    """An entry of a directory. The ids of files and directories look like git's and are none."""
    kinds = {"file": ("blob", "100644"), "directory": ("tree", "040000"), "submodule": ("commit", "160000")}
    type_, mode = kinds[str(commit.kind(path))]
    id_ = commit.gitlinks.get(path) or hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
    return {"id": id_, "name": path.rpartition("/")[2], "type": type_, "path": path, "mode": mode}


def diffs(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Json]:
    """The differences of two trees, by path. A file with the same content under another name was renamed."""
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    renamed = {old: next((path for path in sorted(new) if after[path] == before[old]), None) for old in sorted(gone)}
    moved = {old: path for old, path in renamed.items() if path is not None}
    changed = {path for path in before.keys() & after.keys() if before[path] != after[path]}
    shown = [_diff(old, path, renamed_file=True) for old, path in moved.items()]
    shown += [_diff(path, path, deleted_file=True) for path in gone - moved.keys()]
    shown += [_diff(path, path, new_file=True) for path in new - set(moved.values())]
    shown += [_diff(path, path) for path in changed]
    return sorted(shown, key=lambda one: (one["new_path"], one["old_path"]))


def _diff(old_path: str, new_path: str, **flags: bool) -> Json:
    kinds = {"new_file": False, "renamed_file": False, "deleted_file": False}
    return {"old_path": old_path, "new_path": new_path, "a_mode": "100644", "b_mode": "100644", **kinds, **flags}


def _listed(update: RefUpdate) -> Sequence[Commit]:
    if update.is_tag:
        return (update.head,) if update.head else ()
    return update.commits


def _pushed_commit(state: State, it: Repository, one: Commit) -> Json:
    return {
        "id": one.sha,
        "message": one.message,
        "title": one.message.partition("\n")[0],
        "timestamp": one.at.isoformat(timespec="seconds"),
        "url": f"{state.url}/{it.full_name}/-/commit/{one.sha}",
        "author": {"name": one.author.name, "email": "[REDACTED]"},
        "added": list(one.added),
        "modified": list(one.modified),
        "removed": list(one.removed),
    }


def _deprecated_repository(state: State, it: Repository) -> Json:
    shown = pushed_project(state, it)
    return {key: shown[key] for key in ("name", "url", "description", "homepage", "git_http_url", "git_ssh_url")} | {
        "visibility_level": shown["visibility_level"]
    }


def _host(state: State) -> str:
    return state.url.partition("://")[2]
