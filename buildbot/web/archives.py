"""`GET /archives/{token}.tar.gz`: the source of one build, for Quay's builder and nobody else.

The builder decides by the content type alone and would take `text/plain` for a Dockerfile. So whatever is not an
archive is `application/json`, which it refuses. Once the first byte is out, trouble can only be told by breaking off:
a cut gzip stream is refused by the builder too, and the build's page says why.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from buildbot.engine.archive_relay import ArchiveRelay, ArchiveTrouble, NoSuchArchive
from buildbot.ports import StoreUnavailable

SUFFIX = ".tar.gz"


def archive_routes(relay: ArchiveRelay) -> list[Route]:
    """The route."""

    async def archive(request: Request) -> Response:
        name = str(request.path_params["name"])
        if not name.endswith(SUFFIX):
            return JSONResponse({"error": "not found"}, 404)
        try:
            pieces = await relay.open(name.removesuffix(SUFFIX))
        except NoSuchArchive:
            return JSONResponse({"error": "not found"}, 404)
        except ArchiveTrouble as trouble:
            return JSONResponse({"error": str(trouble)}, 502)
        except StoreUnavailable as away:
            return JSONResponse({"error": str(away)}, 503)
        return StreamingResponse(pieces, media_type="application/gzip", headers={"Cache-Control": "no-store"})

    return [Route("/archives/{name}", archive, methods=["GET"], name="archive")]
