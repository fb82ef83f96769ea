"""How forges list a repository's webhooks, and what of each the doctor wants to know.

GitHub and Gitea (with Forgejo) list alike, but only GitHub tells how it was answered last. GitLab subscribes to pushes
of branches and of tags one by one, and says itself when it has switched a webhook off after failures. Bitbucket's lists
are not read: its tokens of a repository may not see them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from buildbot.config import ForgeKind
from buildbot.forges.exchange import Dialect
from buildbot.forges.gitea.dialect import GITEA
from buildbot.forges.gitea.names import repository_path as gitea_path
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path as github_path
from buildbot.forges.gitlab.dialect import GITLAB
from buildbot.forges.gitlab.names import project_path

Shown = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as a forge lists it.

    `unheard_…`: it is not sent those pushes. `code` is how it was answered last, 0 for not at all, None where that is
    not told. `gave_up`: the forge has stopped sending because of failures.
    """

    url: str
    is_on: bool = True
    unheard_branches: bool = False
    unheard_tags: bool = False
    code: int | None = None
    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class WebhookList:
    """Where a kind of forge lists them, and how an item of the list is read. `elsewhere` is who may have one besides,
    `log` what the forge calls the history of one."""

    dialect: Dialect
    path: Callable[[str], str]
    read: Callable[[Shown], Webhook]
    elsewhere: str
    log: str


def _read_github(shown: Shown) -> Webhook:
    config, last, events = shown.get("config"), shown.get("last_response"), shown.get("events")
    is_deaf = isinstance(events, list) and not {"push", "*"} & set(map(str, events))
    code = last.get("code") if isinstance(last, dict) else None
    return Webhook(
        url=str(config.get("url", "")) if isinstance(config, dict) else "",
        is_on=shown.get("active") is not False,
        unheard_branches=is_deaf,
        unheard_tags=is_deaf,
        code=code if isinstance(code, int) else None,
    )


def _read_gitlab(shown: Shown) -> Webhook:
    return Webhook(
        url=str(shown.get("url", "")),
        unheard_branches=shown.get("push_events") is False,
        unheard_tags=shown.get("tag_push_events") is False,
        gave_up=shown.get("alert_status", "executable") != "executable",
    )


_GITEA = WebhookList(
    GITEA,
    lambda name: f"{gitea_path(name)}/hooks?limit=50",
    _read_github,
    "the organisation or the whole site",
    "Recent Deliveries",
)
LISTS: Mapping[ForgeKind, WebhookList] = {
    ForgeKind.GITHUB: WebhookList(
        GITHUB,
        lambda name: f"{github_path(name)}/hooks?per_page=100",
        _read_github,
        "the organisation or an App",
        "Recent Deliveries",
    ),
    ForgeKind.GITLAB: WebhookList(
        GITLAB,
        lambda name: f"{project_path(name)}/hooks?per_page=100",
        _read_gitlab,
        "a group or the whole site",
        "Recent events",
    ),
    ForgeKind.GITEA: _GITEA,
    ForgeKind.FORGEJO: _GITEA,
}
