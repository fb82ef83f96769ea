"""What Gitea and Forgejo say about things, as JSON: the bodies of webhooks and the objects their API answers with.

Pure functions of the sandbox's state. Keys, types and oddities follow a recorded payload and the forges' source:
commits are listed newest first and only the newest few, a new branch lists its latest ones whatever is new, a tag none;
nothing says whether a push was forced or when it happened; times that are not set are of the year 1.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime

from buildbot.sandbox.git_repository import Commit, Person, RefUpdate, Repository, Status, TagObject
from buildbot.sandbox.gitea_hooks import HookKind, Json
from buildbot.sandbox.gitea_state import State

NEVER = "0001-01-01T00:00:00Z"
LATEST_OF_NEW_BRANCH = 10


def timestamp(at: datetime) -> str:
    """The way of writing a time: RFC 3339, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(state: State, person: Person) -> Json:
    """An account."""
    return {
        "id": person.id,
        "login": person.login,
        "login_name": "",
        "source_id": 0,
        "full_name": person.name,
        "email": person.email,
        "avatar_url": f"{state.url}/avatars/{person.id}",
        "html_url": f"{state.url}/{person.login}",
        "language": "",
        "is_admin": False,
        "last_login": NEVER,
        "created": "2025-01-01T00:00:00Z",
        "restricted": False,
        "active": False,
        "visibility": "public",
        "username": person.login,
    }


def repository(state: State, it: Repository) -> Json:
    """A repository, alike in webhooks and in the API."""
    web = f"{state.url}/{it.full_name}"
    return {
        "id": it.id,
        "owner": user(state, it.owner),
        "name": it.name,
        "full_name": it.full_name,
        "description": "",
        "empty": not it.refs,
        "private": it.private,
        "fork": False,
        "template": False,
        "mirror": False,
        "size": 24,
        "html_url": web,
        "url": f"{state.api_url}/repos/{it.full_name}",
        "ssh_url": f"git@{state.url.partition('://')[2]}:{it.full_name}.git",
        "clone_url": f"{web}.git",
        "original_url": "",
        "default_branch": it.default_branch,
        "archived": False,
        "created_at": timestamp(it.created_at),
        "updated_at": timestamp(it.pushed_at),
        "archived_at": "1970-01-01T00:00:00Z",
        "permissions": {"admin": True, "push": True, "pull": True},
        "internal": False,
        "object_format_name": "sha1",
        "mirror_updated": NEVER,
    }


def push(state: State, it: Repository, update: RefUpdate, by: Person) -> Json:
    """The body of a `push` event; of a test if `before` and `after` are the same."""
    commits = _listed(it, update)
    head = update.head
    return {
        "ref": update.ref,
        "before": update.before,
        "after": update.after,
        "compare_url": f"{state.url}/{_compare(it, update)}",
        "commits": [_pushed_commit(state, it, one) for one in commits[: state.commits_listed]],
        "total_commits": len(commits),
        "head_commit": None if head is None else _pushed_commit(state, it, head),
        "repository": repository(state, it),
        "pusher": user(state, by),
        "sender": user(state, by),
    }


def test(state: State, it: Repository, head: Commit) -> Json:
    """What the Test button sends: a push that did not move, without lists of files and times."""
    who = {"name": it.owner.name, "email": it.owner.email, "username": it.owner.login}
    shown = {
        "id": head.sha,
        "message": head.message,
        "url": f"{state.url}/{it.full_name}/commit/{head.sha}",
        "author": who,
        "committer": who,
        "verification": None,
        "timestamp": NEVER,
        "added": None,
        "removed": None,
        "modified": None,
    }
    update = RefUpdate(f"refs/heads/{it.default_branch}", head.sha, head.sha, head)
    return push(state, it, update, it.owner) | {"commits": [shown], "total_commits": 1, "head_commit": shown}


def create(state: State, it: Repository, update: RefUpdate, by: Person, kind: HookKind) -> Json:
    """The body of a `create` event, which comes along with the push of a new ref."""
    return _ref_event(state, it, update, by, kind) | {"sha": update.after}


def delete(state: State, it: Repository, update: RefUpdate, by: Person, kind: HookKind) -> Json:
    """The body of a `delete` event, which for a branch is all that tells of it. The commit is not told."""
    return _ref_event(state, it, update, by, kind) | {"pusher_type": "user"}


