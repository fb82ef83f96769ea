"""The part of GitHub's REST API that a build bot needs, with GitHub's statuses, texts and headers.

Every endpoint is a function of a `Call`, which knows the caller and finds the repository with the right refusal: 301
at a former name, 404 for what the caller may not see, and by kind of token 401, 403 or 404 for what it may not do.
`Refusal` carries an answer that is not a success out of any depth.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from buildbot.sandbox import github_payloads as payloads
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository, Status
from buildbot.sandbox.github_accounts import DENIED_TO, LEVELS, App, BadJwt, Credential, Installation, NotGranted, level
from buildbot.sandbox.github_hooks import Attempt, Hook
from buildbot.sandbox.github_payloads import Json
from buildbot.sandbox.github_state import State

STATES = ("error", "failure", "pending", "success")
STATUSES_PER_CONTEXT = 1000
DESCRIPTION_LENGTH = 140
CONTEXT_LENGTH = 255
FILES_COMPARED = 300
PASS_LIFETIME = timedelta(minutes=5)
_DOCUMENTATION = "https://docs.github.com/rest"


class Refusal(Exception):
    """Any answer that is not a success."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {"message": message, **more, "documentation_url": _DOCUMENTATION, "status": str(status)}


class ApiResponse(JSONResponse):
    """JSON with the content type that GitHub writes."""

    media_type = "application/json; charset=utf-8"


NOT_FOUND = "Not Found"


@dataclass(slots=True)
class Call:
    """One request to the API: who calls, and what about."""

    state: State
    request: Request
    credential: Credential | None = None
    body: Json = field(default_factory=dict)

    @property
    def caller(self) -> str:
        """Whose rate limit counts."""
        if self.credential is None:
            return self.request.client.host if self.request.client else "anonymous"
        return str(self.credential.installation_id or self.credential.person.login)

    def path(self, name: str) -> str:
        """A part of the URL's path, decoded."""
        return str(self.request.path_params[name])

    def number(self, name: str) -> int:
        """A number of the query, or 0."""
        text = self.request.query_params.get(name, "")
        return int(text) if text.isdecimal() else 0

    def repository(self, permission: str = "metadata", needed: str = "read") -> Repository:
        """The repository of the path, if the caller may do that with it."""
        found = self.named()
        allowed = level(self.credential, found, permission)
        if LEVELS.index(allowed) < LEVELS.index(needed):
            self._refuse(found)
        self.redirect_former(found)
        return found

    def commit(self, it: Repository, name: str) -> Commit:
        """The commit that an id or ref names; GitHub answers 422, not 404, when there is none."""
        try:
            return it.resolve(name)
        except NoSuchRef:
            raise Refusal(422, f"No commit found for SHA: {name}") from None

    def app(self) -> App:
        """The App whose JSON web token came along."""
        try:
            return self.state.accounts.app_of(_bearer(self.request) or "", self.state.now())
        except BadJwt as error:
            raise Refusal(401, str(error)) from None

    def page(self, items: list[Any]) -> list[Any]:
        """The page that `per_page` and `page` ask for."""
        size, page = min(self.number("per_page") or 30, 100), max(self.number("page"), 1)
        return items[(page - 1) * size : page * size]

    def named(self) -> Repository:
        """The repository of the path, whatever the caller may do with it."""
        params = self.request.path_params
        by_id = self.state.repositories.get(int(params["id"])) if "id" in params else None
        found = by_id or self.state.find(f"{params.get('owner')}/{params.get('name')}")
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    def _refuse(self, found: Repository) -> None:
        if LEVELS.index(level(self.credential, found, "metadata")) == 0:
            raise Refusal(404, NOT_FOUND)
        if self.credential is None:
            raise Refusal(401, "Requires authentication")
        if self.credential.kind == "classic":
            raise Refusal(404, NOT_FOUND)
        raise Refusal(403, DENIED_TO[self.credential.kind])

    def redirect_former(self, found: Repository) -> None:
        """Refuse with GitHub's 301 if the path has a former name; it leads to the repository's id."""
        params = self.request.path_params
        if "id" in params or f"{params['owner']}/{params['name']}".lower() == found.full_name.lower():
            return
        former = f"/repos/{params['owner']}/{params['name']}"
        here = urlsplit(str(self.request.url))
        path = here.path.replace(former, f"/repositories/{found.id}", 1)
        location = here._replace(path=path).geturl()
        raise Refusal(301, "Moved Permanently", {"Location": location}, url=location)


