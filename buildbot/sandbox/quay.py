"""A Quay for demos, stories and trying configurations: its build API as a stateful application.

It answers as the real Quay was recorded to (the tests replay the recording), runs builds through recorded courses,
fails as the real one does and on demand, and computes everything from the clock it is given when it is asked: no
background task, no thread. It builds nothing, and fetches archives only where it is given a `Builder`.

In process: `httpx.ASGITransport(app=quay.app)`; over a socket: `uvicorn.run(quay.app)`. From another process it is
steered over HTTP; these requests need no token, are not counted in `calls`, and feel no faults:

    GET    /_sandbox/state                  builds, pushed tags, calls, faults and settings
    POST   /_sandbox/faults                 {"kind": "lose-answer", "operation": "requestRepoBuild", "times": 1}; also
                                            "seconds" for `slow`, `late`, "tags" for `rewrite-tags` (quay_faults.Fault)
    DELETE /_sandbox/faults?kind=…          turns one kind off, or all
    POST   /_sandbox/course                 {"course": "fail-build"}: what new builds take from now on (quay_courses)
    POST   /_sandbox/builds/{id}/cancel     a human cancels in Quay's own page
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from buildbot.sandbox import quay_answers as answers
from buildbot.sandbox.quay_access import STATES, Access, Repository, Role
from buildbot.sandbox.quay_api import Api, Call, Features
from buildbot.sandbox.quay_builder import Builder, Finding
from buildbot.sandbox.quay_builds import Build, BuildRequest, Builds, Cancel, Pushed
from buildbot.sandbox.quay_courses import COURSES, Course
from buildbot.sandbox.quay_faults import Fault, Faults, Switch
from buildbot.sandbox.quay_requests import archive_url_error, escape_tag, read_paths, schema_error
from buildbot.sandbox.quay_timeline import Timeline
from buildbot.sandbox.quay_wire import SCOPE_KEY, Wire

NEVER_ANSWERED = 0  # in `calls`, of a request that was lost before anything was done
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Quay:
    """One Quay: its state, its switches, and `app`, which serves it.

    `url` is where browsers and logs say it is and may be set later; `clock` gives seconds since the epoch; recorded
    courses run `speed` times faster than recorded. `choose` says which course a new build takes: a name of `COURSES`
    or a `Course`.

    With a `builder` the archive is looked at once, while the request for the build is being answered, and all attempts
    find the same: what ends the real builder makes the build take the course `no-archive`, whatever `choose` says.
    """

    def __init__(
        self,
        url: str = "http://quay.test",
        clock: Callable[[], float] = time.time,
        speed: float = 1.0,
        builder: Builder | None = None,
    ) -> None:
        self.url = url
        self.builder = builder
        self.choose: Callable[[Build], str | Course] = lambda _: "success"
        self.calls: list[tuple[str, int]] = []  # operation and status, also of answers that were lost
        self.faults = Faults(clock)
        self.features = Features()
        self._timeline = Timeline(clock, speed)
        self._access = Access()
        self._builds = Builds(self._timeline, lambda: urlsplit(self.url).netloc)
        self._api = Api(self._access, self._builds, self.features, lambda: self.url.rstrip("/"))
        self._api.choose = self._course_of
        self.app: ASGIApp = Wire(self._application())

    # What there is

    def add_repository(self, name: str, public: bool = False, state: str = "NORMAL") -> None:
        """A repository (`namespace/name`), or its new settings; `state` is NORMAL, READ_ONLY, MIRROR or ORG_MIRROR."""
        if "/" not in name or state not in STATES:
            raise ValueError(
                f"repository {name!r}, state {state!r}: needs namespace/name and one of {', '.join(STATES)}"
            )
        self._access.repositories[name] = Repository(name, public, state)

    def issue_token(self, user: str, scopes: Iterable[str] = ("repo:admin",)) -> str:
        """A new OAuth access token; what it may do is the lesser of its scopes and the user's roles."""
        return self._access.issue(user, frozenset(scopes))

    def revoke_token(self, token: str) -> None:
        """From now on the token is as good as none, which is also how an expired one behaves."""
        self._access.revoke(token)

    def grant(self, where: str, user: str, role: str) -> None:
        """Makes a user `admin`, `write` or `read` in a namespace (`acme`) or on one repository (`acme/api`)."""
        if role not in ("admin", "write", "read"):
            raise ValueError(f"role {role!r} of {user} in {where}: must be admin, write or read")
        self._access.set_role(where, user, Role[role.upper()])

    def add_account(self, name: str, password: str) -> None:
        """Somebody who can log in with Basic, which only the log archive takes: a user, or a robot (`acme+puller`)."""
        self._access.add_account(name, password)

    def add_superuser(self, user: str) -> None:
        """A superuser: sees why Redis fails; no rights on repositories unless `features.superusers_full_access`."""
        self._access.superusers.add(user)

    def limit_queue(self, namespace: str, builds: int) -> None:
        """Sets maximum_queued_builds_count; 0 allows no builds at all."""
        self._api.queue_limits[namespace] = builds

    @property
    def allowed_workers(self) -> int | None:
        """ALLOWED_WORKER_COUNT: how many builders may be at work at once; None for any number."""
        return self._builds.allowed_workers

    @allowed_workers.setter
    def allowed_workers(self, count: int | None) -> None:
        self._timeline.advance()
        self._builds.allowed_workers = count

    @property
    def speed(self) -> float:
        """How many recorded seconds pass in one of the clock's; may be changed at any time."""
        return self._timeline.speed

    @speed.setter
    def speed(self, value: float) -> None:
        self._timeline.speed = value

    # What happened

    @property
    def builds(self) -> list[Build]:
        """All builds as they are now, oldest first; ask again when time has passed: a build does not look itself."""
        self._timeline.advance()
        return list(self._builds.all)

    @property
    def pushed(self) -> list[Pushed]:
        """Every image tag written so far, in order."""
        self._timeline.advance()
        return list(self._builds.pushed)

    def image(self, repository: str, tag: str) -> str | None:
        """The archive_url of the build that wrote the tag last, or None."""
        written = (it for it in reversed(self.pushed) if (it.repository, it.tag) == (repository, tag))
        last = next(written, None)
        return last.archive_url if last else None

    def build(self, build_id: str) -> Build:
        """The build of that id as it is now; KeyError if there is none."""
        self._timeline.advance()
        found = self._builds.find(build_id)
        if found is None:
            raise KeyError(f"no build {build_id} in the sandbox's Quay")
        return found

    # What others do

    def cancel_in_ui(self, build_id: str) -> bool:
        """A human cancels the build in Quay's own page; says whether Quay agreed."""
        return self._builds.cancel(self.build(build_id)) == Cancel.CANCELLED

    def start_from_trigger(self, repository: str, commit: str, tags: Iterable[str] = ("latest",)) -> Build:
        """Somebody else's build, started by one of Quay's own git triggers: it has a trigger and no archive_url."""
        self._timeline.advance()
        source = f"https://git.example.test/{repository}.git"
        request = BuildRequest(
            repository=repository,
            archive_url=None,
            tags=tuple(map(escape_tag, tags)),
            context="/",
            dockerfile_path="/Dockerfile",
            display_name=commit[:7],
            user=repository.partition("/")[0],
            trigger=_git_trigger(source),
            trigger_metadata={"commit": commit, "git_url": source},
        )
        return self._builds.add(request, self._course_of)

    # The application

    def _course_of(self, build: Build) -> Course:
        package = build.request.package
        if package is not None and not package.is_usable:
            return COURSES["no-archive"]
        chosen = self.choose(build)
        course = chosen if isinstance(chosen, Course) else COURSES.get(chosen)
        if course is None:
            raise ValueError(f"course {chosen!r}: must be a Course or one of {', '.join(COURSES)}")
        return course

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/_sandbox/state", self._get_state),
                Route("/_sandbox/faults", self._post_fault, methods=["POST"]),
                Route("/_sandbox/faults", self._delete_faults, methods=["DELETE"]),
                Route("/_sandbox/course", self._post_course, methods=["POST"]),
                Route("/_sandbox/builds/{id}/cancel", self._post_cancel, methods=["POST"]),
                Route("/repository/{repository:path}/build/{id}", _build_page),
                Route("/{path:path}", self._answer, methods=_METHODS),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        call = await _read(request)
        struck = self.faults.strike(call.operation)
        if self.builder is not None and struck.keys().isdisjoint(_LOST):
            call = replace(call, package=await _looked_at(self.builder, call))
        response, broken = self._perform(call, struck)
        request.scope[SCOPE_KEY].broken = broken
        if Fault.SLOW in struck:
            await asyncio.sleep(struck[Fault.SLOW].seconds)
        return response

    def _perform(self, call: Call, struck: dict[Fault, Switch]) -> tuple[Response, type[httpx.TransportError] | None]:
        self._timeline.advance()
        broken = next((error for fault, error in _UNREACHED.items() if fault in struck), None)
        if broken is not None:
            self.calls.append((call.operation, NEVER_ANSWERED))
            if Fault.LATE in struck:
                self._timeline.call_in(struck[Fault.LATE].seconds * self.speed, partial(self._do, call))
            return Response(), broken
        response = _answer_of_front(struck)
        if response is None:
            response = self._do(call.struck_by(struck))
        else:
            self.calls.append((call.operation, response.status_code))
        return response, httpx.RemoteProtocolError if Fault.LOSE_ANSWER in struck else None

    def _do(self, call: Call) -> Response:
        response = self._api.answer(call)
        self.calls.append((call.operation, response.status_code))
        return response

    # Steering over HTTP

    def _get_state(self, _: Request) -> Response:
        state = {
            "url": self.url,
            "speed": self.speed,
            "courses": list(COURSES),
            "builds": [_shown(build) for build in self.builds],
            "pushed": [it._asdict() for it in self.pushed],
            "calls": self.calls,
            "faults": [asdict(switch) for switch in self.faults.active],
        }
        return JSONResponse(state)

    async def _post_fault(self, request: Request) -> Response:
        try:
            asked = dict(await request.json())
            tags = tuple(asked.pop("tags", ("latest",)))
            self.faults.on(asked.pop("kind", ""), asked.pop("operation", None), tags=tags, **asked)
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error), "kinds": list(Fault)}, 400)
        return JSONResponse([asdict(switch) for switch in self.faults.active], 201)

    async def _delete_faults(self, request: Request) -> Response:
        try:
            self.faults.off(request.query_params.get("kind"))
        except ValueError as error:
            return JSONResponse({"error": str(error), "kinds": list(Fault)}, 400)
        return JSONResponse([asdict(switch) for switch in self.faults.active])

    async def _post_course(self, request: Request) -> Response:
        try:
            name = str((await request.json())["course"])
            course = COURSES[name]
        except (KeyError, TypeError, ValueError):
            return JSONResponse({"error": "needs a course", "courses": list(COURSES)}, 400)
        self.choose = lambda _: course
        return JSONResponse({"course": name}, 201)

    async def _post_cancel(self, request: Request) -> Response:
        try:
            agreed = self.cancel_in_ui(request.path_params["id"])
        except KeyError as error:
            return JSONResponse({"error": str(error)}, 404)
        return JSONResponse({"cancelled": agreed})


