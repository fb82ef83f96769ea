"""GitLab's log of deliveries, one for each webhook of a project (from 17.3 on), and resending (17.4).

GitLab keeps seven days. The list tells no time, but its ids rise, so `mark` is the highest that was read. The delivery
id is in the request's headers, which the log shows; a resend keeps it. Only maintainers may see webhooks. Five resends
a minute are allowed, and groups' webhooks are not looked at: they are a paid feature with a log of their own.

Answers are read in pages of twenty at most; each item holds its whole payload, so more would not be wanted anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.delivery_logs import leads_to
from buildbot.forges.fields import Fields, is_clean, shown
from buildbot.forges.gitlab.dialect import GITLAB
from buildbot.forges.gitlab.names import project_path
from buildbot.forges.gitlab.webhook import DELIVERY_IDS
from buildbot.forges.names import quoted_whole
from buildbot.ports import HookLog, LoggedAttempt, LogPage

PER_PAGE = 20
MOST_PAGES = 50
HOOKS_PER_PAGE = 100
PUSHES = frozenset({"push_hooks", "tag_push_hooks"})
_FORGE = GITLAB.forge


class GitLabDeliveryLog:
    """A `ports.DeliveryLog`."""

    resends_at_once = 4

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def owners(self, full_names: Sequence[str]) -> tuple[str, ...]:
        """The projects."""
        return tuple(dict.fromkeys(full_names))

    async def hooks(self, owner: str, url: str) -> tuple[HookLog, ...]:
        """The project's webhooks that lead to `url`, of its first hundred, which is as many as it may have."""
        place = f"{project_path(owner)}/hooks"
        answer = await self._talk.read_list(
            owner, f"{place}?per_page={HOOKS_PER_PAGE}", f"to list the webhooks of {owner}"
        )
        ours = reading(
            lambda: [hook.number("id") for hook in answer.members if leads_to(hook.maybe_raw("url"), url)], _FORGE
        )
        return tuple(HookLog(f"{place}/{number}", owner) for number in ours)

    async def attempts(self, hook: HookLog, mark: str | None) -> LogPage:
        """The attempts after `mark`, or as far back as GitLab keeps them."""
        last_read, told = int(mark or 0), list[Fields]()
        for page in range(1, MOST_PAGES + 1):
            path = f"{hook.place}/events?per_page={PER_PAGE}&page={page}"
            listed = (await self._talk.read_list(hook.full_name, path, "to show the log of deliveries")).members
            told += listed
            if len(listed) < PER_PAGE or any(_number(one) <= last_read for one in listed):
                return _page_of(told, last_read, is_whole=True)
        return _page_of(told, last_read, is_whole=False)

    async def redeliver(self, hook: HookLog, attempt: str) -> None:
        """Ask for a delivery once more; it keeps its id."""
        path = f"{hook.place}/events/{quoted_whole(attempt)}/resend"
        answer = await self._talk.ask(hook.full_name, "POST", path)
        if answer.status not in {200, 201}:
            raise self._talk.failure(answer, "to deliver once more")


def _number(attempt: Fields) -> int:
    return reading(lambda: attempt.number("id"), _FORGE)


def _page_of(told: Sequence[Fields], last_read: int, *, is_whole: bool) -> LogPage:
    fresh = [one for one in told if _number(one) > last_read]
    mark = max((_number(one) for one in fresh), default=last_read)
    found = [attempt for one in fresh if (attempt := _attempt(one)) is not None]
    return LogPage(tuple(found), str(mark) if mark else None, is_whole=is_whole)


def _attempt(one: Fields) -> LoggedAttempt | None:
    headers = reading(lambda: one.maybe_within("request_headers"), _FORGE)
    guid = None if headers is None else reading(lambda: _guid(headers), _FORGE)
    if guid is None or one.maybe_raw("trigger") not in PUSHES:
        return None
    status = str(reading(lambda: one.maybe_raw("response_status"), _FORGE) or "no answer")
    return LoggedAttempt(
        id=str(_number(one)),
        guid=guid,
        is_delivered=status.isdecimal() and 200 <= int(status) < 300,
        told=status if is_clean(status) else shown(status),
    )


def _guid(headers: Fields) -> str | None:
    # Spelled as they were sent, or as GitLab's own client stores them: with capitals.
    spellings = (spelled for name in DELIVERY_IDS for spelled in (name, name.title(), name.lower()))
    return next((found for spelled in spellings if (found := headers.maybe_name(spelled))), None)
