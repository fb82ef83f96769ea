"""What GitHub says about things, as JSON: the bodies of webhooks and the objects its API answers with.

Pure functions of the sandbox's state. Keys, types and oddities follow recorded payloads: `repository.pushed_at` and
`created_at` are integers (Unix seconds) in `push` and texts everywhere else, `repository.owner` has `name` and `email`
only in `push`, a deletion has no `head_commit`, at most 2 048 commits are listed and nothing says that some are
missing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from buildbot.sandbox.git_repository import Commit, Person, RefUpdate, Repository, Status, TagObject

Json = dict[str, Any]
COMMITS_LISTED = 2048

_REPOSITORY_LINKS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}
_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_CONSTANTS: Json = {
    "description": None,
    "fork": False,
    "homepage": None,
    "size": 0,
    "stargazers_count": 0,
    "watchers_count": 0,
    "language": None,
    "has_issues": True,
    "has_projects": True,
    "has_downloads": True,
    "has_wiki": True,
    "has_pages": False,
    "forks_count": 0,
    "mirror_url": None,
    "archived": False,
    "disabled": False,
    "open_issues_count": 0,
    "license": None,
    "forks": 0,
    "open_issues": 0,
    "watchers": 0,
    "is_template": False,
    "topics": [],
    "web_commit_signoff_required": False,
    "custom_properties": {},
}


@dataclass(frozen=True, slots=True)
class Site:
    """Where this GitHub lives: its web pages and its API, both without a slash at the end."""

    url: str
    api_url: str

    def html(self, repository: Repository) -> str:
        """The repository's page."""
        return f"{self.url}/{repository.full_name}"

    def api(self, repository: Repository) -> str:
        """The repository in the API."""
        return f"{self.api_url}/repos/{repository.full_name}"


def timestamp(at: datetime) -> str:
    """GitHub's way of writing a time in its API: UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(site: Site, person: Person) -> Json:
    """An account, as `sender`, `owner` and `creator` show it."""
    api = f"{site.api_url}/users/{person.login}"
    return {
        "login": person.login,
        "id": person.id,
        "node_id": _node_id("04:User", person.id),
        "avatar_url": f"{site.url}/avatars/u/{person.id}?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{site.url}/{person.login}",
        **{key: api + path for key, path in _USER_LINKS.items()},
        "type": "User",
        "site_admin": False,
    }


def repository(site: Site, it: Repository) -> Json:
    """A repository as the API and every webhook but `push` show it."""
    api, html = site.api(it), site.html(it)
    host = site.url.partition("://")[2]
    return {
        "id": it.id,
        "node_id": _node_id("010:Repository", it.id),
        "name": it.name,
        "full_name": it.full_name,
        "private": it.private,
        "owner": user(site, it.owner),
        "html_url": html,
        "url": api,
        **{key: api + path for key, path in _REPOSITORY_LINKS.items()},
        "created_at": timestamp(it.created_at),
        "updated_at": timestamp(it.pushed_at),
        "pushed_at": timestamp(it.pushed_at),
        "git_url": f"git://{host}/{it.full_name}.git",
        "ssh_url": f"git@{host}:{it.full_name}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        **_REPOSITORY_CONSTANTS,
        "visibility": "private" if it.private else "public",
        "default_branch": it.default_branch,
    }


def push(site: Site, it: Repository, update: RefUpdate, by: Person) -> Json:
    """The body of a `push` event."""
    distinct = update.distinct
    return {
        "ref": update.ref,
        "before": update.before,
        "after": update.after,
        "repository": _pushed_repository(site, it),
        "pusher": {"name": by.login, "email": by.email},
        "sender": user(site, by),
        "created": update.created,
        "deleted": update.deleted,
        "forced": update.forced,
        "base_ref": update.base_ref,
        "compare": _compare_page(site, it, update),
        "commits": [_pushed_commit(site, it, one, distinct) for one in update.commits[-COMMITS_LISTED:]],
        "head_commit": _pushed_commit(site, it, update.head, distinct | {update.head.sha}) if update.head else None,
    }


def create(site: Site, it: Repository, update: RefUpdate, by: Person) -> Json:
    """The body of a `create` event, which comes along with the push of a new ref."""
    return {
        "ref": update.short_ref,
        "ref_type": "tag" if update.is_tag else "branch",
        "full_ref": update.ref,
        "master_branch": it.default_branch,
        "description": None,
        "pusher_type": "user",
        "repository": repository(site, it),
        "sender": user(site, by),
    }


def delete(site: Site, it: Repository, update: RefUpdate, by: Person) -> Json:
    """The body of a `delete` event, which comes along with the push that deletes a ref."""
    return {
        "ref": update.short_ref,
        "ref_type": "tag" if update.is_tag else "branch",
        "full_ref": update.ref,
        "pusher_type": "user",
        "repository": repository(site, it),
        "sender": user(site, by),
    }


def ping(hook: Json, about: Json) -> Json:
    """The body of a `ping`; `about` has `repository` and `sender` for a repository's hook and is empty for an App's."""
    return {"zen": "Anything added dilutes everything else.", "hook_id": hook["id"], "hook": hook, **about}


def installation(id_: int) -> Json:
    """What an App's hook finds in every payload beside the event itself."""
    return {"id": id_, "node_id": _node_id("024:IntegrationInstallation", id_)}


