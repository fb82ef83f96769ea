"""Sources and refs as people write them on a command line, and what to write instead when they cannot be read.

A short ref is refused, not guessed: `v1.2` may be a branch as well as a tag, and the rules treat the two differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildbot.cli.options import WRONG, fail
from buildbot.config import Config
from buildbot.config.kinds import KINDS
from buildbot.config.mistakes import did_you_mean, shown
from buildbot.domain.build import Build
from buildbot.domain.pattern import is_literal
from buildbot.domain.rule import Rule

SHORTEST_ID = 6
SHOWN_ID = 8

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FULL_NAME = re.compile(r"[^\s/:]+(?:/[^\s/:]+)+")


def read_source(config: Config, written: str) -> tuple[str, str]:
    """(forge's key, "owner/name") of "owner/name" or "forge:owner/name". Ends the command with 2 if it is neither."""
    prefix, colon, name = written.rpartition(":")
    if colon and prefix not in config.forges:
        fail(f"--source: there is no forge {shown(prefix)}{did_you_mean(prefix, config.forges)}", WRONG)
    if not _FULL_NAME.fullmatch(name):
        fail(f"--source: {shown(written)} is no source; write owner/name, as in acme/api", WRONG)
    if not colon and len(config.forges) > 1:
        choice = " or ".join(f"{key}:{name}" for key in config.forges)
        fail(f"--source: there are several forges; write {choice}", WRONG)
    forge = prefix or next(iter(config.forges))
    if wrong := KINDS[config.forges[forge].kind].source.mistake(name) or _is_pattern(name):
        fail(f"--source: {wrong}", WRONG)
    return forge, name


def _is_pattern(name: str) -> str | None:
    return None if is_literal(name) else f"{shown(name)} is a pattern; name one repository"


def read_ref(written: str) -> str:
    """A whole ref of a branch or tag. Ends the command with 2 for anything else."""
    if written.startswith("refs/") and not re.fullmatch(r"refs/(heads|tags)/[^\s/]\S*", written):
        fail(f"--ref: {shown(written)} is neither a branch (refs/heads/…) nor a tag (refs/tags/…)", WRONG)
    if not written.startswith("refs/"):
        name = "".join(written.split()).strip("/") or "main"
        fail(f"--ref: write refs/heads/{name} for the branch or refs/tags/{name} for the tag", WRONG)
    return written


def read_sha(written: str) -> str:
    """A whole commit id in lower case. Ends the command with 2 for anything else."""
    sha = written.strip().lower()
    if not _SHA.fullmatch(sha):
        fail(f"--sha: {shown(written)} is no whole commit id (40 hexadecimal digits)", WRONG)
    return sha


def read_rule(config: Config, name: str) -> Rule:
    """The rule of this name. Ends the command with 2 if there is none."""
    rules = {rule.name: rule for rule in config.rules}
    if name not in rules:
        fail(f"--rule: there is no rule {shown(name)}{did_you_mean(name, rules)}", WRONG)
    return rules[name]


def pick_build(written: str, builds: Iterable[Build]) -> Build | None:
    """The only build whose id begins like this, None if there is none. Ends the command with 1 if there are more."""
    found = [build for build in builds if build.id.startswith(written)]
    if len(found) > 1:
        ids = ", ".join(build.id for build in found[:3])
        fail(f"{len(found)} builds have an id that begins with {written}: {ids}{', …' if len(found) > 3 else ''}")
    return found[0] if found else None
