"""What Bitbucket Cloud's refusals mean: one line of its own words, and exactly one of the ports' errors. Pure.

| answer to a status | meaning |
|---|---|
| 400 with `fields` | a mistake of ours (a key of more than 40 characters, an address it does not like): final |
| 401 | the token is wrong, expired or revoked |
| 403 | a scope is missing, or another account made the status and only it or an admin may overwrite it: final |
| 404 `Repository … not found` | the token does not see the repository: final until the configuration changes |
| 404 otherwise | the commit is not there (yet): for a while transient |
| 429 | more than the hour's calls: wait, as long as `Retry-After` says or a minute |
| 555 | the difference of two commits takes too long to make: asking again is of no use, it cannot be told |

What the site (not the API) answers is pages for people: there the status alone counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from buildbot.forges.exchange import Answer, OversizedAnswer
from buildbot.forges.refusals import NO_REASON, UNTOLD_WAIT, common_failure, in_one_line, told_wait
from buildbot.ports import CallError, Refused, Vanished

NO_REPOSITORY = "Repository "
_TOO_MUCH = 555


def words_of(answer: Answer) -> str:
    """Bitbucket's `error.message` with its detail, the scopes that it wants and the fields that it names, in a line."""
    said = answer.document
    error = said.get("error") if isinstance(said, dict) else None
    return in_one_line(_texts(error)) if isinstance(error, dict) else NO_REASON


def failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The error that an answer other than the hoped-for one stands for.

    `doing` finishes "Bitbucket refused …" ("a status of acme/api"); `now` (aware UTC) is what waiting times count from.
    """
    said = words_of(answer)
    if answer.status == _TOO_MUCH:
        return OversizedAnswer(f"Bitbucket takes too long {doing}: {said}")
    return common_failure(answer, said, doing, limit_of(answer, now))


def site_failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The same for bitbucket.org itself, whose archives are not behind the API."""
    match answer.status:
        case 404:
            return Vanished(f"Bitbucket refused {doing}: it is not there, or the credential may not see it")
        case 401 | 403:
            return Refused(
                f"Bitbucket refused {doing}: its site takes the token of a repository, project or workspace"
                f" ({answer.status})"
            )
        case _:
            return failure_of(answer, doing, now)


def is_repository_missing(answer: Answer) -> bool:
    """A 404 that names the repository, not something in it."""
    return answer.status == 404 and words_of(answer).startswith(NO_REPOSITORY)


def limit_of(answer: Answer, now: datetime) -> datetime | None:
    """When calls are taken again, None unless the answer is a 429."""
    if answer.status != 429:
        return None
    return told_wait(answer.headers, now) or now + UNTOLD_WAIT


def _texts(error: dict[str, object]) -> Iterator[object]:
    yield error.get("message")
    detail, fields = error.get("detail"), error.get("fields")
    yield detail
    if isinstance(detail, dict) and isinstance(detail.get("required"), list):
        yield f"needs {', '.join(map(str, detail['required']))}"
    for name, problems in (fields if isinstance(fields, dict) else {}).items():
        listed = problems if isinstance(problems, list) else [problems]
        yield f"{name}: {' '.join(one for one in listed if isinstance(one, str))}"
