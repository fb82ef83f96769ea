"""What Bitbucket Cloud says about things, as JSON: the bodies of webhooks and the objects its API answers with.

Pure functions of the sandbox's state. Keys, types and oddities follow recorded payloads: one `repo:push` tells of
several refs; `new` is null for a deletion and `old` for a creation; at most five commits are listed, newest first, and
none of a tag; of an annotated tag only the commit's hash is told; no default branch, no time of the push, no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from buildbot.sandbox.bitbucket_hooks import Json
from buildbot.sandbox.bitbucket_state import BuildStatus, State
from buildbot.sandbox.git_repository import NO_COMMIT, Commit, Person, RefUpdate, Repository

COMMITS_LISTED = 5


def timestamp(at: datetime) -> str:
    """Bitbucket's way of writing a time."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def push(state: State, it: Repository, updates: Sequence[RefUpdate], by: Person) -> Json:
    """The body of `repo:push`: all refs that one push moved."""
    changes = [_change(state, it, update) for update in updates]
    return {"push": {"changes": changes}, "repository": webhook_repository(state, it), "actor": account(by)}


def commit_status_event(state: State, it: Repository, one: BuildStatus) -> Json:
    """The body of the events that every posted status causes."""
    creator = state.person(one.creator)
    shown = {"commit_status": status(state, it, one), "repository": webhook_repository(state, it)}
    return shown | {"actor": account(creator)}


def account(person: Person) -> Json:
    """An account. Real ones may lack `nickname`."""
    return {
        "type": "user",
        "display_name": person.name,
        "nickname": person.login,
        "account_id": f"557058:{person.id:08d}",
        "uuid": f"{{00000000-0000-4000-8000-{person.id:012x}}}",
    }


def webhook_repository(state: State, it: Repository) -> Json:
    """A repository as webhooks show it: without its default branch."""
    return {
        "type": "repository",
        "full_name": it.full_name,
        "name": it.name,
        "uuid": state.uuids[it.id],
        "is_private": it.private,
        "scm": "git",
        "website": None,
        "owner": account(it.owner),
        "links": _links(state, f"/repositories/{it.full_name}", f"/{it.full_name}"),
    }


def repository(state: State, it: Repository) -> Json:
    """A repository as the API shows it."""
    main = {"type": "branch", "name": it.default_branch} if it.refs else None
    slug = {"slug": it.name, "created_on": timestamp(it.created_at), "updated_on": timestamp(it.pushed_at)}
    return webhook_repository(state, it) | slug | {"mainbranch": main}


def commit(state: State, it: Repository, one: Commit) -> Json:
    """A commit; an author without an account here has no `user` at the real one."""
    return {
        "type": "commit",
        "hash": one.sha,
        "date": timestamp(one.at),
        "message": one.message,
        "author": {"type": "author", "raw": f"{one.author.name} <{one.author.email}>", "user": account(one.author)},
        "parents": [{"type": "commit", "hash": parent} for parent in one.parents],
        "links": _links(state, f"/repositories/{it.full_name}/commit/{one.sha}", f"/{it.full_name}/commits/{one.sha}"),
    }


def ref(state: State, it: Repository, full: str, points_to: str) -> Json:
    """A branch or tag with its commit; of an annotated tag the message and date are the tag's."""
    name, is_tag = full.split("/", 2)[2], full.startswith("refs/tags/")
    part = "tags" if is_tag else "branches"
    shown = {
        "type": "tag" if is_tag else "branch",
        "name": name,
        "target": commit(state, it, it.peel(points_to)),
        "links": _links(state, f"/repositories/{it.full_name}/refs/{part}/{name}", f"/{it.full_name}/branch/{name}"),
    }
    tag = it.tag_objects.get(points_to)
    return shown | ({"message": tag.message, "date": timestamp(tag.at)} if tag else {})


def status(state: State, it: Repository, one: BuildStatus) -> Json:
    """A commit status."""
    return {
        "type": "build",
        "key": one.key,
        "state": one.state,
        "url": one.url,
        "name": one.name,
        "description": one.description,
        "refname": one.refname,
        "created_on": timestamp(one.created_at),
        "updated_on": timestamp(one.updated_at),
        "commit": {"type": "commit", "hash": one.sha},
        "repository": {"type": "repository", "full_name": it.full_name, "uuid": state.uuids[it.id]},
    }


def source_entry(commit: Commit, path: str) -> Json:
    """What is at a path of a commit, which is the commit that is named."""
    kind = "commit_directory" if commit.kind(path) == "directory" else "commit_file"
    attributes = ["subrepository"] if path in commit.gitlinks else []
    return {
        "type": kind,
        "path": path,
        "attributes": attributes,
        "commit": {"type": "commit", "hash": commit.sha},
    }


def diffstat(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Json]:
    """The differences of two trees; Bitbucket also finds renames, the same content under another name."""
    gone, come = before.keys() - after.keys(), after.keys() - before.keys()
    renamed = {old: new for old in sorted(gone) for new in sorted(come) if before[old] == after[new]}
    told = [_changed("renamed", old, new) for old, new in renamed.items() if _is_first(renamed, old)]
    moved = {path for one in told for path in (one["old"]["path"], one["new"]["path"])}
    told += [_changed("removed", path, None) for path in gone - moved]
    told += [_changed("added", None, path) for path in come - moved]
    told += [_changed("modified", path, path) for path in before.keys() & after.keys() if before[path] != after[path]]
    return sorted(told, key=lambda one: str((one["new"] or one["old"])["path"]))


def _is_first(renamed: Mapping[str, str], old: str) -> bool:
    return next(one for one, new in renamed.items() if new == renamed[old]) == old


def _changed(how: str, old: str | None, new: str | None) -> Json:
    ends = {"old": _file(old), "new": _file(new)}
    return {"type": "diffstat", "status": how, "lines_added": 1, "lines_removed": 1, **ends}


def _file(path: str | None) -> Json | None:
    return None if path is None else {"type": "commit_file", "path": path, "escaped_path": path}


def _change(state: State, it: Repository, update: RefUpdate) -> Json:
    ends = [None if end == NO_COMMIT else ref(state, it, update.ref, end) for end in (update.before, update.after)]
    change: Json = {
        "old": ends[0],
        "new": ends[1],
        "created": update.created,
        "closed": update.deleted,
        "forced": update.forced,
        "truncated": len(update.commits) > COMMITS_LISTED,
        "links": {"html": {"href": f"{state.url}/{it.full_name}/{_page(ends[0], ends[1])}"}},
    }
    if update.is_tag:
        return change
    return change | {"commits": [commit(state, it, one) for one in update.commits[::-1][:COMMITS_LISTED]]}


def _page(old: Json | None, new: Json | None) -> str:
    if old is not None and new is not None:
        return f"branches/compare/{new['target']['hash']}..{old['target']['hash']}"
    return f"commits/{(new or old or {})['target']['hash']}"


def _links(state: State, api: str, page: str) -> Json:
    return {"self": {"href": state.api_url + api}, "html": {"href": state.url + page}}
