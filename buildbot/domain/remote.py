"""Git URLs: where a submodule is, as the many spellings say it, and which forge serves that place.

A submodule is written as people clone it (`https://…`, `git@host:owner/name.git`, `ssh://…`) or relative to the URL of
the repository it is in (`../other.git`). Nothing is ever fetched from such a URL: all that is taken from it is whether
it names a forge that the bot knows and has a credential for, and the repository's name there. An account or a password
in it is neither used nor shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

WEB_PORTS = {"http": 80, "https": 443}
SHELL_SCHEMES = frozenset({"ssh", "git+ssh", "ssh+git", "git"})
SHELL_FRONTS = {  # where these take SSH in at port 443
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_SCP_LIKE = re.compile(r"(?:[^/@:]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]]+):(?!:)(?P<path>.+)", re.DOTALL)


class BadRemote(Exception):
    """A URL that leads to no forge; `str()` says what it is, without what may be secret in it."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A place on a host. `port` is None where it is none of the web's (SSH's ports say nothing about the forge)."""

    host: str
    path: str
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


def absolute(url: str, parent: str) -> str:
    """`url` itself, or where it leads from `parent`, the http(s) URL of the repository that has the submodule.

    As git's `relative_url`, except that it stays on the host. Raises BadRemote.
    """
    if not url.startswith(("./", "../")):
        return url
    base = urlsplit(parent)
    parts = base.path.strip("/").split("/")
    for step in url.split("/"):
        if step == "..":
            if not parts:
                raise BadRemote(f"{url!a} leads out of {base.hostname}")
            parts.pop()
        elif step not in {"", "."}:
            parts.append(step)
    return base._replace(path="/" + "/".join(parts)).geturl()


def remote(url: str) -> Remote:
    """Where a URL leads that is not relative. Raises BadRemote."""
    if "://" in url:
        return _of_url(url)
    found = _SCP_LIKE.fullmatch(url)
    if found is None:
        raise BadRemote("it has no URL that leads to a host" if url else "it has no URL")
    host = found["host"].strip("[]").lower()
    return Remote(SHELL_FRONTS.get(host, host), _named(found["path"]))


def name_at(clone_url: str, place: Remote) -> str | None:
    """The name of the repository at `place` where a forge serves it; None where this forge does not.

    `clone_url` is what all http(s) URLs of the forge's repositories begin with: `https://git.example.com`.
    """
    root = urlsplit(clone_url)
    if not root.hostname or place.host != root.hostname:
        return None
    if place.port is None:
        return place.path or None
    prefix = root.path.strip("/")
    if place.port != (root.port or WEB_PORTS.get(root.scheme)) and not _is_usual(place.port, root):
        return None
    if not prefix:
        return place.path or None
    return place.path.removeprefix(f"{prefix}/") if place.path.startswith(f"{prefix}/") else None


def _of_url(url: str) -> Remote:
    try:
        split = urlsplit(url)
        host, port = (split.hostname or "").lower(), split.port
    except ValueError:
        raise BadRemote("its URL cannot be read") from None
    if not host:
        raise BadRemote("its URL names no host")
    path = _named(unquote(split.path))
    if split.scheme in WEB_PORTS:
        return Remote(host, path, port or WEB_PORTS[split.scheme])
    if split.scheme in SHELL_SCHEMES:
        return Remote(SHELL_FRONTS.get(host, host), path)
    raise BadRemote(f"its URL begins with {split.scheme!a}, which no forge serves")


def _named(path: str) -> str:
    return path.strip("/").removesuffix(".git").rstrip("/")


def _is_usual(port: int, root: SplitResult) -> bool:
    """Whether both are at a usual port of the web: many still write http for what has moved to https."""
    return port in WEB_PORTS.values() and (root.port or WEB_PORTS.get(root.scheme)) in WEB_PORTS.values()
