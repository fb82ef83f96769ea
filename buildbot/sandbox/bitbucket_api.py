"""The part of Bitbucket Cloud's REST API that a build bot needs, with Bitbucket's statuses and texts.

Every endpoint is a function of a `Call`, which knows the caller and finds the repository with the right refusal: a
former name is redirected (that a POST is too is believed), what the caller may not see is 404 and names the repository.
`Refusal` carries an answer that is not a success out of any depth. Every status leaves `repo:commit_status_created` or
`_updated` in the outbox for the hooks that hear of it: a bot that takes those for news of its own goes in circles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from buildbot.sandbox import bitbucket_payloads as payloads
from buildbot.sandbox.bitbucket_hooks import Delivery, Json, new_uuid
from buildbot.sandbox.bitbucket_state import BuildStatus, State, Token
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository

STATES = ("INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED")
KEY_LENGTH = 40
TEXT_LENGTH = 255
BAD_CREDENTIAL = "Token is invalid, expired, or not supported for this endpoint."
NO_SCOPE = "Your credentials lack one or more required privilege scopes."


class Refusal(Exception):
    """Any answer that is not a success."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {"type": "error", "error": {"message": message, **more}}


@dataclass(slots=True)
class Call:
    """One request to the API: who calls, and what about."""

    state: State
    request: Request
    token: Token | None = None
    body: Json = field(default_factory=dict)

    def path(self, name: str) -> str:
        """A part of the URL's path, decoded."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """A value of the query."""
        return str(self.request.query_params.get(name, ""))

    def repository(self) -> Repository:
        """The repository of the path, if the caller may read it."""
        named = f"{self.path('owner')}/{self.path('name')}"
        it = self.state.find(named)
        if it is None or not self.state.may_read(self.token, it):
            raise Refusal(404, f"Repository {named} not found.")
        if named.lower() != it.full_name.lower():
            self._redirect(named, it)
        return it

    def needs(self, scope: str) -> Token:
        """The caller's token; one without the scope, and a caller without a token, is refused."""
        if self.token is None:
            raise Refusal(401, "This endpoint requires authentication.")
        if scope not in self.token.scopes:
            raise Refusal(403, NO_SCOPE, detail={"required": [scope], "granted": sorted(self.token.scopes)})
        return self.token

    def commit(self, it: Repository, name: str) -> Commit:
        """The commit that an id or ref names, also behind a tag's object."""
        try:
            return it.resolve(name)
        except NoSuchRef:
            raise Refusal(404, "Commit not found", data={"shas": [name]}) from None

    def _redirect(self, named: str, it: Repository) -> None:
        here = urlsplit(str(self.request.url))
        path = here.path.replace(f"/repositories/{quote(named)}", f"/repositories/{quote(it.full_name)}", 1)
        raise Refusal(301, "Moved permanently", headers={"Location": here._replace(path=path).geturl()})


Endpoint = Callable[[Call], Response]


def api_app(state: State) -> Starlette:
    """The API as an application of its own, to be mounted at its path."""
    routes = [Route("/user", _answering(state, get_user))]
    routes += [
        Route("/repositories/{owner}/{name}" + path, _answering(state, endpoint), methods=[method])
        for method, path, endpoint in _ROUTES
    ]
    return Starlette(routes=[*routes, Route("/{path:path}", _answering(state, nothing_here))])


def get_user(call: Call) -> Response:
    """`GET /user`: only a person's token with the scope `account` learns it."""
    if call.token is not None and call.token.is_access_token:
        raise Refusal(401, BAD_CREDENTIAL)
    return JSONResponse(payloads.account(call.needs("account").person))


def get_repository(call: Call) -> Response:
    """`GET /repositories/{workspace}/{name}`."""
    return JSONResponse(payloads.repository(call.state, call.repository()))


def get_commit(call: Call) -> Response:
    """`GET …/commit/{sha}`."""
    it = call.repository()
    return JSONResponse(payloads.commit(call.state, it, call.commit(it, call.path("sha"))))


def get_branch(call: Call) -> Response:
    """`GET …/refs/branches/{name}`."""
    return _ref(call, "refs/heads/", "Branch")


def get_tag(call: Call) -> Response:
    """`GET …/refs/tags/{name}`."""
    return _ref(call, "refs/tags/", "Tag")


def list_branches(call: Call) -> Response:
    """`GET …/refs/branches`, paged."""
    return _refs(call, "refs/heads/")


def list_tags(call: Call) -> Response:
    """`GET …/refs/tags`, paged."""
    return _refs(call, "refs/tags/")


def get_diffstat(call: Call) -> Response:
    """`GET …/diffstat/{newer}..{older}`: two dots with `topic=false`; paged, each page naming the next."""
    it = call.repository()
    if call.state.timed_out_diffs:
        call.state.timed_out_diffs -= 1
        raise Refusal(555, "The diff took too long to generate.")
    newer, _, older = call.path("spec").partition("..")
    after, before = call.commit(it, newer), call.commit(it, older)
    start = before if call.query("topic") == "false" else _merge_base(it, before, after)
    return JSONResponse(_page(call, payloads.diffstat(start.entries, after.entries)))


def get_source(call: Call) -> Response:
    """`GET …/src/{sha}/{path}`: a file as it is, a directory as a list; with `format=meta` what it is.

    A submodule is a file with an attribute; the commit that is shown is the one of the path.
    """
    it = call.repository()
    commit, path = call.commit(it, call.path("sha")), call.path("path").strip("/")
    if commit.kind(path) is None:
        raise Refusal(404, f"No such file or directory: {path}")
    if call.query("format") == "meta":
        return JSONResponse(payloads.source_entry(commit, path))
    if commit.kind(path) == "directory":
        return JSONResponse(_page(call, [payloads.source_entry(commit, one) for one in commit.listed(path)]))
    return Response(commit.files.get(path, b""), media_type="text/plain")


