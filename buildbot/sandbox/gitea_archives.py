"""Source archives as Gitea and Forgejo serve them, and the content types that decide whether Quay's builder takes them.

Only the API of Forgejo names the right type. Its site, and all of Gitea, send `application/octet-stream`, which the
builder takes for a Dockerfile. The site's page for a repository that a stranger may not see is the one to sign in: 200
and HTML. The store to which archives may be redirected refuses whoever shows another credential beside its signature.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository
from buildbot.sandbox.gitea_state import State
from buildbot.sandbox.packing import PACKERS, in_chunks

OCTETS = "application/octet-stream"
FORGEJO_API_TYPES = {"tar.gz": "application/gzip", "zip": "application/zip"}
_SIGN_IN = "<!DOCTYPE html><html><head><title>Sign In</title></head><body>Username or Email Address</body></html>"
_NOT_FOUND = "<!DOCTYPE html><html><head><title>Page Not Found</title></head><body>404</body></html>"
_DENIED = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidArgument</Code></Error>'


def archive_routes(state: State) -> list[Route]:
    """The site's archive URLs, its page to sign in, and the store."""

    def archive(request: Request) -> Response:
        return _archive(state, request)

    def stored(request: Request) -> Response:
        return _stored(state, request)

    def sign_in(_request: Request) -> Response:
        return HTMLResponse(_SIGN_IN)

    return [
        Route("/user/login", sign_in),
        Route("/_storage/{id:int}/{file}", stored),
        Route("/{owner}/{name}/archive/{archive:path}", archive),
    ]


def packed(state: State, it: Repository, commit: Commit, form: str, *, is_api: bool) -> Response:
    """The archive; its top directory is the repository's name in lower case, or it has none."""
    top = it.name.lower() if state.prefixes_archives else ""
    media_type = FORGEJO_API_TYPES[form] if state.is_forgejo and is_api else OCTETS
    disposition = {"Content-Disposition": f"attachment; filename={it.name}-{commit.sha}.{form}"}
    return StreamingResponse(in_chunks(PACKERS[form](commit, top)), media_type=media_type, headers=disposition)


def _archive(state: State, request: Request) -> Response:
    it = state.find(f"{request.path_params['owner']}/{request.path_params['name']}")
    if it is None or it.private:
        return RedirectResponse(f"{state.url}/user/login", 302)
    return _sent(state, it, request.path_params["archive"], is_api=False)


def _stored(state: State, request: Request) -> Response:
    it = state.repositories.get(request.path_params["id"])
    is_signed = request.query_params.get("X-Amz-Signature") in state.passes
    if it is None or not is_signed or "authorization" in request.headers:
        return Response(_DENIED, 400, media_type="application/xml")
    return _sent(state, it, request.path_params["file"], is_api=True)


def _sent(state: State, it: Repository, named: str, *, is_api: bool) -> Response:
    form = next((one for one in PACKERS if named.endswith(f".{one}")), None)
    if form is None:
        return HTMLResponse(_NOT_FOUND, 404)
    try:
        commit = it.resolve(named.removesuffix(f".{form}"))
    except NoSuchRef:
        return HTMLResponse(_NOT_FOUND, 404)
    return packed(state, it, commit, form, is_api=is_api)
