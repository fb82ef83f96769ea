"""The sandbox GitHub steered from another process, under `/_sandbox`; no fault ever befalls these routes.

`POST /_sandbox/push` commits and pushes, and answers when the webhooks are delivered:

    {"repository": "acme/api", "ref": "main", "message": "Fix it", "by": "ada", "force": false, "deliver": true,
     "files": {"Dockerfile": "FROM busybox\\n", "old": null}}

Only `repository` is needed; a file of null is removed. The answer names the commit and what each hook answered.

`POST /_sandbox/faults` turns the switches of `GitHubFaults`: an object of their names, each with its arguments:

    {"lose": {"times": 2, "after": true, "on": "POST /repos/"}, "slow": {"seconds": 0.5}, "down": {}}

`GET /_sandbox/state` shows repositories with their refs and statuses, the deliveries, and the calls of the API. Secrets
and tokens are never shown.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from buildbot.sandbox.faults import CONTROL_PATH
from buildbot.sandbox.git_repository import NoSuchRef, NotFastForward, Repository
from buildbot.sandbox.github_payloads import Json, timestamp

if TYPE_CHECKING:
    from buildbot.sandbox.github import GitHub

SWITCHES = (
    "lose",
    "fail",
    "nonsense",
    "down",
    "up",
    "slow",
    "use_up_rate_limit",
    "secondary_limit",
    "unreplicated",
    "revoke",
    "clear",
)
_PUSH_FIELDS: dict[str, type] = {
    "repository": str,
    "ref": str,
    "message": str,
    "files": dict,
    "by": str,
    "force": bool,
    "deliver": bool,
}


class Misunderstood(Exception):
    """The body of a control request makes no sense; the text says why."""


def control_routes(github: GitHub) -> list[Route]:
    """The routes, to be put before everything else of the site."""

    async def push(request: Request) -> Json:
        return await _push(github, await _object(request))

    async def faults(request: Request) -> Json:
        return _turn(github, await _object(request))

    async def state(_request: Request) -> Json:
        return _state(github)

    return [
        Route(f"{CONTROL_PATH}/push", _answering(push), methods=["POST"]),
        Route(f"{CONTROL_PATH}/faults", _answering(faults), methods=["POST"]),
        Route(f"{CONTROL_PATH}/state", _answering(state)),
    ]


def _answering(act: Callable[[Request], Awaitable[Json]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await act(request))
        except Misunderstood as error:
            return JSONResponse({"error": str(error)}, 400)
        except LookupError as error:
            return JSONResponse({"error": str(error.args[0])}, 404)
        except NoSuchRef as error:
            return JSONResponse({"error": str(error)}, 404)
        except NotFastForward as error:
            return JSONResponse({"error": str(error)}, 409)

    return answer


async def _object(request: Request) -> Json:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Misunderstood("the body is not JSON") from None
    if not isinstance(body, dict):
        raise Misunderstood("the body must be a JSON object")
    return body


async def _push(github: GitHub, body: Json) -> Json:
    for name, value in body.items():
        expected = _PUSH_FIELDS.get(name)
        if expected is None:
            raise Misunderstood(f"push knows no {name!r}; it takes {', '.join(_PUSH_FIELDS)}")
        if not isinstance(value, expected):
            raise Misunderstood(f"{name!r} must be {expected.__name__}, not {value!r}")
    if "repository" not in body:
        raise Misunderstood("'repository' is missing: whose push is it?")
    pushed = await github.commit_and_push(**body)
    answers = [{"url": one.delivery.hook.url, **one.describe()} for one in pushed.attempts]
    return {"sha": pushed.sha, "ref": pushed.ref, "before": pushed.before, "after": pushed.after, "deliveries": answers}


def _turn(github: GitHub, body: Json) -> Json:
    turns = [_switch(github, name, arguments) for name, arguments in body.items()]
    for turn in turns:
        turn()
    return {"turned": list(body)}


def _switch(github: GitHub, name: str, arguments: Any) -> Callable[[], None]:
    if name not in SWITCHES:
        raise Misunderstood(f"there is no fault {name!r}; there are {', '.join(SWITCHES)}")
    switch = getattr(github.faults, name)
    try:
        bound = inspect.signature(switch).bind(**arguments)
    except TypeError as error:
        raise Misunderstood(f"{name!r}: {error}") from None
    return lambda: switch(*bound.args, **bound.kwargs)


def _state(github: GitHub) -> Json:
    log = github.hookshot.log
    return {
        "repositories": [_repository(one) for one in github.state.repositories.values()],
        "deliveries": [{"url": one.delivery.hook.url, **one.describe()} for one in log],
        "held_back": [{"guid": one.guid, "event": one.event, "url": one.hook.url} for one in github.outbox],
        "calls": [one._asdict() for one in github.calls],
    }


def _repository(it: Repository) -> Json:
    statuses = [
        {
            "sha": one.sha,
            "context": one.context,
            "state": one.state,
            "description": one.description,
            "target_url": one.target_url,
            "created_at": timestamp(one.created_at),
        }
        for one in it.statuses
    ]
    named = {"id": it.id, "full_name": it.full_name, "private": it.private, "default_branch": it.default_branch}
    return named | {"refs": dict(it.refs), "statuses": statuses}
