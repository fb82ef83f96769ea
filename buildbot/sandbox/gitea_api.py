"""The part of Gitea's and Forgejo's REST API that a build bot needs, with their statuses and texts.

Every endpoint is a function of a `Call`, which knows the caller and finds the repository with the right refusal: a
token without the scope gets 403, whoever may not see the repository 404, whoever may not write 403, and a former name
is redirected, also for writes. `Refusal` carries an answer that is not a success out of any depth.

Where the two differ (`State.is_forgejo`): a status of a commit that is not there is 404 at Forgejo and 500 at Gitea,
a comparison has its files summed up only at Forgejo, and archives have a useful content type only there.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from buildbot.sandbox import gitea_payloads as payloads
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository, Status
from buildbot.sandbox.gitea_archives import packed
from buildbot.sandbox.gitea_hooks import Json
from buildbot.sandbox.gitea_state import ROLES, State, Token
from buildbot.sandbox.packing import PACKERS

API_PATH = "/api/v1"
LARGEST_PAGE = 50
NOT_FOUND = "The target couldn't be found."


class Refusal(Exception):
    """Any answer that is not a success."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body: Json = {"message": message, **more}


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

    def asks(self, name: str) -> bool:
        """Whether the query wants something that is there by default."""
        return self.request.query_params.get(name, "true").lower() in {"", "true", "1"}

    def page(self, items: list[str]) -> list[str]:
        """The page that `limit` and `page` ask for; a page holds fifty at most."""
        asked = self.request.query_params
        size, page = min(int(asked.get("limit", "30")), LARGEST_PAGE), max(int(asked.get("page", "1")), 1)
        return items[(page - 1) * size : page * size]

    def signed_in(self) -> Token:
        """The caller's token."""
        if self.token is None:
            raise Refusal(401, "token is required")
        return self.token

    def repository(self, needed: str = "read") -> Repository:
        """The repository of the path, if the caller may do that with it."""
        if self.token is not None:
            self.check_scope("repository", needed)
        named = f"{self.path('owner')}/{self.path('name')}"
        it = self.state.find(named)
        role = "none" if it is None else self.state.role(self.token.person if self.token else None, it)
        if it is None or role == "none":
            raise Refusal(404, NOT_FOUND, errors=None)
        if named.lower() != it.full_name.lower():
            self._redirect(named, it)
        if ROLES.index(role) < ROLES.index(needed):
            self.signed_in()
            raise Refusal(403, "user should have a permission to write to a repo")
        return it

    def check_scope(self, area: str, needed: str) -> None:
        """The token may do that with things of that area."""
        if not self.signed_in().may(area, needed):
            raise Refusal(403, f"token does not have at least one of required scope(s): [{needed}:{area}]")

    def commit(self, it: Repository, name: str) -> Commit:
        """The commit that an id, also an abbreviated one or of a tag's object, or a ref names."""
        if it.unreplicated_calls:
            it.unreplicated_calls -= 1
            raise Refusal(404, NOT_FOUND, errors=[])
        try:
            return it.resolve(name)
        except NoSuchRef:
            raise Refusal(404, NOT_FOUND, errors=[]) from None

    def _redirect(self, named: str, it: Repository) -> None:
        path = self.request.scope["raw_path"].partition(b"?")[0].decode("ascii")
        query = self.request.url.query
        location = path.replace(quote(named), quote(it.full_name), 1) + (f"?{query}" if query else "")
        raise Refusal(307, "Temporary Redirect", {"Location": location})


Endpoint = Callable[[Call], Response]


def api_app(state: State) -> Router:
    """The API as an application of its own, to be mounted where the site has it."""
    routes = [Route("/user", _answering(state, get_user)), Route("/version", _answering(state, get_version))]
    routes += [
        Route("/repos/{owner}/{name}" + path, _answering(state, endpoint), methods=[method])
        for method, path, endpoint in _REPOSITORY_ROUTES
    ]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Router([*routes, Route("/{path:path}", _answering(state, nothing_here), methods=methods)])


def get_version(call: Call) -> Response:
    """`GET /version`."""
    return JSONResponse({"version": "14.0.2+gitea-1.22.0" if call.state.is_forgejo else "1.25.4"})


def get_user(call: Call) -> Response:
    """`GET /user`: whom the token belongs to, if it has the scope to ask."""
    call.check_scope("user", "read")
    return JSONResponse(payloads.user(call.state, call.signed_in().person))


