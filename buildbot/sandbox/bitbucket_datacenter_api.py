"""The part of Bitbucket Data Center's REST API that a build bot needs, with Bitbucket's statuses and exceptions.

Every endpoint is a function of a `Call`, which knows the caller and finds the repository with the right refusal: an
account that is known but may not see it gets 401, as somebody with a wrong token does, and only `exceptionName` tells
them apart. That a former name is redirected is believed. `Refusal` carries an answer that is not a success out of any
depth. Every answer to somebody who is known names them in `X-AUSERNAME`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from buildbot.sandbox import bitbucket_datacenter_payloads as payloads
from buildbot.sandbox.bitbucket_datacenter_state import State
from buildbot.sandbox.bitbucket_hooks import Json
from buildbot.sandbox.bitbucket_state import BuildStatus
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Person, Repository
from buildbot.sandbox.packing import PACKERS, in_chunks

STATES = ("INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED", "UNKNOWN")
KEY_LENGTH = 255
URL_LENGTH = 450
VERSION = "9.4.0"
_FORMS = {"tar.gz": "tar.gz", "tgz": "tar.gz", "zip": "zip"}


class Refusal(Exception):
    """Any answer that is not a success. `exception` is the last part of the name of Bitbucket's own."""

    def __init__(
        self, status: int, message: str, exception: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        name = None if exception is None else f"com.atlassian.bitbucket.{exception}"
        self.status = status
        self.headers = headers
        self.body = {"errors": [{"context": None, "message": message, "exceptionName": name}]}


@dataclass(slots=True)
class Call:
    """One request to the API: who calls, and what about."""

    state: State
    request: Request
    person: Person | None = None
    body: Json = field(default_factory=dict)

    def path(self, name: str) -> str:
        """A part of the URL's path, decoded."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return str(self.request.query_params.get(name, default))

    def repository(self) -> Repository:
        """The repository of the path, if the caller may read it."""
        key, slug = self.path("key"), self.path("slug")
        it = self.state.find(f"{key}/{slug}")
        if it is None:
            raise Refusal(404, f"Repository {key}/{slug} does not exist.", "repository.NoSuchRepositoryException")
        if not self.state.may_read(self.person, it):
            raise Refusal(401, "You are not permitted to access this resource", "AuthorisationException")
        if f"{key}/{slug}".lower() != it.full_name.lower():
            self._redirect(f"/projects/{key}/repos/{slug}", it)
        return it

    def commit(self, it: Repository, name: str) -> Commit:
        """The commit that an id or a ref names; the object of a tag is none."""
        if name not in it.tag_objects:
            try:
                return it.resolve(name)
            except NoSuchRef:
                pass
        message = f"Commit '{name}' does not exist in repository '{it.name}'."
        raise Refusal(404, message, "commit.NoSuchCommitException")

    def _redirect(self, former: str, it: Repository) -> None:
        key, _, slug = it.full_name.partition("/")
        here = urlsplit(str(self.request.url))
        path = here.path.replace(former, quote(f"/projects/{key}/repos/{slug}"), 1)
        raise Refusal(301, "Moved", None, {"Location": here._replace(path=path).geturl()})


Endpoint = Callable[[Call], Response]


def api_app(state: State) -> Starlette:
    """The API as an application of its own, to be mounted at its path."""
    routes = [Route("/application-properties", _answering(state, get_properties))]
    routes += [
        Route("/projects/{key}/repos/{slug}" + path, _answering(state, endpoint), methods=[method])
        for method, path, endpoint in _ROUTES
    ]
    return Starlette(routes=[*routes, Route("/{path:path}", _answering(state, nothing_here))])


def get_properties(_call: Call) -> Response:
    """`GET /application-properties`, open to everybody."""
    return JSONResponse({"version": VERSION, "buildNumber": "9004000", "displayName": "Bitbucket"})


def get_repository(call: Call) -> Response:
    """`GET /projects/{key}/repos/{slug}`."""
    return JSONResponse(payloads.repository(call.repository()))


def get_default_branch(call: Call) -> Response:
    """`GET …/default-branch`; 404 while the repository is empty."""
    it = call.repository()
    if not it.refs:
        raise Refusal(404, f"Repository {it.name} has no default branch", "repository.NoDefaultBranchException")
    return JSONResponse({"id": f"refs/heads/{it.default_branch}", "displayId": it.default_branch, "type": "BRANCH"})


def list_commits(call: Call) -> Response:
    """`GET …/commits?until=`: the commit that a ref or id names, and its ancestors, newest first."""
    it = call.repository()
    tip = call.commit(it, call.query("until", f"refs/heads/{it.default_branch}"))
    return JSONResponse(_page(call, [payloads.commit(one) for one in it.between("", tip.sha)[::-1]]))


def get_commit(call: Call) -> Response:
    """`GET …/commits/{sha}`."""
    it = call.repository()
    return JSONResponse(payloads.commit(call.commit(it, call.path("sha"))))


def list_changes(call: Call) -> Response:
    """`GET …/changes?since=&until=`: the difference of the trees, never more than the limit, and no second page."""
    it = call.repository()
    until = call.commit(it, call.query("until"))
    since = call.commit(it, call.query("since") or (until.parents[0] if until.parents else until.sha))
    limit = min(int(call.query("limit", "25")), call.state.most_changes)
    told = payloads.changes(since.entries, until.entries)[:limit]
    hashes = {"fromHash": since.sha, "toHash": until.sha}
    return JSONResponse(hashes | {"values": told, "size": len(told), "isLastPage": True, "start": 0, "limit": limit})


def browse(call: Call) -> Response:
    """`GET …/browse/{path}?at=`: the lines of a file or the children of a directory; with `type=true` what it is."""
    it, path = call.repository(), str(call.request.path_params.get("path", "")).strip("/")
    commit = call.commit(it, call.query("at", f"refs/heads/{it.default_branch}"))
    kind = commit.kind(path) if path else "directory"
    if kind is not None and call.query("type") == "true":
        return JSONResponse({"type": kind.upper()})
    if kind == "file":
        page = _page(call, [{"text": line} for line in commit.files[path].decode().splitlines()])
        return JSONResponse({"lines": page.pop("values"), **page})
    if kind == "directory":
        children = _page(call, [payloads.child(commit, one) for one in commit.listed(path)])
        return JSONResponse({"path": payloads.path_of(path), "revision": commit.sha, "children": children})
    message = f'The path "{path}" does not exist at revision "{call.query("at")}"'
    raise Refusal(404, message, "content.NoSuchPathException")


def list_branches(call: Call) -> Response:
    """`GET …/branches?orderBy=MODIFICATION`, those of the newest commits first."""
    it = call.repository()
    refs = [ref for ref in it.refs if ref.startswith("refs/heads/")]
    newest = sorted(refs, key=lambda ref: it.resolve(ref).at, reverse=True)
    return JSONResponse(_page(call, [payloads.branch(it, ref) for ref in newest]))


def list_tags(call: Call) -> Response:
    """`GET …/tags?orderBy=MODIFICATION`, those of the newest commits first."""
    it = call.repository()
    refs = [ref for ref in it.refs if ref.startswith("refs/tags/")]
    newest = sorted(refs, key=lambda ref: it.resolve(ref).at, reverse=True)
    return JSONResponse(_page(call, [payloads.tag(it, ref) for ref in newest]))


def get_archive(call: Call) -> Response:
    """`GET …/archive?at=&format=&prefix=`: no top directory unless the prefix makes one."""
    it, form = call.repository(), _FORMS.get(call.query("format", "zip"))
    if form is None:
        raise Refusal(400, "The format is not supported", "validation.ArgumentValidationException")
    commit = call.commit(it, call.query("at", f"refs/heads/{it.default_branch}"))
    packed = PACKERS[form](commit, call.query("prefix").rstrip("/"))
    disposition = {"Content-Disposition": f'attachment; filename="{it.name}-{commit.sha}.{form}"'}
    return StreamingResponse(in_chunks(packed), media_type="application/octet-stream", headers=disposition)


def create_build(call: Call) -> Response:
    """`POST …/commits/{sha}/builds`: a new status, or the same key's overwritten; nothing comes back."""
    it, body = call.repository(), call.body
    if call.person is None:
        raise Refusal(401, "You are not permitted to access this resource", "AuthorisationException")
    _check_build(body)
    if it.unreplicated_calls:
        it.unreplicated_calls -= 1
        raise Refusal(404, "Commit does not exist.", "commit.NoSuchCommitException")
    sha, now = call.commit(it, call.path("sha")).sha, call.state.now()
    call.state.builds[it.id, sha, body["key"]] = BuildStatus(
        sha=sha,
        key=body["key"],
        state=body["state"],
        url=body["url"],
        name=body.get("name"),
        description=body.get("description"),
        refname=body.get("ref"),
        creator=call.person.login,
        created_at=now,
        updated_at=now,
    )
    return Response(status_code=204)


def get_build(call: Call) -> Response:
    """`GET …/commits/{sha}/builds?key=`."""
    it = call.repository()
    found = call.state.builds.get((it.id, call.commit(it, call.path("sha")).sha, call.query("key")))
    if found is None:
        raise Refusal(404, "There is no such build", "build.NoSuchBuildStatusException")
    return JSONResponse(payloads.build(call.state, found))


def nothing_here(_call: Call) -> Response:
    """Whatever this sandbox does not speak."""
    raise Refusal(404, "null for uri", None)


_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "", get_repository),
    ("GET", "/default-branch", get_default_branch),
    ("POST", "/commits/{sha}/builds", create_build),
    ("GET", "/commits/{sha}/builds", get_build),
    ("GET", "/commits/{sha}", get_commit),
    ("GET", "/commits", list_commits),
    ("GET", "/changes", list_changes),
    ("GET", "/browse", browse),
    ("GET", "/browse/{path:path}", browse),
    ("GET", "/branches", list_branches),
    ("GET", "/tags", list_tags),
    ("GET", "/archive", get_archive),
)


