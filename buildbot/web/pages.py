"""`GET /builds/{id}`: the page behind a commit status, and the same facts as JSON for programs.

The id cannot be guessed and is the only key, so a wrong one learns nothing, and the page sends no one its address: no
referrer, nothing cached, nothing indexed, no script, nothing loaded from anywhere. All that it shows is escaped by the
templates, and `finalize` keeps characters out that a page cannot hold, so no place in a template can forget to.

The templates and what renders them are read with the first page: many a bot is never asked for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from buildbot.domain.build import BuildId
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current
from buildbot.ports import BuildStory, NoSuchBuild, Store, StoreUnavailable
from buildbot.web.build_json import build_as_json
from buildbot.web.build_view import build_view
from buildbot.web.hostile_text import shown

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept",
}
RETRY_AFTER_SECONDS = 10
NOT_FOUND = "There is no build here. It may have been so long ago that it was forgotten, or the address is not whole."
NOT_NOW = "The build cannot be looked up just now. It goes on all the same; please try again in a moment."

_BUILD_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


def build_routes(store: Store, current: Current, tails: LogTails, clock: Clock | None = None) -> list[Route]:
    """The routes of build pages."""
    pages = _BuildPages(store, current, tails, clock or Clock())
    return [Route("/builds/{id}", pages.show, name="build")]


class _BuildPages:
    def __init__(self, store: Store, current: Current, tails: LogTails, clock: Clock) -> None:
        self._store = store
        self._current = current
        self._tails = tails
        self._clock = clock

    async def show(self, request: Request) -> Response:
        is_json = wants_json(request.headers.get("accept", ""))
        build_id = request.path_params["id"]
        if not _BUILD_ID.fullmatch(build_id):
            return _excuse(HTTPStatus.NOT_FOUND, NOT_FOUND, is_json=is_json)
        try:
            story = await self._store.story(BuildId(build_id))
        except NoSuchBuild:
            return _excuse(HTTPStatus.NOT_FOUND, NOT_FOUND, is_json=is_json)
        except StoreUnavailable:
            return _excuse(HTTPStatus.SERVICE_UNAVAILABLE, NOT_NOW, is_json=is_json)
        tail = await self._tails.tail(story.build)
        return self._as_json(story, tail) if is_json else self._as_page(story, tail)

    def _as_json(self, story: BuildStory, tail: Sequence[str] | None) -> Response:
        setup = self._current.setup
        page_url = f"{setup.public_url}/builds/{story.build.id}" if setup.public_url else None
        registry_url = setup.wording.registry_page(story.build)
        return _json(build_as_json(story, page_url=page_url, registry_url=registry_url, log_tail=tail))

    def _as_page(self, story: BuildStory, tail: Sequence[str] | None) -> Response:
        registry_url = self._current.setup.wording.registry_page(story.build)
        view = build_view(story, tail, registry_url, self._clock.now())
        return _page("build.html", {"build": view})


def wants_json(accept: str) -> bool:
    """Whether an `Accept` header prefers JSON to HTML; `*/*` and no header at all are for people."""
    qualities = dict(_preference(one) for one in accept.split(","))
    return qualities.get("application/json", 0.0) > qualities.get("text/html", 0.0)


def _preference(media_range: str) -> tuple[str, float]:
    media_type, *parameters = media_range.split(";")
    found = (match[1] for one in parameters if (match := _QUALITY.fullmatch(one)))
    return media_type.strip().lower(), float(next(found, "1"))


def _excuse(status: HTTPStatus, sentence: str, *, is_json: bool) -> Response:
    if is_json:
        response = _json({"error": sentence}, status)
    else:
        response = _page("excuse.html", {"title": status.phrase, "sentence": sentence}, status)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _json(document: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Response:
    # as ASCII: a commit message may hold lone surrogates, which UTF-8 does not take
    return Response(json.dumps(document, indent=2) + "\n", status, HEADERS, "application/json")


def _page(template: str, values: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(_templates().get_template(template).render(values), status, HEADERS, "text/html")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("buildbot.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _finalize(value: object) -> object:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