def get_repository(call: Call) -> Response:
    """`GET /repos/{owner}/{name}`."""
    return JSONResponse(payloads.repository(call.state, call.repository()))


def get_branch(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/branches/{branch}`."""
    it, name = call.repository(), call.path("branch")
    if f"refs/heads/{name}" not in it.refs:
        raise Refusal(404, NOT_FOUND, errors=[f"branch does not exist [name: {name}]"])
    return JSONResponse(payloads.branch(call.state, it, name, it.peel(it.refs[f"refs/heads/{name}"])))


def list_branches(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/branches`."""
    it = call.repository()
    names = sorted(ref.removeprefix("refs/heads/") for ref in it.refs if ref.startswith("refs/heads/"))
    heads = [(name, it.peel(it.refs[f"refs/heads/{name}"])) for name in call.page(names)]
    shown = [payloads.branch(call.state, it, name, head) for name, head in heads]
    return JSONResponse(shown, headers={"X-Total-Count": str(len(names))})


def list_tags(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/tags`."""
    it = call.repository()
    names = sorted((ref.removeprefix("refs/tags/") for ref in it.refs if ref.startswith("refs/tags/")), reverse=True)
    shown = [payloads.tag(call.state, it, name, it.refs[f"refs/tags/{name}"]) for name in call.page(names)]
    return JSONResponse(shown, headers={"X-Total-Count": str(len(names))})


def get_tag(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/tags/{tag}`."""
    it, name = call.repository(), call.path("tag")
    if f"refs/tags/{name}" not in it.refs:
        raise Refusal(404, NOT_FOUND, errors=[])
    return JSONResponse(payloads.tag(call.state, it, name, it.refs[f"refs/tags/{name}"]))


def get_annotated_tag(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/tags/{sha}`: 400 for everything but an annotated tag's object."""
    it = call.repository()
    found = it.tag_objects.get(call.path("sha"))
    if found is None:
        raise Refusal(400, f"object does not exist [id: {call.path('sha')}, rel_path: ]")
    return JSONResponse(payloads.annotated_tag(call.state, it, found))


def get_commit(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/commits/{sha}`; a tag's object is peeled."""
    it = call.repository()
    commit = call.commit(it, call.path("sha"))
    return JSONResponse(payloads.commit(call.state, it, commit, files=call.asks("files"), stat=call.asks("stat")))


def compare(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/compare/{base}...{head}`: the commits of head that base lacks, newest first."""
    it = call.repository()
    base_name, dots, head_name = call.path("basehead").partition("...")
    if not dots:
        base_name, head_name = it.default_branch, base_name
    try:
        base, head = it.resolve(base_name), it.resolve(head_name)
    except NoSuchRef:
        raise Refusal(404, NOT_FOUND, errors=[]) from None
    files = call.asks("files")
    commits = [payloads.commit(call.state, it, one, files=files) for one in it.between(base.sha, head.sha)[::-1]]
    shown: Json = {"total_commits": len(commits), "commits": commits}
    if call.state.is_forgejo:
        shown["files"] = [file for one in commits for file in one["files"] or ()]
    return JSONResponse(shown)


def get_contents(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/contents/{path}?ref=`: a file or submodule as an object, a directory as a list."""
    it, path = call.repository(), str(call.request.path_params.get("path", ""))
    commit = call.commit(it, call.request.query_params.get("ref") or it.default_branch)
    match commit.kind(path) if path else "directory":
        case "file":
            return JSONResponse(payloads.contents(call.state, it, path, commit.files[path]))
        case "submodule":
            return JSONResponse(payloads.submodule(path, commit.gitlinks[path]))
        case "directory":
            return JSONResponse([{"name": one.rpartition("/")[2], "path": one} for one in commit.listed(path)])
    raise Refusal(404, NOT_FOUND, errors=[f"object does not exist [id: , rel_path: {path}]"])


def get_raw(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/raw/{path}?ref=`."""
    it = call.repository()
    commit = call.commit(it, call.request.query_params.get("ref") or it.default_branch)
    if (content := commit.files.get(call.path("path"))) is None:
        raise Refusal(404, NOT_FOUND, errors=[])
    return PlainTextResponse(content)


def get_archive(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/archive/{ref}.tar.gz` or `.zip`; where archives are stored, 302 to there."""
    it, named = call.repository(), call.path("archive")
    form = next((one for one in PACKERS if named.endswith(f".{one}")), None)
    if form is None:
        raise Refusal(400, f"unknown archive format: {named}")
    commit = call.commit(it, named.removesuffix(f".{form}"))
    if call.state.storage_url is None:
        return packed(call.state, it, commit, form, is_api=True)
    signature = secrets.token_hex(16)
    call.state.passes.add(signature)
    place = f"{call.state.storage_url}/_storage/{it.id}/{commit.sha}.{form}"
    return RedirectResponse(f"{place}?X-Amz-Signature={signature}", 302)


def create_status(call: Call) -> Response:
    """`POST /repos/{owner}/{name}/statuses/{sha}`: every one adds a row, whatever its state says."""
    it, body = call.repository("write"), call.body
    if call.state.troubled_calls:
        call.state.troubled_calls -= 1
        raise Refusal(500, "database is locked")
    sha = call.path("sha")
    try:
        commit = call.commit(it, sha)
    except Refusal:
        if call.state.is_forgejo:
            raise
        raise Refusal(500, f"object does not exist [id: {sha}, rel_path: ]") from None
    made = Status(
        id=next(call.state.ids),
        sha=commit.sha,
        state=str(body.get("state", "")),
        target_url=body.get("target_url"),
        description=body.get("description"),
        context=str(body.get("context") or "default"),
        creator=call.signed_in().person.login,
        created_at=call.state.now(),
    )
    it.statuses.append(made)
    return JSONResponse(payloads.status(call.state, it, made), 201)


def list_statuses(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/statuses/{sha}`: all of them, newest first."""
    it = call.repository()
    found = it.statuses_of(call.commit(it, call.path("sha")).sha)
    return JSONResponse([payloads.status(call.state, it, one) for one in found[::-1]])


def test_hook(call: Call) -> Response:
    """`POST /repos/{owner}/{name}/hooks/{id}/tests`: a push that did not move."""
    it = call.repository("admin")
    found = [hook for hook in call.state.hooks if str(hook.id) == call.path("hook") and hook.repository_id == it.id]
    if not found:
        raise Refusal(404, NOT_FOUND, errors=None)
    payload = payloads.test(call.state, it, call.commit(it, it.default_branch))
    delivery = call.state.delivery(found[0], "push", payload)
    return Response(status_code=204, background=BackgroundTask(call.state.sender.send, delivery))


def nothing_here(_call: Call) -> Response:
    """Whatever this sandbox does not speak."""
    raise Refusal(404, NOT_FOUND, errors=None)


_REPOSITORY_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "", get_repository),
    ("GET", "/branches", list_branches),
    ("GET", "/tags", list_tags),
    ("GET", "/branches/{branch:path}", get_branch),
    ("GET", "/tags/{tag:path}", get_tag),
    ("GET", "/git/tags/{sha}", get_annotated_tag),
    ("GET", "/git/commits/{sha}", get_commit),
    ("GET", "/compare/{basehead:path}", compare),
    ("GET", "/contents", get_contents),
    ("GET", "/contents/{path:path}", get_contents),
    ("GET", "/raw/{path:path}", get_raw),
    ("GET", "/archive/{archive:path}", get_archive),
    ("POST", "/statuses/{sha}", create_status),
    ("GET", "/statuses/{sha}", list_statuses),
    ("POST", "/hooks/{hook}/tests", test_hook),
)


def _answering(state: State, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if state.throttled_calls:
            state.throttled_calls -= 1
            wait = {} if state.retry_after is None else {"Retry-After": str(state.retry_after)}
            return PlainTextResponse("429 Too Many Requests", 429, wait)
        try:
            return endpoint(Call(state, request, _token(state, request), await _json_object(request)))
        except Refusal as refusal:
            body = refusal.body | {"url": f"{state.url}/api/swagger"}
            return JSONResponse(body, refusal.status, refusal.headers)

    return answer


def _token(state: State, request: Request) -> Token | None:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    text = text.strip() if kind.lower() in {"token", "bearer"} else request.query_params.get("token", "")
    if not text:
        return None
    if text not in state.tokens:
        raise Refusal(401, "invalid username, password or token")
    return state.tokens[text]


async def _json_object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise Refusal(422, f"[]: {error}") from None
    if not isinstance(body, dict):
        raise Refusal(422, "json: cannot unmarshal into Go value of type structs.CreateStatusOption")
    return body
