"""A configuration that is right, to be spoilt piece by piece, and the ways to read one."""

from __future__ import annotations

from pathlib import Path

from buildbot.config import BadConfig, Config, Mistake, read

ENVIRON = {"HOOK": "hook secret", "TOKEN": "ghp_token", "QUAY": "quaytoken"}

FORGE = """
[forges.github]
kind = "github"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"
"""

REGISTRY = """
[registries.quay]
kind = "quay"
token = "env:QUAY"
"""

RULE = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main"]
repository = "acme/api"
"""

SERVER = """
[server]
public_url = "https://builds.example.com"
"""

GOOD = FORGE + REGISTRY + RULE


def good(text: str, environ: dict[str, str] | None = None, *, base: Path = Path("/nowhere")) -> Config:
    """The configuration that a text means."""
    return read(text, ENVIRON if environ is None else environ, file="config.toml", base=base)


def mistakes(text: str, environ: dict[str, str] | None = None, *, base: Path = Path("/nowhere")) -> tuple[Mistake, ...]:
    """Everything that is wrong with a text."""
    try:
        good(text, environ, base=base)
    except BadConfig as error:
        return error.mistakes
    return ()


def only_mistake(text: str, environ: dict[str, str] | None = None, *, base: Path = Path("/nowhere")) -> Mistake:
    """The one thing that is wrong with a text."""
    found = mistakes(text, environ, base=base)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def forge(**keys: str) -> str:
    """The good configuration with a forge of these keys (each value as TOML)."""
    return _table("[forges.github]", {"kind": '"github"', "webhook_secrets": '["env:HOOK"]', **keys}) + REGISTRY + RULE


def registry(**keys: str) -> str:
    """The good configuration with these keys more in its registry."""
    return FORGE + _table("[registries.quay]", {"kind": '"quay"', "token": '"env:QUAY"', **keys}) + RULE


def rule(**keys: str) -> str:
    """One more rule: a good one, but for these keys. An empty value leaves a key out."""
    usual = {"name": '"web"', "source": '"acme/web"', "branches": '["main"]', "repository": '"acme/web"'}
    return _table("[[rules]]", usual | keys)


def _table(header: str, keys: dict[str, str]) -> str:
    lines = [f"{key} = {value}" for key, value in keys.items() if value]
    return "\n".join(["", header, *lines, ""])
