"""Pushing in the demo from another terminal: `POST /_sandbox/push` before everything else of a forge's sandbox.

    {"repository": "acme/api", "ref": "main", "message": "Fix it", "files": {"src/api.py": "print('fixed')\\n"}}

Only `repository` is needed; a file of null is removed. The answer names the commit and what each hook answered. The
sandbox GitHub has the same route of its own, beside others that only it has (`github_control`).
"""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from buildbot.sandbox.faults import CONTROL_PATH
from buildbot.sandbox.git_repository import NoSuchRef, NotFastForward
from buildbot.sandbox.pushing import Pushing

FIELDS: dict[str, type] = {"repository": str, "ref": str, "message": str, "files": dict}


def with_pushes(users: Pushing[Any, Any], site: ASGIApp) -> Starlette:
    """The forge's application with the route in front of it."""

    async def push(request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
        except ValueError:
            return _refusal(400, "the body is not JSON")
        if mistake := _mistake(asked):
            return _refusal(400, mistake)
        return await _pushed(users, asked)

    return Starlette(routes=[Route(f"{CONTROL_PATH}/push", push, methods=["POST"]), Mount("/", site)])


async def _pushed(users: Pushing[Any, Any], asked: dict[str, Any]) -> Response:
    try:
        pushed = await users.commit_and_push(**asked)
    except (LookupError, NoSuchRef) as error:
        return _refusal(404, str(error.args[0]))
    except NotFastForward as error:
        return _refusal(409, str(error))
    answers = [{"status_code": one.status_code, "answer": one.answer} for one in pushed.attempts]
    return JSONResponse({"sha": pushed.sha, "ref": pushed.ref, "deliveries": answers})


def _mistake(asked: object) -> str:
    if not isinstance(asked, dict) or "repository" not in asked:
        return f"the body must be an object with {', '.join(FIELDS)}, at least with the first"
    for name, value in asked.items():
        if name not in FIELDS or not isinstance(value, FIELDS[name]):
            return f"push takes {', '.join(FIELDS)}, not {name!r} with {value!r}"
    return ""


def _refusal(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
