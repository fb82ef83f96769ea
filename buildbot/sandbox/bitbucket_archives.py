"""Source archives as Bitbucket Cloud's site serves them: `/{workspace}/{name}/get/{ref}.zip`, or `.tar.gz`.

A tar.gz is sent as `application/x-tar-gz`, which Quay's builder refuses; a zip has the right type. What a stranger may
not see leads to the page to log in, 200 and HTML. An access token opens it as `Bearer`; nothing else does.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from buildbot.sandbox.bitbucket_state import State
from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository
from buildbot.sandbox.packing import PACKERS, in_chunks

SHA_DIGITS = 12
_MEDIA_TYPES = {"tar.gz": "application/x-tar-gz", "zip": "application/zip"}
_LOG_IN = "<!DOCTYPE html><html><head><title>Log in to continue</title></head><body>Atlassian account</body></html>"
_NOT_FOUND = "<!DOCTYPE html><html><head><title>404</title></head><body>Resource not found</body></html>"


def archive_routes(state: State) -> list[Route]:
    """The site's archive URLs and its page to log in."""

    def archive(request: Request) -> Response:
        return _archive(state, request)

    def log_in(_request: Request) -> Response:
        return HTMLResponse(_LOG_IN)

    return [Route("/account/signin/", log_in), Route("/{owner}/{name}/get/{archive:path}", archive)]


def _archive(state: State, request: Request) -> Response:
    named, wanted = f"{request.path_params['owner']}/{request.path_params['name']}", request.path_params["archive"]
    it = state.find(named)
    form = next((one for one in PACKERS if wanted.endswith(f".{one}")), None)
    if it is None or form is None:
        return HTMLResponse(_NOT_FOUND, 404)
    if not _is_open(state, request, it):
        return RedirectResponse(f"{state.url}/account/signin/?next={quote(request.url.path)}", 302)
    if named.lower() != it.full_name.lower():
        return RedirectResponse(state.url + quote(f"/{it.full_name}/get/{wanted}"), 301)
    try:
        return _packed(it, it.resolve(wanted.removesuffix(f".{form}")), form)
    except NoSuchRef:
        return HTMLResponse(_NOT_FOUND, 404)


def _is_open(state: State, request: Request, it: Repository) -> bool:
    token = state.token_in(request.headers.get("authorization", ""))
    return state.may_read(token if token and token.is_access_token else None, it)


def _packed(it: Repository, commit: Commit, form: str) -> Response:
    top = f"{it.full_name.replace('/', '-')}-{commit.sha[:SHA_DIGITS]}"
    disposition = {"Content-Disposition": f'attachment; filename="{top}.{form}"'}
    return StreamingResponse(in_chunks(PACKERS[form](commit, top)), media_type=_MEDIA_TYPES[form], headers=disposition)
