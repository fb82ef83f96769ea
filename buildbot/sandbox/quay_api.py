"""Quay's build API: which operation a request is, who may do it, and what is answered, in Quay's order of checks.

`Api.answer` is a plain function of a `Call`: it does all of one request at once, so requests never interleave. What is
unusual here is recorded and not a mistake: a bad token reads 401 on GET but 403 "CSRF" on POST and DELETE; a missing
repository of one's own lists no builds; status and logs answer 400 for an unknown id where the build answers 404.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from buildbot.sandbox import quay_answers as answers
from buildbot.sandbox.quay_access import STATES, Access, Grant, Role
from buildbot.sandbox.quay_answers import CORS, Refusal
from buildbot.sandbox.quay_builder import Finding
from buildbot.sandbox.quay_builds import FINAL, Build, BuildRequest, Builds, Cancel
from buildbot.sandbox.quay_courses import SUCCESS, Course
from buildbot.sandbox.quay_faults import Fault, Switch
from buildbot.sandbox.quay_requests import archive_url_error, escape_tag, read_paths, schema_error

MAX_BODY_BYTES = 1024 * 1024
_COLLECTION_ALLOWS = "HEAD, POST, OPTIONS, GET"
_BUILD_ALLOWS = "DELETE, HEAD, OPTIONS, GET"
_READ_ALLOWS = "HEAD, OPTIONS, GET"
_UNAUTHORIZED = ("insufficient_scope", "Unauthorized")
_NOT_FOUND = ("not_found", "Not Found")
_BROWSER = re.compile(r"\b(chrome|firefox|safari|opera|edge?|msie)[/ ]", re.IGNORECASE)
_BUILD_PATH = re.compile(
    r"/api/v1/repository/(?P<repository>[^/]+(?:/[^/]+)+)/build"
    r"(?P<tail>/(?:(?P<build>[^/]+)(?P<part>/status|/logs)?)?)?"
)
_REPOSITORY_PATH = re.compile(r"/api/v1/repository/(?P<repository>[^/]+(?:/[^/]+)+)")
_ERROR_PATH = re.compile(r"/api/v1/error/(?P<kind>[^/]+)")
_LOG_ARCHIVE_PATH = re.compile(r"/logarchive/(?P<build>[^/]+)")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")
_PARTS = {None: "getRepoBuild", "/status": "getRepoBuildStatus", "/logs": "getRepoBuildLogs"}


@dataclass(slots=True)
class Features:
    """Settings of a Quay instance, with the defaults of the recorded one.

    `noop_canceller`: as with Quay's default `BUILD_MANAGER`, only a waiting build can be cancelled.
    """

    noop_canceller: bool = False
    reader_build_logs: bool = False
    anonymous_access: bool = True
    superusers_full_access: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read whole. `package`: what a builder found behind the `archive_url` that it names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    raw_query: str = ""
    faults: Mapping[Fault, Switch] = field(default_factory=dict)
    package: Finding | None = None

    def struck_by(self, faults: Mapping[Fault, Switch]) -> Call:
        """The same call, which feels these faults."""
        return replace(self, faults=faults)

    def error(self, kind_and_detail: tuple[str, str]) -> Refusal:
        """An ApiError with the address that this call came by."""
        return answers.api_error(self.base_url, *kind_and_detail)

    @property
    def operation(self) -> str:
        """The API's name of what is asked, or `other`."""
        found = _BUILD_PATH.fullmatch(self.path)
        if found is None or found["tail"] is None:
            return "other"
        if found["build"] is None:
            return {"POST": "requestRepoBuild", "GET": "getRepoBuilds", "HEAD": "getRepoBuilds"}.get(
                self.method, "other"
            )
        if self.method in ("GET", "HEAD"):
            return _PARTS[found["part"]]
        return "cancelRepoBuild" if self.method == "DELETE" and found["part"] is None else "other"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what he may do with the repository in question."""

    grant: Grant | None
    role: Role
    is_public: bool

    @property
    def may_read(self) -> bool:
        """By a right of his own or because the repository is public."""
        return self.role >= Role.READ or self.is_public


class Api:
    """The operations, on the state of one Quay."""

    def __init__(self, access: Access, builds: Builds, features: Features, url: Callable[[], str]) -> None:
        self.access = access
        self.builds = builds
        self.features = features
        self.queue_limits: dict[str, int] = {}
        self.choose: Callable[[Build], Course] = lambda _: SUCCESS
        self._url = url

    def answer(self, call: Call) -> Response:
        """Does what is asked and answers it, or refuses."""
        try:
            response = self._route(call)
        except Refusal as refusal:
            response = refusal.response
        if call.method == "HEAD":
            response.body = b""
        return response

    def _route(self, call: Call) -> Response:
        if len(call.body) > MAX_BODY_BYTES:
            raise answers.nginx_page(413, "Request Entity Too Large")
        if found := _BUILD_PATH.fullmatch(call.path):
            return self._build_route(call, found)
        if found := _ERROR_PATH.fullmatch(call.path):
            return _error_document(call, found["kind"])
        if found := _REPOSITORY_PATH.fullmatch(call.path):
            return self._get_repository(call, found["repository"])
        if found := _LOG_ARCHIVE_PATH.fullmatch(call.path):
            return self._get_archived_logs(call, found["build"])
        if re.fullmatch(r"/api/v1/[^/]+", call.path):
            raise answers.redirect(_with_slash(call))
        if call.path.startswith("/buildlogs/"):
            raise answers.forbidden_page()
        raise answers.not_found_page()

    def _build_route(self, call: Call, found: re.Match[str]) -> Response:
        repository, build_id, part = found["repository"], found["build"], found["part"]
        if found["tail"] is None:
            raise answers.redirect(_with_slash(call))
        if call.method == "OPTIONS":
            return Response("", headers={**CORS, "Allow": _allowed(build_id, part)}, media_type="text/html")
        match call.operation:
            case "getRepoBuilds":
                return self._list(call, repository)
            case "requestRepoBuild":
                return self._request(call, repository)
            case "getRepoBuild":
                return self._get(call, repository, build_id)
            case "getRepoBuildStatus":
                return self._get_status(call, repository, build_id)
            case "getRepoBuildLogs":
                return self._get_logs(call, repository, build_id)
            case "cancelRepoBuild":
                return self._cancel(call, repository, build_id)
            case _:
                text = "The method is not allowed for the requested URL."
                raise answers.message(405, text, {"Allow": _allowed(build_id, part)})

    # Reading

    def _list(self, call: Call, repository: str) -> Response:
        caller = self._reader(call, repository)
        limit = _whole_number(call, "limit", 5, "The maximum number of builds to return")
        since = _whole_number(call, "since", 0, "Returns all builds since the given unix timecode")
        if not 0 <= limit < 2**63 or not _is_a_time(since):
            raise answers.internal_server_error()
        found = [build for build in self.builds.of(repository) if build.requested_at >= since]
        return answers.as_json({"builds": [self._shown(call, caller, it) for it in found[: limit or None]]})

    def _get(self, call: Call, repository: str, build_id: str) -> Response:
        caller = self._reader(call, repository)
        return answers.as_json(self._shown(call, caller, self._build_of(call, repository, build_id)))

    def _get_status(self, call: Call, repository: str, build_id: str) -> Response:
        caller = self._reader(call, repository)
        self._locate(build_id)
        return answers.as_json(self._shown(call, caller, self._build_of(call, repository, build_id)))

    def _get_logs(self, call: Call, repository: str, build_id: str) -> Response:
        needed = Role.READ if self.features.reader_build_logs else Role.WRITE
        self._reader(call, repository, needed)
        self._locate(build_id)
        build = self._build_of(call, repository, build_id)
        if Fault.ARCHIVE_LOGS in call.faults and build.stored_phase in FINAL:
            build.archived = True
        if build.archived:
            return answers.as_json({"logs_url": f"{self._url()}/logarchive/{build.id}"})
        try:
            start = int(call.query.get("start", "0"))
        except ValueError:
            raise answers.internal_server_error() from None
        if Fault.REDIS_DOWN in call.faults:
            return answers.as_json({"start": 0, "total": 0, "logs": []})
        return answers.as_json({"start": start, "total": len(build.log), "logs": build.log[start:]})

    def _get_archived_logs(self, call: Call, build_id: str) -> Response:
        """Refuses Bearer: a session, or Basic with the right to write."""
        build, grant = self.builds.find(build_id), self._basic(call)
        if build is None or not build.archived or not build.log:
            raise answers.forbidden_page()
        if self._role(grant, build.repository) < Role.WRITE:
            raise answers.forbidden_page()
        body = {"start": 0, "total": len(build.log), "logs": build.log}
        return Response(
            json.dumps(body), headers={"Cache-Control": "no-cache, max-age=0"}, media_type="application/json"
        )

    def _get_repository(self, call: Call, repository: str) -> Response:
        """`getRepo`, not recorded: known from its documentation only, for clients that ask whether one exists."""
        caller = self._reader(call, repository)
        found = self.access.repositories.get(repository)
        if found is None:
            raise call.error(_NOT_FOUND)
        namespace, _, name = repository.partition("/")
        return answers.as_json(
            {
                "namespace": namespace,
                "name": name,
                "kind": "image",
                "description": None,
                "is_public": found.public,
                "state": found.state,
                "can_write": caller.role >= Role.WRITE,
                "can_admin": caller.role >= Role.ADMIN,
            }
        )

    # Writing

    def _request(self, call: Call, repository: str) -> Response:
        caller = self._writer(call, repository, Role.WRITE)
        body = _read_body(call)
        archive_url = _read_archive_url(call, body)
        self._check_pull_robot(call, caller, body.get("pull_robot"))
        if repository not in self.access.repositories:
            raise call.error(_NOT_FOUND)
        if not archive_url.isascii():
            raise answers.internal_server_error()
        self._check_queue(call, repository)
        build = self.builds.add(_build_request(call, repository, body, caller.grant), self.choose)
        location = f"/api/v1/repository/{repository}/build/{build.id}/status"
        return answers.as_json(self._shown(call, caller, build), 201, {"Location": location})

    def _cancel(self, call: Call, repository: str, build_id: str) -> Response:
        self._writer(call, repository, Role.ADMIN)
        build = self._build_of(call, repository, build_id)
        can_reach = not self.features.noop_canceller and Fault.REDIS_DOWN not in call.faults
        match self.builds.cancel(build, can_reach_builder=can_reach):
            case Cancel.CANCELLED:
                return answers.as_json("Okay", 201)
            case Cancel.REFUSED:
                raise call.error(("invalid_request", "Build is currently running or has finished"))
            case Cancel.CRASHED:
                raise answers.internal_server_error()

    def _check_pull_robot(self, call: Call, caller: Caller, name: str | None) -> None:
        if not name:
            return
        if "+" in name and not self.access.is_robot(name):
            raise call.error(_NOT_FOUND)
        if "+" not in name or caller.grant is None or not self.access.administers(caller.grant, name.partition("+")[0]):
            raise call.error(_UNAUTHORIZED)

    def _check_queue(self, call: Call, repository: str) -> None:
        namespace = repository.partition("/")[0]
        limit = self.queue_limits.get(namespace)
        is_full = limit is not None and self.builds.alive_in(namespace) >= limit
        if is_full or Fault.QUEUE_FULL in call.faults:
            raise answers.message(429, "Maximum queued build rate exceeded.")

    # Who calls

    def _reader(self, call: Call, repository: str, needed: Role = Role.READ) -> Caller:
        caller = self._caller(call, repository)
        is_browser = _BROWSER.search(call.headers.get("user-agent", ""))
        if is_browser and "x-requested-with" not in call.headers:
            text = "API calls must be invoked with an X-Requested-With header if called from a browser"
            raise answers.abort(400, text)
        if caller.grant is None and not self.features.anonymous_access:
            raise answers.abort(401, "Anonymous access is not allowed")
        if caller.role >= needed or (needed == Role.READ and caller.may_read):
            return caller
        raise call.error(("invalid_token", "Requires authentication") if caller.grant is None else _UNAUTHORIZED)

    def _writer(self, call: Call, repository: str, needed: Role) -> Caller:
        caller = self._caller(call, repository)
        if caller.grant is None:
            raise answers.abort(403, "CSRF token was invalid or missing.")
        if self.features.read_only or Fault.READ_ONLY in call.faults:
            text = "System is currently read-only. Pulls will succeed but all write operations are currently suspended."
            raise answers.plain(503, {"is_readonly": True, "message": text})
        if caller.role < needed:
            raise call.error(_UNAUTHORIZED)
        found = self.access.repositories.get(repository)
        if found is not None and found.state != "NORMAL":
            raise answers.message(503, f"Repository is in read only or mirror mode: {STATES[found.state]}")
        return caller

    def _caller(self, call: Call, repository: str) -> Caller:
        grant = self._bearer(call)
        if grant is not None and grant.is_broken:
            raise answers.internal_server_error()
        found = self.access.repositories.get(repository)
        return Caller(grant, self._role(grant, repository), found is not None and found.public)

    def _role(self, grant: Grant | None, repository: str) -> Role:
        return self.access.role(grant, repository, superusers_may_all=self.features.superusers_full_access)

    def _bearer(self, call: Call) -> Grant | None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer":
            return None
        if _JWT.fullmatch(token) and (issuer := _issuer(token)):
            raise answers.abort(401, f"Issuer {issuer} not configured")
        return self.access.grant_of(token)

    def _basic(self, call: Call) -> Grant | None:
        scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return None
        return self.access.log_in(name, password) if scheme.lower() == "basic" else None

    # Builds

    def _build_of(self, call: Call, repository: str, build_id: str) -> Build:
        build = self.builds.find(build_id)
        if build is None or build.repository != repository:
            raise call.error(_NOT_FOUND)
        return build

    def _locate(self, build_id: str) -> None:
        if self.builds.find(build_id) is None:
            raise answers.plain(400, {"message": f"Unable to locate a build by id: {build_id}"})

    def _shown(self, call: Call, caller: Caller, build: Build) -> dict[str, Any]:
        is_writer, is_reader = caller.role >= Role.WRITE, caller.role >= Role.READ
        shown = answers.build_object(
            build,
            phase=build.phase,
            is_writer=is_writer,
            is_reader=is_reader,
            shows_archive=is_writer or (self.features.reader_build_logs and caller.may_read),
        )
        if build.request.trigger is not None:
            shown["trigger"] = _shown_trigger(build.request.trigger, caller.role)
        if Fault.REDIS_DOWN in call.faults and build.stored_phase not in FINAL:
            shown |= {"phase": "cannot_load", "error": self._redis_error(caller)}
        return shown

    def _redis_error(self, caller: Caller) -> str:
        if caller.grant is not None and caller.grant.user in self.access.superusers:
            return "Cannot retrieve build status: Error 111 connecting to 127.0.0.1:6379. Connection refused."
        return "Redis may be down. Please contact support."


def _allowed(build_id: str | None, part: str | None) -> str:
    if build_id is None:
        return _COLLECTION_ALLOWS
    return _BUILD_ALLOWS if part is None else _READ_ALLOWS


def _with_slash(call: Call) -> str:
    return f"{call.base_url}{call.path}/" + (f"?{call.raw_query}" if call.raw_query else "")


def _error_document(call: Call, kind: str) -> Response:
    if kind not in answers.ERROR_DESCRIPTIONS:
        raise call.error(_NOT_FOUND)
    address = f"{call.base_url}/api/v1/error/{kind}"
    return answers.as_json({"type": address, "title": kind, "description": answers.ERROR_DESCRIPTIONS[kind]})


def _whole_number(call: Call, name: str, default: int, meaning: str) -> int:
    try:
        return int(call.query.get(name, default))
    except ValueError:
        raise answers.message(400, {name: meaning}) from None


def _is_a_time(seconds: int) -> bool:
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _read_body(call: Call) -> dict[str, Any]:
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        text = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
        raise answers.message(415, text)
    try:
        body = json.loads(call.body)
    except ValueError:
        text = "The browser (or proxy) sent a request that this server could not understand."
        raise answers.message(400, text) from None
    if body is None:
        raise call.error(("invalid_request", "Missing JSON body"))
    if mistake := schema_error(body):
        raise call.error(("invalid_request", mistake))
    return dict(body)


def _read_archive_url(call: Call, body: Mapping[str, Any]) -> str:
    archive_url, file_id = str(body.get("archive_url", "")), body.get("file_id")
    if not archive_url and not file_id:
        raise call.error(("invalid_request", "file_id or archive_url required"))
    if archive_url and (mistake := archive_url_error(archive_url)):
        raise call.error(("invalid_request", mistake))
    if file_id:
        raise call.error(("invalid_request", f"File {file_id} could not be found or is invalid"))
    return archive_url


def _build_request(call: Call, repository: str, body: Mapping[str, Any], grant: Grant | None) -> BuildRequest:
    context, dockerfile_path = read_paths(body)
    archive_url = str(body["archive_url"])
    rewritten = call.faults.get(Fault.REWRITE_TAGS)
    tags = rewritten.tags if rewritten else tuple(map(escape_tag, body.get("docker_tags", ["latest"])))
    return BuildRequest(
        repository=repository,
        archive_url=archive_url,
        tags=tags,
        context=context,
        dockerfile_path=dockerfile_path,
        display_name=hashlib.sha224(archive_url.encode()).hexdigest()[:7],
        user=grant.user if grant else None,
        pull_robot=body.get("pull_robot") or None,
        package=call.package,
    )


def _shown_trigger(trigger: Mapping[str, Any], role: Role) -> dict[str, Any]:
    shown = dict(trigger) | {"can_invoke": role >= Role.ADMIN}
    if role < Role.ADMIN:
        shown["config"] = {}
    if role < Role.READ:
        shown |= {"build_source": None, "repository_url": None}
    return shown


def _issuer(token: str) -> str | None:
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return None
    return str(claims["iss"]) if isinstance(claims, dict) and "iss" in claims else None
