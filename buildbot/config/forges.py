"""`[forges.…]`: what it means for its kind of forge, once its shape is right."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from buildbot.config import shape
from buildbot.config.kinds import KINDS, is_same_host
from buildbot.config.mistakes import Place, Report, shown
from buildbot.config.model import ForgeConfig, ForgeKind
from buildbot.config.secrets import Secrets
from buildbot.config.shaping import Shaped, each_shaped

GITHUB_WRITES_PER_MINUTE = 80
"""What GitHub's documentation allows of content-creating requests a minute."""

SIGNING_TOKEN = "whsec_"  # noqa: S105  # how one begins
"""How GitLab's signing tokens begin, which are base64 of a key; any other secret is sent along as it is."""

_EXAMPLE = '[forges.github] with kind = "github"'


def forges(report: Report, document: Mapping[str, Any], secrets: Secrets) -> dict[str, ForgeConfig]:
    """Every `[forges.…]` that is without mistakes."""
    read = each_shaped(report, document, "forges", shape.ForgeTable, _EXAMPLE)
    return {key: forge for key, table in read if (forge := _forge(report, key, table, secrets))}


def kinds(document: Mapping[str, Any]) -> dict[str, ForgeKind]:
    """The kind of each forge, also where other things are wrong with it; forges of unknown kinds are left out."""
    tables = document.get("forges")
    tables = tables if isinstance(tables, dict) else {}
    written = {key: table.get("kind") for key, table in tables.items() if isinstance(table, dict)}
    return {key: kind for key, word in written.items() for kind in ForgeKind if kind == word}


def _forge(report: Report, key: str, read: Shaped[shape.ForgeTable], secrets: Secrets) -> ForgeConfig | None:
    place, table = ("forges", key), read.table
    kind = None if "kind" in read.wrong else ForgeKind(table.kind)
    _check_credentials(report, place, read, kind)
    hooks = _webhook_secrets(report, place, read, secrets, kind)
    token = secrets.token((*place, "token"), table.token) if table.token else None
    private_key = secrets.private_key((*place, "private_key"), table.private_key) if table.private_key else None
    if kind is None or "url" in read.wrong:
        return None
    url = table.url or KINDS[kind].home
    _check_url(report, place, kind, table)
    if kind is ForgeKind.GITHUB:
        _check_writes(report, place, url, table)
    if read.wrong:
        return None
    return ForgeConfig(
        key=key,
        kind=kind,
        url=url,
        api_url=table.api_url or KINDS[kind].api_url(url),
        webhook_secrets=hooks,
        token=token,
        app_id=table.app_id or None,
        private_key=private_key,
        writes_per_minute=_writes_per_minute(read, kind),
    )


def _writes_per_minute(read: Shaped[shape.ForgeTable], kind: ForgeKind) -> int:
    is_given = "writes_per_minute" in read.given
    return read.table.writes_per_minute if is_given else KINDS[kind].writes_per_minute


def _webhook_secrets(
    report: Report, place: Place, read: Shaped[shape.ForgeTable], secrets: Secrets, kind: ForgeKind | None
) -> tuple[bytes, ...]:
    place = (*place, "webhook_secrets")
    if "webhook_secrets" in read.given and not read.table.webhook_secrets:
        report.mistake(place, 'is empty: every push would be refused; write webhook_secrets = ["env:NAME"]')
    fetched = {number: secrets.read((*place, number), text) for number, text in read.entries("webhook_secrets")}
    for number, secret in fetched.items():
        if kind is ForgeKind.GITLAB and secret and not _may_be_used(secret):
            report.mistake(
                (*place, number),
                f"begins with {SIGNING_TOKEN}, as GitLab's signing tokens do, but what follows is no base64; copy the "
                "token whole from GitLab",
            )
    return tuple(secret.encode() for secret in fetched.values() if secret is not None)


def _may_be_used(secret: str) -> bool:
    if not secret.startswith(SIGNING_TOKEN):
        return True
    try:
        return bool(base64.b64decode(secret.removeprefix(SIGNING_TOKEN), validate=True))
    except (binascii.Error, ValueError):
        return False


def _check_credentials(report: Report, place: Place, read: Shaped[shape.ForgeTable], kind: ForgeKind | None) -> None:
    used = read.given | read.wrong
    of_app = sorted(used & {"app_id", "private_key"})
    if of_app and kind is not None and not KINDS[kind].has_apps:
        report.mistake((*place, of_app[0]), f'is for GitHub Apps; at {KINDS[kind].title} write token = "env:NAME"')
    elif "token" in used and of_app:
        report.mistake((*place, of_app[0]), "stands beside token; keep token, or app_id and private_key, not both")
    elif "token" not in used and not of_app:
        apps = ", or app_id and private_key for a GitHub App" if kind is None or KINDS[kind].has_apps else ""
        report.mistake(place, f'has no credential; write token = "env:NAME"{apps}')
    elif len(of_app) == 1:
        missing = "private_key" if of_app == ["app_id"] else "app_id"
        report.mistake((*place, of_app[0]), f"stands alone; a GitHub App needs {missing} too")


def _check_url(report: Report, place: Place, kind: ForgeKind, table: shape.ForgeTable) -> None:
    about, here, url = KINDS[kind], (*place, "url"), table.url
    if not url and not about.home:
        report.mistake(place, f'url is missing; write where {about.title} is, as in url = "https://git.example.com"')
    elif not url:
        return
    elif about.home_api and is_same_host(url, about.home_api):
        report.mistake(here, f"is the API; url is {about.home}, and api_url follows from it")
    elif url.endswith(about.api_path):
        report.mistake(here, f"is the API; url is {url.removesuffix(about.api_path)}, and api_url follows from it")
    elif about.home and is_same_host(url.replace("://www.", "://"), about.home):
        if urlsplit(url).path or not is_same_host(url, about.home):
            report.mistake(here, f"{shown(url)} is a page; the forge's own address is {about.home}")
    elif kind is ForgeKind.BITBUCKET and not table.api_url:
        report.mistake(
            here, f'is not {about.home}, where this kind is; a server of your own is kind = "bitbucket-datacenter"'
        )


def _check_writes(report: Report, place: Place, url: str, table: shape.ForgeTable) -> None:
    if is_same_host(url, KINDS[ForgeKind.GITHUB].home) and table.writes_per_minute > GITHUB_WRITES_PER_MINUTE:
        report.warn(
            (*place, "writes_per_minute"),
            f"GitHub allows {GITHUB_WRITES_PER_MINUTE} writes a minute and may block who writes more",
        )
