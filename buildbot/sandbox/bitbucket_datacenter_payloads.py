"""What Bitbucket Data Center says about things, as JSON: the body of `repo:refs_changed` and the API's objects.

Keys and types follow the documentation and recorded payloads: hashes of zeros mean "none", a tag's `toHash` may be the
tag's object while `toCommit` is the commit, `date` is when the push happened, with an offset and no colon in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from buildbot.sandbox.bitbucket_datacenter_state import State
from buildbot.sandbox.bitbucket_hooks import Json
from buildbot.sandbox.bitbucket_state import BuildStatus
from buildbot.sandbox.git_repository import Commit, Person, RefUpdate, Repository

COMMITS_LISTED = 5


def refs_changed(it: Repository, update: RefUpdate, by: Person, at: datetime) -> Json:
    """The body of `repo:refs_changed`; a deletion has no `toCommit`."""
    kind = "ADD" if update.created else "DELETE" if update.deleted else "UPDATE"
    ref = {"id": update.ref, "displayId": update.short_ref, "type": "TAG" if update.is_tag else "BRANCH"}
    change = {"ref": ref, "refId": update.ref, "fromHash": update.before, "toHash": update.after, "type": kind}
    body = {
        "eventKey": "repo:refs_changed",
        "date": at.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "actor": account(by),
        "repository": repository(it),
        "changes": [change],
        "commits": [commit(one) for one in update.commits[::-1][:COMMITS_LISTED]],
    }
    return body | ({"toCommit": commit(update.head)} if update.head else {})


def account(person: Person) -> Json:
    """An account."""
    names = {"name": person.login, "slug": person.login, "displayName": person.name, "emailAddress": person.email}
    return names | {"id": person.id, "active": True, "type": "NORMAL"}


def repository(it: Repository) -> Json:
    """A repository with its project; neither tells the default branch."""
    key = it.full_name.partition("/")[0]
    project = {"key": key, "id": it.owner.id, "name": key.title(), "public": False, "type": "NORMAL"}
    states = {"scmId": "git", "state": "AVAILABLE", "statusMessage": "Available", "forkable": True}
    return {"slug": it.name, "id": it.id, "name": it.name, "project": project, "public": not it.private, **states}


def commit(one: Commit) -> Json:
    """A commit; times are in milliseconds."""
    author = {"name": one.author.login, "emailAddress": one.author.email}
    milliseconds = int(one.at.timestamp()) * 1000
    return {
        "id": one.sha,
        "displayId": one.sha[:11],
        "author": author,
        "authorTimestamp": milliseconds,
        "committer": author,
        "committerTimestamp": milliseconds,
        "message": one.message,
        "parents": [{"id": parent, "displayId": parent[:11]} for parent in one.parents],
    }


def branch(it: Repository, ref: str) -> Json:
    """A branch."""
    latest = it.peel(it.refs[ref]).sha
    name = ref.removeprefix("refs/heads/")
    shown = {"id": ref, "displayId": name, "type": "BRANCH", "latestCommit": latest, "latestChangeset": latest}
    return shown | {"isDefault": name == it.default_branch}


def tag(it: Repository, ref: str) -> Json:
    """A tag; `hash` is its object, null where it is a lightweight one."""
    points_to = it.refs[ref]
    latest = it.peel(points_to).sha
    shown = {"id": ref, "displayId": ref.removeprefix("refs/tags/"), "type": "TAG", "latestCommit": latest}
    return shown | {"latestChangeset": latest, "hash": points_to if points_to in it.tag_objects else None}


def child(commit: Commit, path: str) -> Json:
    """An entry of a directory; its path is told from there. Of files and directories no content's id is made up."""
    kind = str(commit.kind(path))
    named = {"path": path_of(path.rpartition("/")[2]), "type": kind.upper()}
    return named | ({"contentId": commit.gitlinks[path]} if kind == "submodule" else {})


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Json]:
    """The differences of two trees; a file that has only moved is told under both names."""
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    moved = {new: old for old, new in zip(gone, come, strict=False) if before[old] == after[new]}
    told = [{"type": "MOVE", "path": path_of(new), "srcPath": path_of(old)} for new, old in moved.items()]
    told += [{"type": "DELETE", "path": path_of(path)} for path in gone if path not in moved.values()]
    told += [{"type": "ADD", "path": path_of(path)} for path in come if path not in moved]
    kept = sorted(before.keys() & after.keys())
    return told + [{"type": "MODIFY", "path": path_of(path)} for path in kept if before[path] != after[path]]


def build(state: State, one: BuildStatus) -> Json:
    """A commit's build status."""
    shown = {"key": one.key, "state": one.state, "url": one.url, "name": one.name, "description": one.description}
    times = {
        "createdDate": int(one.created_at.timestamp() * 1000),
        "updatedDate": int(one.updated_at.timestamp() * 1000),
    }
    return shown | times | {"ref": one.refname, "creator": account(state.person(one.creator))}


def path_of(path: str) -> Json:
    """A path as all answers tell it."""
    parent, _, name = path.rpartition("/")
    return {"components": path.split("/"), "parent": parent, "name": name, "toString": path}
