"""What the configuration has to know of each kind of forge: its addresses, how it names repositories, its archives.

One value for each kind, so that what is different stands side by side and the checks need no cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from buildbot.config.mistakes import shown
from buildbot.config.model import ForgeKind

WRITES_PER_MINUTE = 60
"""Below the 80 that GitHub's documentation allows; most others have no limit that a status would meet."""

_NAME = r"[A-Za-z0-9._*?\[\]!-]+"


@dataclass(frozen=True, slots=True)
class SourceForm:
    """How a kind of forge names repositories. `words` finishes "… is not"; `parts` is a regular expression."""

    words: str
    parts: str

    def mistake(self, name: str) -> str | None:
        """What is wrong with the name of a repository, or with a pattern of such names; None if nothing is."""
        if name == "**" or re.fullmatch(self.parts, name):
            return None
        return f"{shown(name)} is not {self.words}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of forge. `home` is where everybody has it; "" where it is always somebody's own.

    `api_path` leads from a forge's address to its API, except for `home` with a `home_api`. `not_direct` says why
    Quay's builder can never use the forge's own archives; "" where it can, if the repository is public.
    `writes_per_minute` is what stays within the forge's limits, if nothing is written. `clone_path` is where the
    repositories' http addresses begin below a forge's; `no_submodules` says why the bot cannot tell a commit's
    submodules, "" where it can.
    """

    title: str
    api_path: str
    source: SourceForm
    home: str = ""
    home_api: str = ""
    not_direct: str = ""
    has_apps: bool = False
    writes_per_minute: int = WRITES_PER_MINUTE
    clone_path: str = ""
    no_submodules: str = ""

    def api_url(self, url: str) -> str:
        """The address of the API of a forge."""
        return self.home_api if self.home_api and is_same_host(url, self.home) else f"{url}{self.api_path}"


def is_same_host(url: str, other: str) -> bool:
    """Whether two addresses are at the same host, whatever their schemes and paths."""
    return urlsplit(url).hostname == urlsplit(other).hostname


_OWNER_AND_NAME = SourceForm('owner/name, as in "acme/api" or "acme/*"', f"{_NAME}/{_NAME}")
_PROJECT = SourceForm(
    'the path of a project, as in "group/name", "group/subgroup/name" or "group/**"', f"{_NAME}(/{_NAME})+"
)
_KEY_AND_SLUG = SourceForm('KEY/slug, as in "ACME/api", "ACME/*" or "~ada/api"', rf"~?[A-Za-z0-9._*?\[\]!@+-]+/{_NAME}")

KINDS: Mapping[ForgeKind, Kind] = {
    ForgeKind.GITHUB: Kind(
        "GitHub",
        "/api/v3",
        _OWNER_AND_NAME,
        home="https://github.com",
        home_api="https://api.github.com",
        has_apps=True,
    ),
    ForgeKind.GITLAB: Kind("GitLab", "/api/v4", _PROJECT, home="https://gitlab.com"),
    ForgeKind.GITEA: Kind(
        "Gitea",
        "/api/v1",
        _OWNER_AND_NAME,
        not_direct="Quay's builder takes Gitea's archives for a Dockerfile (Forgejo's it can use, if the repository is "
        'public: that is kind = "forgejo")',
    ),
    ForgeKind.FORGEJO: Kind("Forgejo", "/api/v1", _OWNER_AND_NAME),
    ForgeKind.BITBUCKET: Kind(
        "Bitbucket",
        "/2.0",
        _OWNER_AND_NAME,
        home="https://bitbucket.org",
        home_api="https://api.bitbucket.org/2.0",
        writes_per_minute=15,  # 1 000 calls an hour
        no_submodules="Bitbucket Cloud does not tell which commit a submodule is at",
    ),
    ForgeKind.BITBUCKET_DATACENTER: Kind(
        "Bitbucket Data Center",
        "/rest/api/latest",
        _KEY_AND_SLUG,
        not_direct="Quay's builder is not known to take the archives of Bitbucket Data Center",
        clone_path="/scm",
    ),
}
