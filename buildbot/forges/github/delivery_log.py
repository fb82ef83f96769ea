"""GitHub's log of deliveries: those of the App, or of the webhooks of repositories and their organisations.

GitHub keeps three days (Enterprise Server seven) and sends nothing twice by itself. Its filter `status=failure` means
answers of 400 and more and passes over what got no answer at all, so everything is read and told apart here. The log
is told the newest first; `mark` is the time of the newest attempt, and a later look reads back to some minutes before
it, since an attempt is written down when it has ended. Attempts are found anew then, which changes nothing.

An App reads its own log and no other: with its token it would need a permission more to see a repository's webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.delivery_logs import leads_to
from buildbot.forges.exchange import Answer
from buildbot.forges.fields import Fields, is_clean, shown
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path
from buildbot.forges.github.refs import next_query
from buildbot.forges.names import is_owner_and_name, quoted
from buildbot.forges.refs import moment
from buildbot.ports import HookLog, LoggedAttempt, LogPage, Refused

BEGINNING = datetime.min.replace(tzinfo=UTC)
OVERLAP = timedelta(minutes=15)
MOST_PAGES = 50
PER_PAGE = 100
APP = ""
_FORGE = GITHUB.forge


class GitHubDeliveryLog:
    """A `ports.DeliveryLog`. With an `app` its own log is read, else those of webhooks."""

    resends_at_once = 20

    def __init__(self, talk: Conversation, app: AppAuth | None) -> None:
        self._talk = talk
        self._app = app

    def owners(self, full_names: Sequence[str]) -> tuple[str, ...]:
        """The App alone, or the repositories and the accounts that they belong to."""
        if self._app is not None:
            return (APP,) if full_names else ()
        accounts = (name.partition("/")[0] for name in full_names)
        return tuple(dict.fromkeys((*full_names, *accounts)))

    async def hooks(self, owner: str, url: str) -> tuple[HookLog, ...]:
        """The webhooks that lead to `url`. An account that is a person's has none (404)."""
        if owner == APP:
            return await self._app_hooks(url)
        place = repository_path(owner) if "/" in owner else _organisation(owner)
        answer = await self._talk.read_list(
            owner, f"{place}/hooks?per_page={PER_PAGE}", f"to list the webhooks of {owner}"
        )
        ours = reading(lambda: [hook.number("id") for hook in answer.members if leads_to(_address(hook), url)], _FORGE)
        return tuple(HookLog(f"{place}/hooks/{number}", owner) for number in ours)

    async def attempts(self, hook: HookLog, mark: str | None) -> LogPage:
        """The attempts since `mark`, or all that GitHub keeps."""
        since = datetime.fromisoformat(mark) - OVERLAP if mark else BEGINNING
        told: list[Fields] = []
        query: str | None = f"per_page={PER_PAGE}"
        for _ in range(MOST_PAGES):
            page = await self._page(hook, query)
            told += page.members
            query = next_query(page)
            if query is None or (told and _time(told[-1]) < since):
                return _page_of(told, since, mark, is_whole=True)
        return _page_of(told, since, mark, is_whole=False)

    async def redeliver(self, hook: HookLog, attempt: str) -> None:
        """Ask for the event of an attempt once more; it keeps its GUID."""
        answer = await self._asked(hook, "POST", f"{hook.place}/deliveries/{quoted(attempt)}/attempts")
        if answer.status not in {200, 202}:
            raise self._talk.failure(answer, "to deliver once more")

    async def _app_hooks(self, url: str) -> tuple[HookLog, ...]:
        app = HookLog("/app/hook", APP)
        answer = await self._asked(app, "GET", "/app/hook/config")
        if answer.status != 200:
            raise self._talk.failure(answer, "to show where the App's webhook leads")
        return (app,) if leads_to(reading(lambda: answer.fields.maybe_raw("url"), _FORGE), url) else ()

    async def _page(self, hook: HookLog, query: str | None) -> Answer:
        doing, path = "to show the log of deliveries", f"{hook.place}/deliveries?{query}"
        if self._app is None:
            return await self._talk.read_list(hook.full_name, path, doing)
        answer = await self._asked(hook, "GET", path)
        if answer.status != 200:
            raise self._talk.failure(answer, doing)
        return answer

    async def _asked(self, hook: HookLog, method: str, path: str) -> Answer:
        if self._app is not None:
            return await self._app.ask(method, path)
        return await self._talk.ask(hook.full_name, method, path)


def _organisation(login: str) -> str:
    if not is_owner_and_name(f"{login}/x"):
        raise Refused(f"{shown(login)} is not an account at GitHub")
    return f"/orgs/{quoted(login)}"


def _address(hook: Fields) -> str | None:
    config = hook.maybe_within("config")
    return None if config is None else config.maybe_raw("url")


def _time(attempt: Fields) -> datetime:
    return moment(attempt, "delivered_at", _FORGE)


def _page_of(told: Sequence[Fields], since: datetime, mark: str | None, *, is_whole: bool) -> LogPage:
    recent = [one for one in told if _time(one) >= since]
    newest = max(_time(one) for one in recent).astimezone(UTC).isoformat() if recent else mark
    pushes = [one for one in recent if one.maybe_raw("event") == "push"]
    return LogPage(tuple(_attempt(one) for one in pushes), newest, is_whole=is_whole)


def _attempt(one: Fields) -> LoggedAttempt:
    def told() -> Mapping[str, str]:
        return {"id": str(one.number("id")), "guid": one.name("guid")}

    status = reading(lambda: one.maybe_raw("status"), _FORGE) or ""
    return LoggedAttempt(
        **reading(told, _FORGE), is_delivered=status == "OK", told=status if is_clean(status) else shown(status)
    )