def _answering(state: State, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        person = state.caller(request.headers.get("authorization", ""))
        try:
            response = endpoint(await _admitted(state, request, person))
        except Refusal as refusal:
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
        if person is not None:
            response.headers["X-AUSERNAME"] = quote(person.login)
        return response

    return answer


async def _admitted(state: State, request: Request, person: Person | None) -> Call:
    if state.throttled_calls:
        state.throttled_calls -= 1
        wait = {} if state.retry_after is None else {"Retry-After": str(state.retry_after)}
        raise Refusal(429, "You have been rate limited", None, wait)
    if person is None and request.headers.get("authorization"):
        message = "Authentication failed. Please check your credentials and try again."
        raise Refusal(401, message, "auth.IncorrectPasswordAuthenticationException")
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Refusal(400, "The JSON cannot be read", None) from None
    return Call(state, request, person, body if isinstance(body, dict) else {})


def _page(call: Call, items: list[Json]) -> Json:
    start, limit = int(call.query("start", "0")), int(call.query("limit", "25"))
    values, is_last = items[start : start + limit], len(items) <= start + limit
    following = None if is_last else start + limit
    shown = {"size": len(values), "limit": limit, "start": start, "values": values}
    return shown | {"isLastPage": is_last, "nextPageStart": following}


def _check_build(body: Json) -> None:
    for name, longest in (("key", KEY_LENGTH), ("url", URL_LENGTH)):
        if not 0 < len(body.get(name) or "") <= longest:
            raise _invalid(f"{name} is required, and may be up to {longest} characters long")
    if body.get("state") not in STATES:
        raise _invalid("state is not valid")
    if urlsplit(body["url"]).scheme not in ("http", "https"):
        raise _invalid("url is not valid")


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, "validation.ArgumentValidationException")
