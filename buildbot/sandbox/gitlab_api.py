"""The part of GitLab's REST API that a build bot needs, with GitLab's statuses and texts.

Every endpoint is a function of a `Call`, which knows the caller and finds the project with the right refusal: a read at
a former path is redirected, a write there gets 405, what the caller may not see is 404. Ids and paths of projects,
branches and files are one part of the address each with their slashes encoded, so routes are matched on the raw path.
`Refusal` carries an answer that is not a success out of any depth. Every status leaves a `Pipeline Hook` in the outbox
for the hooks that hear of pipelines: a bot that takes those for news of its own goes round in circles.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from buildbot.sandbox import gitlab_payloads as payloads
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository, Status
from buildbot.sandbox.gitlab_hooks import Attempt, Delivery, Hook
from buildbot.sandbox.gitlab_payloads import Json
from buildbot.sandbox.gitlab_state import ROLES, State, Token
from buildbot.sandbox.packing import PACKERS, in_chunks

API_PATH = "/api/v4"
ACTIVE = frozenset({"pending", "running"})
EVENTS = {
    "pending": "enqueue",
    "running": "run",
    "success": "success",
    "failed": "drop",
    "canceled": "cancel",
    "skipped": "skip",
}
TEXT_LIMIT = 255
ARCHIVE_TYPES = {"tar.gz": "application/octet-stream", "zip": "application/zip"}


class Refusal(Exception):
    """Any answer that is not a success."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers


def refused(status: int, message: object) -> Refusal:
    """A refusal in GitLab's usual form."""
    return Refusal(status, {"message": message})


