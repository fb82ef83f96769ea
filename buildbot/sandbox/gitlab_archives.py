"""Source archives as GitLab serves them to anybody with a URL, which is how Quay's builder fetches the source.

`/{path}/-/archive/{ref}/{name}-{ref}.zip` of a public project is a zip with the right content type; its tar.gz is sent
as `application/octet-stream`, which the builder takes for a Dockerfile. A project that not everybody may see redirects
to the page to sign in, 200 and HTML, whether it exists or not; tokens in headers do not open this route.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from buildbot.sandbox.git_repository import NoSuchRef
from buildbot.sandbox.gitlab_api import packed
from buildbot.sandbox.gitlab_state import State
from buildbot.sandbox.packing import PACKERS

_SIGN_IN = (
    "<!DOCTYPE html><html><head><title>Sign in · GitLab</title></head><body>Username or primary email</body></html>"
)
_NOT_FOUND = "<!DOCTYPE html><html><head><title>Not Found</title></head><body>404: Page not found</body></html>"


def archive_routes(state: State) -> list[Route]:
    """The site's archive URLs and its page to sign in."""

    def archive(request: Request) -> Response:
        return _archive(state, request)

    def sign_in(_request: Request) -> Response:
        return HTMLResponse(_SIGN_IN)

    return [
        Route("/users/sign_in", sign_in),
        Route("/{project:path}/-/archive/{ref}/{file}", archive),
    ]


def _archive(state: State, request: Request) -> Response:
    it, ref, file = (
        state.find(request.path_params["project"]),
        request.path_params["ref"],
        request.path_params["file"],
    )
    if it is None or not state.may_see(None, it):
        return RedirectResponse(f"{state.url}/users/sign_in", 302)
    form = next((one for one in PACKERS if file.endswith(f".{one}")), None)
    try:
        commit = it.resolve(ref)
    except NoSuchRef:
        commit = None
    if commit is None or form is None:
        return HTMLResponse(_NOT_FOUND, 404)
    return packed(commit, f"{it.name}-{ref}".replace("/", "-"), form)
