"""Source archives as GitHub serves them to anybody with a URL, which is how Quay's builder fetches the source.

The site's own URL (`/{owner}/{name}/archive/{ref}.tar.gz`) redirects to the host that packs, here `/_codeload` as on
Enterprise Server; the API's tarball redirects there too, with a pass that expires if the repository is private.
Nothing here looks at `Authorization`: the web archive of a private repository is 404 for everybody. A 404 is
`text/plain`, which the builder takes for a Dockerfile; that trap is the reason to be exact. Answers are chunked,
without a Content-Length.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from buildbot.sandbox.git_repository import Commit, NoSuchRef, Repository
from buildbot.sandbox.github_state import State
from buildbot.sandbox.packing import PACKERS, in_chunks

_SUFFIXES = {".tar.gz": "tar.gz", ".zip": "zip"}
_MEDIA_TYPES = {"tar.gz": "application/x-gzip", "zip": "application/zip"}


def archive_routes(state: State) -> list[Route]:
    """The site's archive URLs and the host that packs."""

    def redirect(request: Request) -> Response:
        return _redirect(state, request)

    def codeload(request: Request) -> Response:
        return _codeload(state, request)

    return [
        Route("/_codeload/{owner}/{name}/{form}/{ref:path}", codeload),
        Route("/{owner}/{name}/archive/{archive:path}", redirect),
    ]


def _redirect(state: State, request: Request) -> Response:
    named, archive = _full_name(request), request.path_params["archive"]
    it = state.find(named)
    suffix = next((one for one in _SUFFIXES if archive.endswith(one)), None)
    if it is None or it.private or suffix is None:
        return PlainTextResponse("Not Found", 404)
    if named.lower() != it.full_name.lower():
        return RedirectResponse(state.site.url + quote(f"/{it.full_name}/archive/{archive}"), 301)
    path = f"/_codeload/{it.full_name}/{_SUFFIXES[suffix]}/{archive.removesuffix(suffix)}"
    return RedirectResponse(state.site.url + quote(path), 302)


def _codeload(state: State, request: Request) -> Response:
    it, form, ref = state.find(_full_name(request)), request.path_params["form"], request.path_params["ref"]
    packing = form.removeprefix("legacy.")
    if it is None or packing not in _MEDIA_TYPES or (it.private and not _has_pass(state, request)):
        return PlainTextResponse("404: Not Found", 404)
    try:
        commit = it.resolve(ref)
    except NoSuchRef:
        return PlainTextResponse("404: Not Found", 404)
    top = _legacy_top(it, ref, commit) if form.startswith("legacy.") else f"{it.name}-{_ref_in_name(it, ref)}"
    packed = PACKERS[packing](commit, top)
    disposition = {"Content-Disposition": f'attachment; filename="{top}.{packing}"'}
    return StreamingResponse(in_chunks(packed), media_type=_MEDIA_TYPES[packing], headers=disposition)


def _full_name(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _has_pass(state: State, request: Request) -> bool:
    expires_at = state.archive_passes.get((request.scope["path"], request.query_params.get("token", "")))
    return expires_at is not None and state.now() < expires_at


def _ref_in_name(it: Repository, ref: str) -> str:
    short = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    is_version = f"refs/tags/{short}" in it.refs and short[:1] == "v" and short[1:2].isdigit()
    return (short[1:] if is_version else short).replace("/", "-")


def _legacy_top(it: Repository, ref: str, commit: Commit) -> str:
    stem, short_sha = f"{it.owner.login}-{it.name}", commit.sha[:7]
    tag = ref.removeprefix("refs/tags/")
    return f"{stem}-{tag}-0-g{short_sha}" if f"refs/tags/{tag}" in it.refs else f"{stem}-{short_sha}"