Endpoint = Callable[[Call], Response]


def api_app(state: State) -> Starlette:
    """The API as an application of its own, to be mounted where the site has it."""
    routes = [
        Route("/user", _answering(state, get_user)),
        Route("/app", _answering(state, get_app, by_app=True)),
        Route("/app/hook/config", _answering(state, get_app_hook_config, by_app=True)),
        Route("/app/hook/deliveries", _answering(state, list_app_deliveries, by_app=True)),
        Route(
            "/app/hook/deliveries/{delivery:int}/attempts",
            _answering(state, redeliver_app, by_app=True),
            methods=["POST"],
        ),
        Route(
            "/app/installations/{installation:int}/access_tokens",
            _answering(state, create_access_token, by_app=True),
            methods=["POST"],
        ),
    ]
    routes += [
        Route("/orgs/{org}" + path, _answering(state, endpoint), methods=[method])
        for method, path, endpoint in _ORGANISATION_ROUTES
    ]
    for prefix in ("/repos/{owner}/{name}", "/repositories/{id:int}"):
        routes.append(Route(f"{prefix}/installation", _answering(state, get_installation, by_app=True)))
        routes += [
            Route(prefix + path, _answering(state, endpoint), methods=[method])
            for method, path, endpoint in _REPOSITORY_ROUTES
        ]
    anything = Route("/{path:path}", _answering(state, nothing_here), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    return Starlette(routes=[*routes, anything])


def get_user(call: Call) -> Response:
    """`GET /user`: whom the token belongs to; classic tokens learn their scopes from the headers."""
    if call.credential is None:
        raise Refusal(401, "Requires authentication")
    if call.credential.kind == "installation":
        raise Refusal(403, DENIED_TO["installation"])
    return ApiResponse(payloads.user(call.state.site, call.credential.person))


def get_repository(call: Call) -> Response:
    """`GET /repos/{owner}/{name}`, with what the caller may do."""
    it = call.repository()
    rank = LEVELS.index(level(call.credential, it, "contents"))
    permissions = {"admin": rank >= 3, "maintain": rank >= 3, "push": rank >= 2, "triage": rank >= 2, "pull": rank >= 1}
    shown = {} if call.credential is None else {"permissions": permissions}
    return ApiResponse(payloads.repository(call.state.site, it) | shown)


def create_status(call: Call) -> Response:
    """`POST /repos/{owner}/{name}/statuses/{sha}`."""
    it = call.repository("statuses", "write")
    sha, body = call.path("sha"), call.body
    context = str(body.get("context") or "default")
    _check_status(call, context)
    if it.unreplicated_calls:
        it.unreplicated_calls -= 1
        raise Refusal(422, f"No commit found for SHA: {sha}")
    commit = it.commits.get(sha)
    if commit is None:
        raise Refusal(422, f"No commit found for SHA: {sha}")
    same = [one for one in it.statuses_of(sha) if one.context.lower() == context.lower()]
    if len(same) >= STATUSES_PER_CONTEXT:
        raise _invalid(call.state, "This SHA and context has reached the maximum number of statuses.")
    made = Status(
        id=next(call.state.ids),
        sha=sha,
        state=body["state"],
        target_url=body.get("target_url"),
        description=body.get("description"),
        context=context,
        creator=call.credential.person.login if call.credential else "",
        created_at=call.state.now(),
    )
    it.statuses.append(made)
    shown = _shown_status(call, it, made)
    return ApiResponse(shown, 201, {"Location": shown["url"]})


def list_statuses(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/commits/{ref}/statuses`: all of them, newest first."""
    it = call.repository("statuses")
    newest_first = it.statuses_of(call.commit(it, call.path("ref")).sha)[::-1]
    return ApiResponse([_shown_status(call, it, one) for one in call.page(newest_first)])


def get_combined_status(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/commits/{ref}/status`: the newest of each context, and their sum."""
    it = call.repository("statuses")
    sha = call.commit(it, call.path("ref")).sha
    latest = {one.context.lower(): one for one in it.statuses_of(sha)}
    return ApiResponse(
        {
            "state": payloads.combined_state(one.state for one in latest.values()),
            "statuses": [_shown_status(call, it, one) for one in latest.values()],
            "sha": sha,
            "total_count": len(latest),
            "repository": payloads.repository(call.state.site, it),
            "commit_url": f"{call.state.site.api(it)}/commits/{sha}",
            "url": f"{call.state.site.api(it)}/commits/{sha}/status",
        }
    )


def get_commit(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/commits/{ref}`."""
    it = call.repository("contents")
    commit = call.commit(it, call.path("ref"))
    files = payloads.changed_files(_first_parents_entries(it, commit), commit.entries)
    stats = {"total": len(files), "additions": len(files), "deletions": 0}
    return ApiResponse(payloads.commit(call.state.site, it, commit) | {"stats": stats, "files": files})


def get_branch(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/branches/{branch}`."""
    it, site = call.repository("contents"), call.state.site
    name = call.path("branch")
    if f"refs/heads/{name}" not in it.refs:
        raise Refusal(404, "Branch not found")
    head = it.peel(it.refs[f"refs/heads/{name}"])
    shown = {"name": name, "commit": payloads.commit(site, it, head), "protected": False}
    return ApiResponse(
        shown | {"_links": {"self": f"{site.api(it)}/branches/{name}", "html": f"{site.html(it)}/tree/{name}"}}
    )


def get_ref(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/ref/{ref}`, the ref without `refs/`; 409 while the repository is empty."""
    it, ref = call.repository("contents"), f"refs/{call.path('ref')}"
    if not it.refs:
        raise Refusal(409, "Git Repository is empty.")
    if ref not in it.refs:
        raise Refusal(404, NOT_FOUND)
    url = f"{call.state.site.api(it)}/git/{ref}"
    return ApiResponse({"ref": ref, "url": url, "object": payloads.git_object(call.state.site, it, it.refs[ref])})


def list_matching_refs(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/matching-refs/{ref}`: all refs that begin so, without pages."""
    it, start = call.repository("contents"), f"refs/{call.path('ref')}"
    if not it.refs:
        raise Refusal(409, "Git Repository is empty.")
    site = call.state.site
    return ApiResponse(
        [
            {"ref": ref, "url": f"{site.api(it)}/git/{ref}", "object": payloads.git_object(site, it, it.refs[ref])}
            for ref in sorted(it.refs)
            if ref.startswith(start)
        ]
    )


def get_git_commit(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/commits/{sha}`: the commit's object, without what it changed."""
    it = call.repository("contents")
    found = it.commits.get(call.path("sha"))
    if found is None:
        raise Refusal(404, NOT_FOUND)
    shown = payloads.commit(call.state.site, it, found)
    return ApiResponse({"sha": found.sha, **shown["commit"], "parents": shown["parents"]})


def get_tag(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/git/tags/{sha}`: an annotated tag's object."""
    it = call.repository("contents")
    found = it.tag_objects.get(call.path("sha"))
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return ApiResponse(payloads.tag(call.state.site, it, found))


def get_contents(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/contents/{path}?ref=`: a file as JSON, or raw if `Accept` says so; a directory as a
    list, in which a submodule is called a file."""
    it = call.repository("contents")
    path, ref = call.path("path"), call.request.query_params.get("ref") or it.default_branch
    try:
        commit = it.resolve(ref)
    except NoSuchRef:
        raise Refusal(404, f"No commit found for the ref {ref}") from None
    if path in commit.files and "raw" in call.request.headers.get("accept", ""):
        return Response(commit.files[path], media_type="application/vnd.github.raw+json; charset=utf-8")
    match commit.kind(path):
        case "file" | "submodule":
            return ApiResponse(payloads.content(commit, path))
        case "directory":
            return ApiResponse(payloads.directory(commit, path))
        case _:
            raise Refusal(404, NOT_FOUND)


def compare(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/compare/{base}...{head}`: three dots, so from the merge base; at most 300 files."""
    it, site = call.repository("contents"), call.state.site
    base_name, dots, head_name = call.path("basehead").partition("...")
    try:
        base, head = it.resolve(base_name), it.resolve(head_name)
    except NoSuchRef:
        raise Refusal(404, NOT_FOUND) from None
    common = [sha for sha in it.commits if sha in it.reachable(base.sha) & it.reachable(head.sha)]
    if not dots or not common:
        raise Refusal(404, f"No common ancestor between {base_name} and {head_name}.")
    merge_base = it.commits[common[-1]]
    ahead, behind = it.between(base.sha, head.sha), it.between(head.sha, base.sha)
    relation = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind", (False, False): "identical"}
    return ApiResponse(
        {
            "status": relation[bool(ahead), bool(behind)],
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "base_commit": payloads.commit(site, it, base),
            "merge_base_commit": payloads.commit(site, it, merge_base),
            "commits": [payloads.commit(site, it, one) for one in call.page(list(ahead))],
            "files": payloads.changed_files(merge_base.entries, head.entries)[:FILES_COMPARED]
            if call.number("page") < 2
            else [],
        }
    )


def get_tarball(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/tarball/{ref}`: 302 to where the archive is, with a pass if it is private."""
    return _to_archive(call, "legacy.tar.gz")


def get_zipball(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/zipball/{ref}`, like `get_tarball`."""
    return _to_archive(call, "legacy.zip")


def list_hooks(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/hooks`: the repository's own hooks, their secrets masked."""
    it = call.repository("repository_hooks")
    own = [hook.describe(call.state.site.api(it)) for hook in call.state.hooks if hook.repository_id == it.id]
    return ApiResponse(call.page(own))


def list_hook_deliveries(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/hooks/{hook}/deliveries`, newest first."""
    return _deliveries_page(call, [_repository_hook(call, "read")])


def redeliver(call: Call) -> Response:
    """`POST /repos/{owner}/{name}/hooks/{hook}/deliveries/{delivery}/attempts`."""
    return _redelivered(call, [_repository_hook(call, "write")])


def list_organisation_hooks(call: Call) -> Response:
    """`GET /orgs/{org}/hooks`: 404 without the scope `admin:org_hook`."""
    org = _organisation(call)
    own = [hook.describe(f"{call.state.site.api_url}/orgs/{org}") for hook in call.state.hooks if _is_of(hook, org)]
    return ApiResponse(call.page(own))


def list_organisation_deliveries(call: Call) -> Response:
    """`GET /orgs/{org}/hooks/{hook}/deliveries`, newest first."""
    return _deliveries_page(call, [_organisation_hook(call)])


def redeliver_organisation(call: Call) -> Response:
    """`POST /orgs/{org}/hooks/{hook}/deliveries/{delivery}/attempts`."""
    return _redelivered(call, [_organisation_hook(call)])


def get_app_hook_config(call: Call) -> Response:
    """`GET /app/hook/config`: where the App's webhook leads."""
    hooks = _app_hooks(call)
    if not hooks:
        raise Refusal(404, NOT_FOUND)
    return ApiResponse(hooks[0].describe("")["config"])


def list_app_deliveries(call: Call) -> Response:
    """`GET /app/hook/deliveries`, newest first."""
    return _deliveries_page(call, _app_hooks(call))


def redeliver_app(call: Call) -> Response:
    """`POST /app/hook/deliveries/{delivery}/attempts`."""
    return _redelivered(call, _app_hooks(call))


def get_app(call: Call) -> Response:
    """`GET /app`: the App that the JSON web token proves to be."""
    app = call.app()
    owner = payloads.user(call.state.site, app.owner)
    named = {"id": app.id, "client_id": app.client_id, "slug": app.slug, "name": app.slug, "owner": owner}
    return ApiResponse(named | {"permissions": dict(app.permissions), "events": ["push"]})


def get_installation(call: Call) -> Response:
    """`GET /repos/{owner}/{name}/installation`: 404 where the App is not installed."""
    app, it = call.app(), call.named()
    found = call.state.accounts.installation_on(app.id, it)
    if found is None:
        raise Refusal(404, NOT_FOUND)
    call.redirect_former(it)
    return ApiResponse(
        {
            "id": found.id,
            "app_id": app.id,
            "app_slug": app.slug,
            "account": payloads.user(call.state.site, found.account),
            "repository_selection": "all" if found.repository_ids is None else "selected",
            "access_tokens_url": f"{call.state.site.api_url}/app/installations/{found.id}/access_tokens",
            "permissions": dict(found.permissions),
            "target_type": "User",
            "suspended_at": None,
        }
    )


def create_access_token(call: Call) -> Response:
    """`POST /app/installations/{installation}/access_tokens`, narrowed to repositories and permissions if asked to."""
    app, accounts = call.app(), call.state.accounts
    installation = accounts.installations.get(int(call.path("installation")))
    if installation is None or installation.app_id != app.id:
        raise Refusal(404, NOT_FOUND)
    ids = _narrowed_repositories(call, installation)
    try:
        made = accounts.issue_installation(installation, call.state.now(), call.body.get("permissions"), ids)
    except NotGranted as error:
        raise Refusal(422, str(error)) from None
    selection = "all" if made.repository_ids is None else "selected"
    expires_at = payloads.timestamp(made.expires_at) if made.expires_at else None
    shown = {"token": made.token, "expires_at": expires_at, "permissions": dict(made.permissions)}
    return ApiResponse(shown | {"repository_selection": selection}, 201)


def nothing_here(_call: Call) -> Response:
    """Whatever this sandbox does not speak."""
    raise Refusal(404, NOT_FOUND)


_REPOSITORY_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "", get_repository),
    ("POST", "/statuses/{sha}", create_status),
    ("GET", "/commits/{ref:path}/statuses", list_statuses),
    ("GET", "/commits/{ref:path}/status", get_combined_status),
    ("GET", "/commits/{ref:path}", get_commit),
    ("GET", "/branches/{branch:path}", get_branch),
    ("GET", "/git/ref/{ref:path}", get_ref),
    ("GET", "/git/matching-refs/{ref:path}", list_matching_refs),
    ("GET", "/git/commits/{sha}", get_git_commit),
    ("GET", "/git/tags/{sha}", get_tag),
    ("GET", "/contents/{path:path}", get_contents),
    ("GET", "/compare/{basehead:path}", compare),
    ("GET", "/tarball/{ref:path}", get_tarball),
    ("GET", "/zipball/{ref:path}", get_zipball),
    ("GET", "/hooks", list_hooks),
    ("GET", "/hooks/{hook:int}/deliveries", list_hook_deliveries),
    ("POST", "/hooks/{hook:int}/deliveries/{delivery:int}/attempts", redeliver),
)


_ORGANISATION_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/hooks", list_organisation_hooks),
    ("GET", "/hooks/{hook:int}/deliveries", list_organisation_deliveries),
    ("POST", "/hooks/{hook:int}/deliveries/{delivery:int}/attempts", redeliver_organisation),
)


def _answering(state: State, endpoint: Endpoint, *, by_app: bool = False) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        call = Call(state, request)
        headers = {
            "X-GitHub-Request-Id": secrets.token_hex(12).upper(),
            "X-GitHub-Media-Type": "github.v3; format=json",
        }
        try:
            await _admit(call, headers, by_app=by_app)
            response = _unless_known(call, endpoint(call), headers)
        except Refusal as refusal:
            response = ApiResponse(refusal.body, refusal.status, refusal.headers)
        response.headers.update(headers)
        return response

    return answer


def _unless_known(call: Call, response: Response, headers: dict[str, str]) -> Response:
    """304 for what the caller has already; to somebody with a credential that costs nothing of the limit."""
    if call.request.method != "GET" or response.status_code != HTTPStatus.OK:
        return response
    etag = f'W/"{hashlib.sha256(response.body).hexdigest()}"'
    if call.request.headers.get("if-none-match") != etag:
        response.headers["ETag"] = etag
        return response
    if call.credential is not None:
        headers |= call.state.limits.give_back(call.caller)
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})


async def _admit(call: Call, headers: dict[str, str], *, by_app: bool) -> None:
    if not call.request.headers.get("user-agent"):
        raise Refusal(
            403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
        )
    token = _bearer(call.request)
    if token and not by_app:
        call.credential = call.state.accounts.credential(token, call.state.now())
        if call.credential is None:
            raise Refusal(401, "Bad credentials")
    if call.credential and call.credential.kind == "classic":
        headers["X-OAuth-Scopes"] = ", ".join(sorted(call.credential.scopes))
    headers |= call.state.limits.spend(call.caller, call.state.now())
    _refuse_hasty(call)
    call.body = await _json_object(call.request)


def _refuse_hasty(call: Call) -> None:
    limits = call.state.limits
    if limits.takes_secondary():
        wait = {} if limits.retry_after is None else {"retry-after": str(limits.retry_after)}
        raise Refusal(
            limits.secondary_status, "You have exceeded a secondary rate limit. Please wait before you try again.", wait
        )
    if limits.is_exceeded(call.caller):
        raise Refusal(403, f"API rate limit exceeded for {call.caller}.")


async def _json_object(request: Request) -> Json:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Body should be a JSON object")
    return body


def _bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() in ("bearer", "token") else None


def _invalid(state: State, message: str, field_name: str | None = None) -> Refusal:
    # github.com has come to send one text where it, and Enterprise Server, used to send a list of objects.
    sentence = f"{field_name} {message}" if field_name else message
    if state.errors_as_text:
        return Refusal(422, "Validation Failed", errors=f"Validation failed: {sentence[0].upper()}{sentence[1:]}")
    error = {"resource": "Status", "code": "custom", "message": sentence}
    return Refusal(422, "Validation Failed", errors=[error | ({"field": field_name} if field_name else {})])


def _check_status(call: Call, context: str) -> None:
    body = call.body
    for name in ("state", "description", "target_url", "context"):
        if not isinstance(body.get(name), str | None):
            raise Refusal(422, f"Invalid request.\n\nFor 'properties/{name}', {body[name]!r} is not a string.")
    if body.get("state") not in STATES:
        raise _invalid(call.state, "is not included in the list", "state")
    for name, text, longest in (
        ("description", body.get("description") or "", DESCRIPTION_LENGTH),
        ("context", context, CONTEXT_LENGTH),
    ):
        if len(text) > longest:
            raise _invalid(call.state, f"is too long (maximum is {longest} characters)", name)
    if urlsplit(body.get("target_url") or "https:").scheme not in ("http", "https"):
        raise _invalid(call.state, "must use http(s) scheme", "target_url")


def _shown_status(call: Call, it: Repository, one: Status) -> Json:
    creator = payloads.user(call.state.site, call.state.accounts.person(one.creator))
    return payloads.status(call.state.site, it, one, creator)


def _first_parents_entries(it: Repository, commit: Commit) -> Mapping[str, bytes]:
    return it.commits[commit.parents[0]].entries if commit.parents else {}


def _to_archive(call: Call, form: str) -> Response:
    it = call.repository("contents")
    path = f"/_codeload/{it.full_name}/{form}/{call.path('ref')}"
    location = call.state.site.url + quote(path)
    if it.private:
        token = secrets.token_urlsafe(24)
        call.state.archive_passes[path, token] = call.state.now() + PASS_LIFETIME
        location = f"{location}?token={token}"
    return RedirectResponse(location, 302)


def _repository_hook(call: Call, needed: str) -> Hook:
    it = call.repository("repository_hooks", needed)
    wanted = int(call.path("hook"))
    found = [hook for hook in call.state.hooks if hook.id == wanted and hook.repository_id == it.id]
    if not found:
        raise Refusal(404, NOT_FOUND)
    return found[0]


def _organisation(call: Call) -> str:
    credential = call.credential
    if credential is None or not credential.scopes & {"admin:org_hook"}:
        raise Refusal(404, NOT_FOUND)
    return call.path("org")


def _is_of(hook: Hook, org: str) -> bool:
    return hook.organization is not None and hook.organization.lower() == org.lower()


def _organisation_hook(call: Call) -> Hook:
    org, wanted = _organisation(call), int(call.path("hook"))
    found = [hook for hook in call.state.hooks if hook.id == wanted and _is_of(hook, org)]
    if not found:
        raise Refusal(404, NOT_FOUND)
    return found[0]


def _app_hooks(call: Call) -> list[Hook]:
    app = call.app()
    return [hook for hook in call.state.hooks if hook.app_id == app.id]


def _attempts(call: Call, hooks: list[Hook]) -> list[Attempt]:
    ids = {hook.id for hook in hooks}
    return [one for one in reversed(call.state.hookshot.log) if one.delivery.hook.id in ids]


def _deliveries_page(call: Call, hooks: list[Hook]) -> Response:
    size, cursor = min(call.number("per_page") or 30, 100), call.number("cursor")
    older = [one for one in _attempts(call, hooks) if not cursor or one.id <= cursor]
    headers = {}
    if len(older) > size:
        following = call.request.url.include_query_params(per_page=size, cursor=older[size].id)
        headers["Link"] = f'<{following}>; rel="next"'
    return ApiResponse([one.describe() for one in older[:size]], headers=headers)


def _redelivered(call: Call, hooks: list[Hook]) -> Response:
    wanted = int(call.path("delivery"))
    found = [one for one in _attempts(call, hooks) if one.id == wanted]
    if not found:
        raise Refusal(404, NOT_FOUND)
    again = BackgroundTask(call.state.hookshot.send, found[0].delivery, redelivery=True)
    return ApiResponse({}, HTTPStatus.ACCEPTED, background=again)


def _narrowed_repositories(call: Call, installation: Installation) -> frozenset[int] | None:
    names, ids = call.body.get("repositories"), call.body.get("repository_ids")
    if names is None and ids is None:
        return None
    covered = [one for one in call.state.repositories.values() if installation.covers(one)]
    wanted = [one.id for one in covered if one.name in (names or ()) or one.id in (ids or ())]
    if len(wanted) != len(set(names or ())) + len(set(ids or ())):
        raise Refusal(
            422, "There is at least one repository that does not exist or is not accessible to the parent installation."
        )
    return frozenset(wanted)