_UNREACHED: dict[Fault, type[httpx.TransportError]] = {
    Fault.DOWN: httpx.ConnectError,
    Fault.LOSE_REQUEST: httpx.RemoteProtocolError,
    Fault.LATE: httpx.RemoteProtocolError,
}
_LOST = {Fault.DOWN, Fault.LOSE_REQUEST}


async def _looked_at(builder: Builder, call: Call) -> Finding | None:
    try:
        body = json.loads(call.body) if call.operation == "requestRepoBuild" else None
    except ValueError:
        return None
    if not isinstance(body, dict) or schema_error(body) or archive_url_error(body.get("archive_url", "")):
        return None
    return await builder.look_at(body["archive_url"], *read_paths(body))


def _answer_of_front(struck: dict[Fault, Switch]) -> Response | None:
    if Fault.RATE_LIMIT in struck or Fault.NGINX_429 in struck:
        return answers.nginx_page(429, "Too Many Requests").response
    if Fault.BAD_GATEWAY in struck:
        return answers.nginx_page(502, "Bad Gateway").response
    if Fault.SERVER_ERROR in struck:
        return answers.internal_server_error().response
    if Fault.NONSENSE in struck:
        return Response("<!doctype html>\n<title>Welcome</title>\n<p>Please sign in.\n", media_type="text/html")
    return None


