"""What GitLab's refusals mean: one line of its own words, and exactly one of the ports' errors. Pure.

GitLab says what is missing: `404 Commit Not Found`, `404 Project Not Found`, `404 File Not Found`. Its words come in
three forms: `message` as text, `message` as an object of lists (one per field), and OAuth's `error` with
`error_description`. A 409 says that another update of the same status is under way, and that this one did nothing.

| answer to a status | becomes |
|---|---|
| 400 `Cannot transition status via :x from :y` | done where y is what is wanted, or nothing final is; else Refused |
| 404 `404 Commit Not Found` | Vanished: just pushed, or gone |
| 404 `404 References for commit Not Found` | Refused: no branch or tag contains it any more |
| 404 `404 Project Not Found`, 403 | Refused: the token or its role |
| 405 `Non GET methods are not allowed for moved projects` | asked again by the project's number |
| 409 | Unavailable: again later |
| 429 | Throttled until `Retry-After` or `RateLimit-Reset` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from buildbot.forges.exchange import Answer
from buildbot.forges.refusals import NO_REASON, UNTOLD_WAIT, common_failure, in_one_line, told_reset, told_wait
from buildbot.ports import CallError, Unavailable

MOVED = "Non GET methods are not allowed for moved projects"
NO_COMMIT = "404 Commit Not Found"
NO_FILE = "404 File Not Found"
_TRANSITION = re.compile(r"Cannot transition status via :\w+ from :(\w+)")


def words_of(answer: Answer) -> str:
    """GitLab's reason in one line; "no reason given" when it says nothing."""
    said = answer.document
    if not isinstance(said, dict):
        return NO_REASON
    return in_one_line((*_texts(said.get("message")), *_texts(said.get("error")), said.get("error_description")))


def failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The error that an answer other than the hoped-for one stands for.

    `doing` finishes "GitLab refused …" ("a status of acme/api"); `now` (aware UTC) is what waiting times count from.
    """
    said = words_of(answer)
    if answer.status == 409 and isinstance(answer.document, dict):
        return Unavailable(f"GitLab is busy with {doing}: {said}")
    return common_failure(answer, said, doing, _limit(answer, now))


def state_before(answer: Answer) -> str | None:
    """The state that a status is in already, where GitLab refuses to move it from there; else None."""
    found = _TRANSITION.search(words_of(answer)) if answer.status == 400 else None
    return None if found is None else found[1]


def _texts(said: object) -> Iterator[str]:
    match said:
        case str():
            yield said
        case list():
            yield from (one for one in said if isinstance(one, str))
        case dict():
            for key, problems in said.items():
                yield f"{key} {', '.join(_texts(problems))}".rstrip()
        case _:
            return


def _limit(answer: Answer, now: datetime) -> datetime | None:
    if answer.status != 429:
        return None
    reset = told_reset(answer.headers, "ratelimit-remaining", "ratelimit-reset", now)
    return told_wait(answer.headers, now) or reset or now + UNTOLD_WAIT