def commit(state: State, it: Repository, one: Commit, *, files: bool = True, stat: bool = True) -> Json:
    """A commit as the API shows it, with the files that it changed against its first parent."""
    api = f"{state.api_url}/repos/{it.full_name}/git/commits"
    signature = {"name": one.author.name, "email": one.author.email, "date": timestamp(one.at)}
    changed = [*_files(one.added, "added"), *_files(one.removed, "removed"), *_files(one.modified, "modified")]
    return {
        "url": f"{api}/{one.sha}",
        "sha": one.sha,
        "created": timestamp(one.at),
        "html_url": f"{state.url}/{it.full_name}/commit/{one.sha}",
        "commit": {
            "url": f"{api}/{one.sha}",
            "author": signature,
            "committer": signature,
            "message": one.message,
            "tree": {"url": f"{state.api_url}/repos/{it.full_name}/git/trees/{one.tree_id}", "sha": one.tree_id},
            "verification": None,
        },
        "author": user(state, one.author),
        "committer": user(state, one.author),
        "parents": [{"url": f"{api}/{sha}", "sha": sha, "created": NEVER} for sha in one.parents],
        "files": changed if files else None,
        "stats": {"total": len(changed), "additions": len(changed), "deletions": 0} if stat else None,
    }


def branch(state: State, it: Repository, name: str, head: Commit) -> Json:
    """A branch as the API shows it; its commit is the one of a webhook, with `id`."""
    return {"name": name, "commit": _pushed_commit(state, it, head), "protected": False, "user_can_push": True}


def tag(state: State, it: Repository, name: str, points_to: str) -> Json:
    """A tag as the API shows it: `id` is the tag's object, or the commit of a lightweight one."""
    object_, target = it.tag_objects.get(points_to), it.peel(points_to)
    return {
        "name": name,
        "message": object_.message if object_ else "",
        "id": points_to,
        "commit": {"url": f"{state.api_url}/repos/{it.full_name}/git/commits/{target.sha}", "sha": target.sha},
    }


def annotated_tag(state: State, it: Repository, one: TagObject) -> Json:
    """An annotated tag's object; its `object` is the commit, also of a tag of a tag."""
    target = it.peel(one.sha)
    api = f"{state.api_url}/repos/{it.full_name}/git"
    return {
        "tag": one.name,
        "sha": one.sha,
        "url": f"{api}/tags/{one.sha}",
        "message": one.message,
        "tagger": {"name": one.tagger.name, "email": one.tagger.email, "date": timestamp(one.at)},
        "object": {"type": "commit", "url": f"{api}/commits/{target.sha}", "sha": target.sha},
        "verification": None,
    }


def status(state: State, it: Repository, one: Status) -> Json:
    """A commit status as the API shows it: what was sent as `state` is called `status`."""
    return {
        "id": one.id,
        "status": one.state,
        "target_url": one.target_url or "",
        "description": one.description or "",
        "url": f"{state.api_url}/repos/{it.full_name}/statuses/{one.sha}",
        "context": one.context,
        "creator": user(state, state.person(one.creator)),
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.created_at),
    }


def contents(state: State, it: Repository, path: str, content: bytes) -> Json:
    """A file as the API shows it."""
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "type": "file",
        "size": len(content),
        "encoding": "base64",
        "content": base64.b64encode(content).decode(),
        "target": None,
        "html_url": f"{state.url}/{it.full_name}/src/{path}",
    }


def submodule(path: str, sha: str) -> Json:
    """A submodule as the API shows it; its URL is left out where `.gitmodules` has none that Gitea understands."""
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "type": "submodule",
        "size": 0,
        "encoding": None,
        "content": None,
        "target": None,
        "submodule_git_url": None,
    }


def _listed(it: Repository, update: RefUpdate) -> list[Commit]:
    if update.head is None or update.is_tag:
        return []
    if update.created:
        return list(it.between("", update.head.sha))[::-1][:LATEST_OF_NEW_BRANCH]
    return list(update.commits)[::-1]


def _compare(it: Repository, update: RefUpdate) -> str:
    if update.created or update.deleted:
        return ""
    return f"{it.full_name}/compare/{update.before}...{update.after}"


def _ref_event(state: State, it: Repository, update: RefUpdate, by: Person, kind: HookKind) -> Json:
    return {
        "ref": update.ref if kind == "forgejo" else update.short_ref,
        "ref_type": "tag" if update.is_tag else "branch",
        "repository": repository(state, it),
        "sender": user(state, by),
    }


def _pushed_commit(state: State, it: Repository, one: Commit) -> Json:
    who = {"name": one.author.name, "email": one.author.email, "username": one.author.login}
    return {
        "id": one.sha,
        "message": one.message,
        "url": f"{state.url}/{it.full_name}/commit/{one.sha}",
        "author": who,
        "committer": who,
        "verification": None,
        "timestamp": timestamp(one.at),
        "added": list(one.added),
        "removed": list(one.removed),
        "modified": list(one.modified),
    }


def _files(paths: Iterable[str], kind: str) -> list[Json]:
    return [{"filename": path, "status": kind} for path in paths]