async def _read(request: Request) -> Call:
    return Call(
        method=request.method,
        path=request.scope["path"],
        query=dict(request.query_params),
        headers=request.headers,
        body=await request.body(),
        base_url=f"{request.url.scheme}://{request.url.netloc}",
        raw_query=request.url.query,
    )


def _build_page(_: Request) -> Response:
    page = "<!doctype html>\n<title>Quay (sandbox)</title>\n<p>Quay's own page of a build. The sandbox has none.\n"
    return Response(page, media_type="text/html")


def _git_trigger(source: str) -> dict[str, Any]:
    return {
        "id": "00000000-0000-4000-8000-000000000000",
        "service": "custom-git",
        "is_active": True,
        "build_source": source,
        "repository_url": None,
        "config": {
            "build_source": source,
            "dockerfile_path": "/Dockerfile",
            "context": "/",
            "tag_templates": ["${commit_info.short_sha}"],
            "credentials": [{"name": "SSH Public Key", "value": "ssh-rsa AAAA"}],
        },
        "can_invoke": True,
        "enabled": True,
        "disabled_reason": None,
    }


def _shown(build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "repository": build.repository,
        "tags": build.tags,
        "archive_url": build.archive_url,
        "context": build.context,
        "dockerfile_path": build.dockerfile_path,
        "course": build.course.name,
        "phase": build.phase,
        "attempts": build.attempts,
        "requested_at": build.requested_at,
        "started": build.started,
    }