@dataclass(slots=True)
class Call:
    """One request to the API: who calls, and what about. `parts` are those of the path that a route names."""

    state: State
    request: Request
    parts: Mapping[str, str]
    token: Token | None = None
    body: Json = field(default_factory=dict)

    def query(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return str(self.request.query_params.get(name, default))

    def project(self, role: str = "none") -> Repository:
        """The project of the path, if the caller may see it and has that role in it."""
        id_ = self.parts["project"]
        it = self.state.projects.get(int(id_)) if id_.isdecimal() else self.state.find(id_)
        person = self.token.person if self.token else None
        if it is None or not self.state.may_see(person, it):
            raise refused(404, "404 Project Not Found")
        if not id_.isdecimal() and id_.lower() != it.full_name.lower():
            self._redirect(it)
        if ROLES.index(self.state.role(person, it)) < ROLES.index(role):
            raise refused(403, "403 Forbidden") if self.token else refused(401, "401 Unauthorized")
        return it

    def commit(self, it: Repository, name: str) -> Commit:
        """The commit that an id or ref names. The object of an annotated tag is none."""
        if name in it.tag_objects:
            raise refused(404, "404 Commit Not Found")
        try:
            return it.resolve(name)
        except NoSuchRef:
            raise refused(404, "404 Commit Not Found") from None

    def page(self, items: list[Any]) -> list[Any]:
        """The page that `per_page` and `page` ask for."""
        size, page = min(int(self.query("per_page", "20")), 100), max(int(self.query("page", "1")), 1)
        return items[(page - 1) * size : page * size]

    def _redirect(self, it: Repository) -> None:
        if self.request.method != "GET":
            raise refused(405, "Non GET methods are not allowed for moved projects")
        raw, query = _raw_path(self.request.scope), self.request.url.query
        prefix, _, rest = raw.partition("/projects/")
        tail = rest.partition("/")[2]
        location = f"{self.state.url}{prefix}/projects/{it.id}" + (f"/{tail}" if tail else "")
        raise Refusal(
            301,
            {"message": "301 Moved Permanently"},
            {"Location": location + (f"?{query}" if query else "")},
        )


Endpoint = Callable[[Call], Response]


class Api:
    """The API as an ASGI application, to be mounted where the site has it."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if (limited := _limited(self._state)) is not None:
            return limited
        endpoint, parts = _route(request.method, _raw_path(request.scope).removeprefix(API_PATH))
        call = Call(self._state, request, parts, _token(self._state, request))
        _check_scope(call)
        call.body = await _json_object(request)
        return endpoint(call)


def get_user(call: Call) -> Response:
    """`GET /user`: whom the token belongs to."""
    person = _signed_in(call).person
    return JSONResponse({"id": person.id, "username": person.login, "name": person.name, "state": "active"})


def get_own_token(call: Call) -> Response:
    """`GET /personal_access_tokens/self`."""
    token = _signed_in(call)
    expires = token.expires_at.date().isoformat() if token.expires_at else None
    shown = {"name": "token", "scopes": sorted(token.scopes), "user_id": token.person.id, "expires_at": expires}
    return JSONResponse(shown | {"active": True, "revoked": False})


def get_project(call: Call) -> Response:
    """`GET /projects/:id`."""
    return JSONResponse(payloads.project(call.state, call.project()))


def get_branch(call: Call) -> Response:
    """`GET /projects/:id/repository/branches/:branch`."""
    it, name = call.project(), call.parts["branch"]
    if f"refs/heads/{name}" not in it.refs:
        raise refused(404, "404 Branch Not Found")
    return JSONResponse(payloads.branch(call.state, it, name, it.peel(it.refs[f"refs/heads/{name}"])))


def list_branches(call: Call) -> Response:
    """`GET /projects/:id/repository/branches`."""
    it = call.project()
    names = sorted(ref.removeprefix("refs/heads/") for ref in it.refs if ref.startswith("refs/heads/"))
    heads = [(name, it.peel(it.refs[f"refs/heads/{name}"])) for name in call.page(names)]
    return JSONResponse([payloads.branch(call.state, it, name, head) for name, head in heads])


def list_tags(call: Call) -> Response:
    """`GET /projects/:id/repository/tags`, the newest commits first."""
    it = call.project()
    names = [ref.removeprefix("refs/tags/") for ref in it.refs if ref.startswith("refs/tags/")]
    newest = sorted(names, key=lambda name: it.resolve(f"refs/tags/{name}").at, reverse=True)
    return JSONResponse([_shown_tag(call, it, name) for name in call.page(newest)])


def get_tag(call: Call) -> Response:
    """`GET /projects/:id/repository/tags/:tag`."""
    it, name = call.project(), call.parts["tag"]
    if f"refs/tags/{name}" not in it.refs:
        raise refused(404, "404 Tag Not Found")
    return JSONResponse(_shown_tag(call, it, name))


def get_commit(call: Call) -> Response:
    """`GET /projects/:id/repository/commits/:sha`."""
    it = call.project()
    return JSONResponse(payloads.commit(call.state, it, call.commit(it, call.parts["sha"])))


def list_statuses(call: Call) -> Response:
    """`GET /projects/:id/repository/commits/:sha/statuses`."""
    it = call.project("reporter")
    found = it.statuses_of(call.commit(it, call.parts["sha"]).sha)
    return JSONResponse([payloads.status(one, call.state.person(one.creator)) for one in call.page(found)])


def compare(call: Call) -> Response:
    """`GET /projects/:id/repository/compare`: from the merge base, or with `straight` from `from` itself."""
    it = call.project()
    try:
        base, head = it.resolve(call.query("from")), it.resolve(call.query("to"))
    except NoSuchRef:
        raise refused(404, "404 Ref Not Found") from None
    commits = it.between(base.sha, head.sha)
    start = base if call.query("straight") == "true" else _merge_base(it, base, head)
    diffs = payloads.diffs(start.entries, head.entries)
    shown = [payloads.commit(call.state, it, one) for one in commits]
    return JSONResponse(
        {
            "commit": shown[-1] if shown else None,
            "commits": shown,
            "diffs": diffs[: call.state.diff_limit],
            "compare_timeout": len(diffs) > call.state.diff_limit,
            "compare_same_ref": base.sha == head.sha,
            "web_url": f"{call.state.url}/{it.full_name}/-/compare/{base.sha}...{head.sha}",
        }
    )


def get_file(call: Call) -> Response:
    """`GET /projects/:id/repository/files/:path?ref=`."""
    content, commit = _file(call)
    path = call.parts["path"]
    named = {"file_name": path.rpartition("/")[2], "file_path": path, "size": len(content), "ref": call.query("ref")}
    encoded = {"encoding": "base64", "content": base64.b64encode(content).decode(), "commit_id": commit.sha}
    return JSONResponse(named | encoded)


def get_raw_file(call: Call) -> Response:
    """`GET /projects/:id/repository/files/:path/raw?ref=`."""
    return PlainTextResponse(_file(call)[0])


def list_tree(call: Call) -> Response:
    """`GET /projects/:id/repository/tree?ref=&path=`: the entries of one directory; a submodule is a "commit"."""
    it, path = call.project(), call.query("path").strip("/")
    try:
        commit = it.resolve(call.query("ref", it.default_branch))
    except NoSuchRef:
        raise refused(404, "404 Tree Not Found") from None
    if path and commit.kind(path) != "directory":
        raise refused(404, "404 Tree Not Found")
    return JSONResponse(call.page([payloads.tree_entry(commit, one) for one in commit.listed(path)]))


def get_archive(call: Call) -> Response:
    """`GET /projects/:id/repository/archive[.tar.gz|.zip]?sha=`, its top directory named after the commit twice."""
    it, form = call.project(), call.parts["archive"].partition(".")[2] or "tar.gz"
    if form not in PACKERS:
        raise refused(404, "404 File Not Found")
    commit = call.commit(it, call.query("sha", it.default_branch))
    top = f"{it.name}-{call.query('sha', it.default_branch)}-{commit.sha}".replace("/", "-")
    return packed(commit, top, form)


def packed(commit: Commit, top: str, form: str) -> Response:
    """An archive as GitLab sends it: only a zip's content type is one that Quay's builder takes for an archive."""
    disposition = {"Content-Disposition": f'attachment; filename="{top}.{form}"'}
    return StreamingResponse(in_chunks(PACKERS[form](commit, top)), media_type=ARCHIVE_TYPES[form], headers=disposition)


def create_status(call: Call) -> Response:
    """`POST /projects/:id/statuses/:sha`, with GitLab's rules of what may follow what."""
    it, body = call.project("developer"), call.body
    state, sha = _checked_state(body), call.parts["sha"]
    if it.unreplicated_calls:
        it.unreplicated_calls -= 1
        raise refused(404, "404 Commit Not Found")
    commit = call.commit(it, sha)
    if call.state.busy_calls:
        call.state.busy_calls -= 1
        raise refused(409, "Another update to this commit status is in progress")
    ref = str(body.get("ref") or _ref_with(it, commit))
    wanted = Status(
        id=next(call.state.ids),
        sha=commit.sha,
        state=state,
        target_url=body.get("target_url"),
        description=body.get("description"),
        context=str(body.get("name") or body.get("context") or "default"),
        creator=_signed_in(call).person.login,
        created_at=call.state.now(),
        ref=ref,
    )
    made = _moved(it, wanted)
    _announce(call.state, it, made)
    return JSONResponse(payloads.status(made, call.state.person(made.creator)), 201)


def list_hooks(call: Call) -> Response:
    """`GET /projects/:id/hooks`, for maintainers."""
    it = call.project("maintainer")
    return JSONResponse([hook.describe() for hook in call.page(_hooks(call, it))])


def list_hook_events(call: Call) -> Response:
    """`GET /projects/:id/hooks/:hook/events`, newest first."""
    return JSONResponse([one.describe() for one in call.page(_attempts(call))])


def resend(call: Call) -> Response:
    """`POST /projects/:id/hooks/:hook/events/:event/resend`: the same key again, the time a new one."""
    found = [one for one in _attempts(call) if str(one.id) == call.parts["event"]]
    if not found:
        raise refused(404, "404 Not found")
    again = BackgroundTask(call.state.sender.send, found[0].delivery)
    return JSONResponse({"response_status": 200}, 201, background=again)


_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/user", get_user),
    ("GET", "/personal_access_tokens/self", get_own_token),
    ("GET", "/projects/:project", get_project),
    ("GET", "/projects/:project/repository/branches", list_branches),
    ("GET", "/projects/:project/repository/branches/:branch", get_branch),
    ("GET", "/projects/:project/repository/tags", list_tags),
    ("GET", "/projects/:project/repository/tags/:tag", get_tag),
    ("GET", "/projects/:project/repository/commits/:sha", get_commit),
    ("GET", "/projects/:project/repository/commits/:sha/statuses", list_statuses),
    ("GET", "/projects/:project/repository/compare", compare),
    ("GET", "/projects/:project/repository/files/:path", get_file),
    ("GET", "/projects/:project/repository/files/:path/raw", get_raw_file),
    ("GET", "/projects/:project/repository/tree", list_tree),
    ("GET", "/projects/:project/repository/:archive", get_archive),
    ("POST", "/projects/:project/statuses/:sha", create_status),
    ("GET", "/projects/:project/hooks", list_hooks),
    ("GET", "/projects/:project/hooks/:hook/events", list_hook_events),
    ("POST", "/projects/:project/hooks/:hook/events/:event/resend", resend),
)