def status(site: Site, it: Repository, one: Status, creator: Json) -> Json:
    """One commit status, as the API answers and lists it."""
    return {
        "url": f"{site.api(it)}/statuses/{one.sha}",
        "avatar_url": creator["avatar_url"],
        "id": one.id,
        "node_id": _node_id("013:StatusContext", one.id),
        "state": one.state,
        "description": one.description,
        "target_url": one.target_url,
        "context": one.context,
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.created_at),
        "creator": creator,
    }


def commit(site: Site, it: Repository, one: Commit) -> Json:
    """A commit as the API shows it, without its files."""
    api, html = site.api(it), site.html(it)
    signature = {"name": one.author.name, "email": one.author.email, "date": timestamp(one.at)}
    return {
        "sha": one.sha,
        "node_id": _node_id("06:Commit", one.sha),
        "commit": {
            "author": signature,
            "committer": signature,
            "message": one.message,
            "tree": {"sha": one.tree_id, "url": f"{api}/git/trees/{one.tree_id}"},
            "url": f"{api}/git/commits/{one.sha}",
            "comment_count": 0,
            "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
        },
        "url": f"{api}/commits/{one.sha}",
        "html_url": f"{html}/commit/{one.sha}",
        "comments_url": f"{api}/commits/{one.sha}/comments",
        "author": user(site, one.author),
        "committer": user(site, one.author),
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{html}/commit/{sha}"} for sha in one.parents
        ],
    }


LARGEST_CONTENT = 1024 * 1024


def content(commit: Commit, path: str) -> Json:
    """A file with what it holds, unless that is more than a megabyte, or a submodule with its commit."""
    named = {"name": path.rpartition("/")[2], "path": path}
    if path in commit.gitlinks:
        return named | {"type": "submodule", "size": 0, "sha": commit.gitlinks[path], "submodule_git_url": None}
    held = commit.files[path]
    is_small = len(held) <= LARGEST_CONTENT
    told = base64.encodebytes(held).decode() if is_small else ""
    encoding = "base64" if is_small else "none"
    return named | {"type": "file", "size": len(held), "encoding": encoding, "content": told}


def directory(commit: Commit, path: str) -> list[Json]:
    """What is in a directory; a submodule is called a file."""
    kinds = {one: commit.kind(one) for one in commit.listed(path)}
    return [
        {"name": one.rpartition("/")[2], "path": one, "type": "dir" if kind == "directory" else "file"}
        for one, kind in kinds.items()
    ]


def changed_files(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Json]:
    """The differences of two trees, by path, as the compare and commit endpoints list them."""
    kinds = dict.fromkeys(after.keys() - before.keys(), "added")
    kinds |= dict.fromkeys(before.keys() - after.keys(), "removed")
    kinds |= {path: "modified" for path in after.keys() & before.keys() if after[path] != before[path]}
    return [
        {"filename": path, "status": kinds[path], "additions": 1, "deletions": 0, "changes": 1}
        for path in sorted(kinds)
    ]


def git_object(site: Site, it: Repository, sha: str) -> Json:
    """What a ref points to: a commit, or an annotated tag's object."""
    kind = "tag" if sha in it.tag_objects else "commit"
    return {"sha": sha, "type": kind, "url": f"{site.api(it)}/git/{kind}s/{sha}"}


def tag(site: Site, it: Repository, one: TagObject) -> Json:
    """An annotated tag's object; `object.sha` is the commit."""
    return {
        "node_id": _node_id("03:Tag", one.sha),
        "tag": one.name,
        "sha": one.sha,
        "url": f"{site.api(it)}/git/tags/{one.sha}",
        "message": one.message,
        "tagger": {"name": one.tagger.name, "email": one.tagger.email, "date": timestamp(one.at)},
        "object": git_object(site, it, one.target),
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def combined_state(states: Iterable[str]) -> str:
    """GitHub's sum over contexts: any failure or error is a failure, then anything (or nothing) pending is pending."""
    seen = set(states)
    if seen & {"error", "failure"}:
        return "failure"
    return "pending" if not seen or "pending" in seen else "success"


def _pushed_repository(site: Site, it: Repository) -> Json:
    owner = {"name": it.owner.login, "email": it.owner.email, **user(site, it.owner)}
    return {
        **repository(site, it),
        "owner": owner,
        "url": site.html(it),
        "created_at": int(it.created_at.timestamp()),
        "pushed_at": int(it.pushed_at.timestamp()),
        "stargazers": 0,
        "master_branch": it.default_branch,
    }


def _pushed_commit(site: Site, it: Repository, one: Commit, distinct: frozenset[str]) -> Json:
    who = {"name": one.author.name, "email": one.author.email, "username": one.author.login}
    return {
        "id": one.sha,
        "tree_id": one.tree_id,
        "distinct": one.sha in distinct,
        "message": one.message,
        "timestamp": one.at.isoformat(timespec="seconds"),
        "url": f"{site.html(it)}/commit/{one.sha}",
        "author": who,
        "committer": who,
        "added": list(one.added),
        "removed": list(one.removed),
        "modified": list(one.modified),
    }


def _compare_page(site: Site, it: Repository, update: RefUpdate) -> str:
    if update.created:
        return f"{site.html(it)}/compare/{update.short_ref}"
    return f"{site.html(it)}/compare/{update.before[:12]}...{update.after[:12]}"


def _node_id(kind: str, id_: int | str) -> str:
    return base64.b64encode(f"{kind}{id_}".encode()).decode()
