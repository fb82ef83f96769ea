"""Quay's answers, in the shapes that were recorded: five of errors, one of builds.

JSON is ASCII and ends in a newline, except where Quay's `util.http.abort` sends it as text/html. The addresses in
errors are built from the address that was asked, as Quay does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.responses import Response

from buildbot.sandbox.quay_builds import Build

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, POST, PUT",
    "Access-Control-Max-Age": "21600",
    "Access-Control-Allow-Headers": "AUTHORIZATION, CONTENT-TYPE, X-REQUESTED-WITH",
}
ERROR_DESCRIPTIONS = {
    "invalid_request": "The request was invalid. It may have contained invalid values or was improperly formatted.",
    "invalid_token": "The access token provided was invalid.",
    "insufficient_scope": "The access token did not have sufficient scope to access the requested resource.",
    "not_found": "The resource was not found.",
}
_STATUS = {"invalid_request": 400, "invalid_token": 401, "insufficient_scope": 403, "not_found": 404}


class Refusal(Exception):
    """Any answer that ends a call early."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def as_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of the API: JSON in ASCII with its newline."""
    return Response(json.dumps(body) + "\n", status, {**CORS, **(headers or {})}, "application/json")


def api_error(base_url: str, kind: str, detail: str) -> Refusal:
    """Shape 1, ApiError."""
    texts = {"detail": detail, "error_message": detail, "error_type": kind, "title": kind}
    return Refusal(
        as_json({**texts, "type": f"{base_url}/api/v1/error/{kind}", "status": _STATUS[kind]}, _STATUS[kind])
    )


def message(
    status: int, text: str | dict[str, str], headers: Mapping[str, str] | None = None, field: str = "message"
) -> Refusal:
    """Shape 2, flask-restful."""
    return Refusal(as_json({field: text}, status, headers))


def abort(status: int, text: str) -> Refusal:
    """Shape 3: JSON that is sent as text/html."""
    return Refusal(Response(json.dumps({"error": text}), status, CORS, "text/html"))


def plain(status: int, body: Mapping[str, Any]) -> Refusal:
    """Shape 4, from Flask itself: compact JSON without CORS headers."""
    return Refusal(Response(json.dumps(body, separators=(",", ":")) + "\n", status, media_type="application/json"))


def internal_server_error() -> Refusal:
    """Shape 5, gunicorn's page of 141 bytes."""
    html = (
        "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n"
        "    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n"
    )
    return Refusal(_page(html, 500))


def nginx_page(status: int, reason: str) -> Refusal:
    """Shape 5, nginx's own pages: 413, 429, 502."""
    title = f"{status} {reason}"
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Refusal(_page(html, status))


def forbidden_page() -> Refusal:
    """Shape 5, the log archive's 403."""
    html = (
        "<!doctype html>\n<html lang=en>\n<title>403 Forbidden</title>\n<h1>Forbidden</h1>\n<p>You don&#39;t have the "
        "permission to access the requested resource. It is either read-protected or not readable by the server.</p>\n"
    )
    return Refusal(Response(html, 403, media_type="text/html"))


def not_found_page() -> Refusal:
    """Shape 5: the shell of Quay's web interface, with a session cookie, where no route fits (70 kB in reality)."""
    html = "<!DOCTYPE html>\n<html><head><title>Quay</title></head><body>404</body></html>\n"
    return Refusal(Response(html, 404, {"Set-Cookie": "session=sandbox; HttpOnly; Path=/; SameSite=Lax"}, "text/html"))


def redirect(location: str) -> Refusal:
    """Shape 5: 308 to the same address with its slash."""
    html = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n<p>You should be "
        f'redirected automatically to the target URL: <a href="{location}">{location}</a>. If not, click the link.\n'
    )
    return Refusal(Response(html, 308, {"Location": location}, "text/html"))


def _page(html: str, status: int) -> Response:
    return Response(html, status, {"Content-Type": "text/html"})


def build_object(build: Build, *, phase: str, is_writer: bool, shows_archive: bool, is_reader: bool) -> dict[str, Any]:
    """The one shape of a build, in Quay's order of fields.

    `is_reader`: whether the caller may read the repository by a right of his own, and not because it is public.
    """
    request = build.request
    namespace, _, name = request.repository.partition("/")
    shown = {
        "id": build.id,
        "phase": phase,
        "started": format_datetime(datetime.fromtimestamp(build.requested_at, UTC).replace(tzinfo=None)),
        "display_name": request.display_name,
        "status": {},
        "subdirectory": request.dockerfile_path,
        "dockerfile_path": request.dockerfile_path,
        "context": request.context,
        "tags": list(request.tags),
        "manual_user": request.user,
        "is_writer": is_writer,
        "trigger": request.trigger,
        "trigger_metadata": request.trigger_metadata if is_reader else None,
        "resource_key": request.resource_key,
        "pull_robot": request.pull_robot and {"name": request.pull_robot, "kind": "user", "is_robot": True},
        "repository": {"namespace": namespace, "name": name},
        "error": None,
    }
    return shown | ({"archive_url": request.archive_url} if shows_archive and request.archive_url else {})