def create_status(call: Call) -> Response:
    """`POST …/commit/{sha}/statuses/build`: a new status, or the same key's overwritten."""
    it = call.repository()
    call.needs("repository")
    _check_status(call.body)
    if it.unreplicated_calls:
        it.unreplicated_calls -= 1
        raise Refusal(404, "Commit not found")
    sha = call.commit(it, call.path("sha")).sha
    former = call.state.statuses.get((it.id, sha, call.body["key"]))
    made = _made(call, it, sha, former)
    call.state.statuses[it.id, sha, made.key] = made
    _announce(call.state, it, made, "updated" if former else "created")
    return JSONResponse(payloads.status(call.state, it, made), 200 if former else 201)


def list_statuses(call: Call) -> Response:
    """`GET …/commit/{sha}/statuses`."""
    it = call.repository()
    sha = call.commit(it, call.path("sha")).sha
    found = [one for (id_, of, _), one in call.state.statuses.items() if (id_, of) == (it.id, sha)]
    return JSONResponse(_page(call, [payloads.status(call.state, it, one) for one in found]))


def nothing_here(_call: Call) -> Response:
    """Whatever this sandbox does not speak."""
    raise Refusal(404, "Resource not found")


_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "", get_repository),
    ("POST", "/commit/{sha}/statuses/build", create_status),
    ("GET", "/commit/{sha}/statuses", list_statuses),
    ("GET", "/commit/{sha}", get_commit),
    ("GET", "/refs/branches", list_branches),
    ("GET", "/refs/tags", list_tags),
    ("GET", "/refs/branches/{ref:path}", get_branch),
    ("GET", "/refs/tags/{ref:path}", get_tag),
    ("GET", "/diffstat/{spec}", get_diffstat),
    ("GET", "/src/{sha}/{path:path}", get_source),
)


def _answering(state: State, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            return endpoint(await _admitted(state, request))
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status, refusal.headers)

    return answer


async def _admitted(state: State, request: Request) -> Call:
    if state.throttled_calls:
        state.throttled_calls -= 1
        wait = {} if state.retry_after is None else {"Retry-After": str(state.retry_after)}
        raise Refusal(429, "Rate limit for this resource has been exceeded", headers=wait)
    told = request.headers.get("authorization", "")
    token = state.token_in(told)
    if told and token is None:
        raise Refusal(401, BAD_CREDENTIAL)
    return Call(state, request, token, await _json_object(request))


async def _json_object(request: Request) -> Json:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Refusal(400, "Bad request") from None
    return body if isinstance(body, dict) else {}


def _ref(call: Call, prefix: str, kind: str) -> Response:
    it, full = call.repository(), prefix + call.path("ref")
    if full not in it.refs:
        raise Refusal(404, f"{kind} {call.path('ref')} not found")
    return JSONResponse(payloads.ref(call.state, it, full, it.refs[full]))


def _refs(call: Call, prefix: str) -> Response:
    it = call.repository()
    found = sorted((ref for ref in it.refs if ref.startswith(prefix)), key=lambda ref: it.resolve(ref).at, reverse=True)
    return JSONResponse(_page(call, [payloads.ref(call.state, it, ref, it.refs[ref]) for ref in found]))


def _page(call: Call, items: list[Json]) -> Json:
    size, page = call.state.page_length, int(call.query("page") or 1)
    shown = {"pagelen": size, "page": page, "values": items[(page - 1) * size : page * size]}
    if len(items) <= page * size:
        return shown
    return shown | {"next": str(call.request.url.include_query_params(page=page + 1))}


def _merge_base(it: Repository, before: Commit, after: Commit) -> Commit:
    common = it.reachable(before.sha) & it.reachable(after.sha)
    shared = [sha for sha in it.commits if sha in common]
    return it.commits[shared[-1]] if shared else before


def _check_status(body: Json) -> None:
    fields: dict[str, list[str]] = {}
    for name, longest in (("key", KEY_LENGTH), ("name", TEXT_LENGTH), ("description", TEXT_LENGTH)):
        length = len(body.get(name) or "")
        if length > longest:
            fields[name] = [f"Ensure this value has at most {longest} characters (it has {length})."]
    fields |= {name: ["This field is required."] for name in ("key", "state", "url") if not body.get(name)}
    if body.get("state") and body["state"] not in STATES:
        fields["state"] = [f"{body['state']} is not a valid choice."]
    if body.get("url") and urlsplit(body["url"]).scheme not in ("http", "https"):
        fields["url"] = ["Enter a valid URL."]
    if fields:
        raise Refusal(400, "Bad request", fields=fields)


def _made(call: Call, it: Repository, sha: str, former: BuildStatus | None) -> BuildStatus:
    token, body, now = call.token, call.body, call.state.now()
    caller = token.person.login if token else ""
    if former is not None and former.creator != caller and call.state.level(token, it) != "admin":
        raise Refusal(403, "Only the creator of a build status or a repository admin can update it.")
    return BuildStatus(
        sha=sha,
        key=body["key"],
        state=body["state"],
        url=body["url"],
        name=body.get("name"),
        description=body.get("description"),
        refname=body.get("refname"),
        creator=former.creator if former else caller,
        created_at=former.created_at if former else now,
        updated_at=now,
    )


def _announce(state: State, it: Repository, made: BuildStatus, what: str) -> None:
    event, payload = f"repo:commit_status_{what}", payloads.commit_status_event(state, it, made)
    state.outbox += [
        Delivery(new_uuid().strip("{}"), event, hook, payload)
        for hook in state.hooks
        if hook.repository_id == it.id and event in hook.events
    ]