def _route(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    parts = path.split("/")
    for known, pattern, endpoint in _ROUTES:
        names = pattern.split("/")
        if known == method and len(names) == len(parts) and all(map(_fits, names, parts)):
            named = zip(names, parts, strict=True)
            return endpoint, {name[1:]: unquote(part) for name, part in named if name.startswith(":")}
    raise Refusal(404, {"error": "404 Not Found"})


def _fits(name: str, part: str) -> bool:
    if name == ":archive":
        return part.partition(".")[0] == "archive"
    return bool(part) if name.startswith(":") else name == part


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.partition(b"?")[0].decode("ascii")


def _limited(state: State) -> Response | None:
    if not state.throttled_calls:
        return None
    state.throttled_calls -= 1
    wait = {} if state.retry_after is None else {"Retry-After": str(state.retry_after)}
    return PlainTextResponse("Retry later\n", 429, wait)


def _token(state: State, request: Request) -> Token | None:
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    text = request.headers.get("private-token") or (bearer if kind.lower() == "bearer" else "")
    if not text:
        return None
    found = state.tokens.get(text)
    if text in state.revoked:
        told = "Token was revoked. You have to re-authorize from the user."
        raise Refusal(401, {"error": "invalid_token", "error_description": told})
    if found is None:
        raise refused(401, "401 Unauthorized")
    if found.expires_at is not None and state.now() >= found.expires_at:
        told = "Token is expired. You can either do re-authorization or token refresh."
        raise Refusal(401, {"error": "invalid_token", "error_description": told})
    return found


def _check_scope(call: Call) -> None:
    enough = {"api"} if call.request.method != "GET" else {"api", "read_api"}
    if call.token is None or call.parts == {} or call.token.scopes & enough:
        return
    told = "The request requires higher privileges than provided by the access token."
    raise Refusal(403, {"error": "insufficient_scope", "error_description": told, "scope": " ".join(sorted(enough))})


def _signed_in(call: Call) -> Token:
    if call.token is None:
        raise refused(401, "401 Unauthorized")
    return call.token


async def _json_object(request: Request) -> Json:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Refusal(400, {"error": "The provided content-type 'application/json' is not supported."}) from None
    return body if isinstance(body, dict) else {}


def _shown_tag(call: Call, it: Repository, name: str) -> Json:
    points_to = it.refs[f"refs/tags/{name}"]
    return payloads.tag(call.state, it, name, points_to, it.tag_objects.get(points_to))


def _merge_base(it: Repository, base: Commit, head: Commit) -> Commit:
    common = it.reachable(base.sha) & it.reachable(head.sha)
    shared = [sha for sha in it.commits if sha in common]
    return it.commits[shared[-1]] if shared else base


def _file(call: Call) -> tuple[bytes, Commit]:
    it = call.project()
    if not call.query("ref"):
        raise Refusal(400, {"error": "ref is missing, ref is empty"})
    commit = call.commit(it, call.query("ref"))
    content = commit.files.get(call.parts["path"])
    if content is None:
        raise refused(404, "404 File Not Found")
    return content, commit


def _checked_state(body: Json) -> str:
    state = body.get("state")
    if state not in EVENTS:
        raise Refusal(400, {"error": "state does not have a valid value"})
    if len(body.get("description") or "") > TEXT_LIMIT:
        raise refused(400, {"description": [f"is too long (maximum is {TEXT_LIMIT} characters)"]})
    if len(body.get("name") or "") > TEXT_LIMIT:
        raise refused(400, {"name": [f"is too long (maximum is {TEXT_LIMIT} characters)"]})
    if urlsplit(body.get("target_url") or "https:").scheme not in ("http", "https"):
        raise refused(400, {"target_url": ["is blocked: Only allowed schemes are http, https"]})
    return str(state)


def _ref_with(it: Repository, commit: Commit) -> str:
    for ref, tip in it.refs.items():
        if commit.sha in it.reachable(it.peel(tip).sha):
            return ref.split("/", 2)[2]
    raise refused(404, "404 References for commit Not Found")


def _moved(it: Repository, wanted: Status) -> Status:
    """Let an active status of the same user, name and ref move on; after a final one begin a new one."""
    same = [index for index, one in enumerate(it.statuses) if _key(one) == _key(wanted)]
    if not same or it.statuses[same[-1]].state not in ACTIVE:
        it.statuses.append(wanted)
        return wanted
    stands = it.statuses[same[-1]]
    if wanted.state == "pending" or wanted.state == stands.state:
        event = EVENTS[wanted.state]
        reason = f'(Reason(s): Status cannot transition via "{event}")'
        raise refused(400, f"Cannot transition status via :{event} from :{stands.state} {reason}")
    it.statuses[same[-1]] = replace(
        stands, state=wanted.state, description=wanted.description, target_url=wanted.target_url
    )
    return it.statuses[same[-1]]


def _announce(state: State, it: Repository, made: Status) -> None:
    event, payload = str(uuid.uuid4()), payloads.pipeline(state, it, made)
    state.outbox += [
        Delivery(str(uuid.uuid4()), event, "Pipeline Hook", hook, payload, state.url)
        for hook in state.hooks
        if hook.project_id == it.id and hook.hears("pipeline")
    ]


def _key(one: Status) -> tuple[str, str, str, str]:
    return one.sha, one.context, one.ref, one.creator


def _hooks(call: Call, it: Repository) -> list[Hook]:
    return [hook for hook in call.state.hooks if hook.project_id == it.id]


def _attempts(call: Call) -> list[Attempt]:
    it = call.project("maintainer")
    hooks = {hook.id for hook in _hooks(call, it) if str(hook.id) == call.parts["hook"]}
    if not hooks:
        raise refused(404, "404 Not found")
    return [one for one in reversed(call.state.sender.log) if one.delivery.hook.id in hooks]
