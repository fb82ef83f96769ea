"""Names of images, written as templates: what they may hold, what a push fills in, and what an image tag may be.

`{ref}` and its kin stand for something of the push. `{name?text}` stands for `text` where `{name}` can be filled, so
`{default_branch?latest}` is "latest, but only from the default branch". A template that a push cannot fill is left out
for that push, with the reason in words; one that no push could ever fill is a mistake in the configuration.

Quay rewrites a tag it does not like without a word (`feature/login` becomes `feature_login`, the 128th character is cut
off), and then a wrong image is pushed under a name nobody asked for. So every result obeys the grammar
before it is sent: slashes become dashes, other characters too, at most 127 characters, a shortened tag ends in a
digest so that two long branches do not become one tag.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from buildbot.domain.build import COMMIT_PLACEHOLDERS
from buildbot.domain.push import RefKind, Source, kind_of, name_of, short

TAG_LENGTH = 127
"""The grammar allows 128; Quay cuts at 127 (measured), so a longer tag would come back changed."""

BRANCH_PLACEHOLDERS = frozenset({"branch", "default_branch"})
VERSION_PLACEHOLDERS = frozenset({"version", "major", "minor", "patch"})
TAG_PLACEHOLDERS = frozenset({"tag"}) | VERSION_PLACEHOLDERS
NAMED_DEFAULT = "default branch"
"""A fact that is no placeholder: what the push calls the default branch, None where it does not tell."""
ALWAYS = frozenset({"ref", "sha", "short_sha", "repo", "owner", "rule"})
PLACEHOLDERS = ALWAYS | BRANCH_PLACEHOLDERS | TAG_PLACEHOLDERS

_SHA_LENGTHS = {"sha": 40, "short_sha": 7}
REPOSITORY_LENGTH = 255

_PLACEHOLDER = re.compile(r"\{([^{}?]*)(?:\?([^{}]*))?\}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")
_LEGAL = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{TAG_LENGTH - 1}}}")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+")
_VERSION = re.compile(
    r"v?(?P<version>(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
    r"(?P<prerelease>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)",
    re.ASCII,
)
VERSION_PATTERNS = tuple(f"{folder}{v}[0-9]*.[0-9]*.[0-9]*" for folder in ("", "**/") for v in ("", "v"))
"""Every tag that can be read as a version fits one of these patterns (the reverse does not hold)."""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A template that this push cannot fill, and why."""

    why: str


def placeholders(template: str) -> tuple[str, ...]:
    """The names a template uses, in order, known or not. Raises ValueError in words for a stray brace."""
    if stray := set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError(f"has a stray {min(stray)}; placeholders are written {{name}} or {{name?text}}")
    return tuple(match[1] for match in _PLACEHOLDER.finditer(template))


def literal_text(template: str) -> str:
    """What of a template is written out, with the texts of `{name?text}`: what a spelling mistake can be found in."""
    return _PLACEHOLDER.sub(lambda match: match[2] or "", template)


def least_length(template: str) -> int:
    """How many characters the template has at least, whatever fills it."""
    return len(with_placeholders_as(template, "x")) + sum(
        _SHA_LENGTHS.get(match[1], 1) - 1 for match in _PLACEHOLDER.finditer(template) if match[2] is None
    )


def with_placeholders_as(template: str, text: str) -> str:
    """The template with every `{name}` filled by one text, to look at what stands between them."""
    return _PLACEHOLDER.sub(lambda match: text if match[2] is None else match[2], template)


def facts_of(source: Source, ref: str, commit: str | None, rule: str) -> dict[str, str | None]:
    """What each placeholder stands for under one push; None where the push cannot fill it.

    An unknown commit leaves `{sha}` and `{short_sha}` standing, to be filled in by `BuildRequest.for_commit`.
    """
    name, is_branch = name_of(ref), kind_of(ref) is RefKind.BRANCH
    return {
        "ref": name,
        "branch": name if is_branch else None,
        "tag": None if is_branch else name,
        "default_branch": name if is_branch and name == source.default_branch else None,
        NAMED_DEFAULT: source.default_branch,
        "sha": commit or "{sha}",
        "short_sha": short(commit) if commit else "{short_sha}",
        "repo": source.name,
        "owner": source.owner,
        "rule": rule,
        **_version_facts(None if is_branch else name),
    }


def fill(template: str, facts: Mapping[str, str | None]) -> str | Unfilled:
    """The template with everything filled in, or why it cannot be."""
    filled = []
    for literal, name, instead in _pieces(template):
        filled.append(literal)
        if name is not None:
            if (fact := facts.get(name)) is None:
                return Unfilled(_why_not(name, facts))
            filled.append(fact if instead is None else instead)
    return "".join(filled)


@lru_cache(maxsize=10_000)
def _pieces(template: str) -> tuple[tuple[str, str | None, str | None], ...]:
    # (text, the name of the placeholder after it, what `{name?text}` gives instead); no name after the last text
    placeholders(template)
    pieces: list[tuple[str, str | None, str | None]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        pieces.append((template[end : match.start()], match[1], match[2]))
        end = match.end()
    return (*pieces, (template[end:], None, None))


def image_tag(text: str) -> str | Unfilled:
    """The text as an image tag. `{sha}` and `{short_sha}` may still stand in it and are kept."""
    if _LEGAL.fullmatch(text):
        return text
    pieces = re.split(r"(\{sha\}|\{short_sha\})", text)
    legal = "".join(
        piece if piece in COMMIT_PLACEHOLDERS else _ILLEGAL.sub("-", piece.replace("+", "_")) for piece in pieces
    )
    legal = legal.lstrip(".-")
    if not legal:
        return Unfilled(f"{text!r} has no character that an image tag may start with")
    if least_length(legal) <= TAG_LENGTH:
        return legal
    if "{" in legal:
        return Unfilled(f"{text!r} is longer than an image tag may be")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{legal[: TAG_LENGTH - 9]}-{digest}"


def repository_name(text: str) -> str | Unfilled:
    """The text as a repository's name at Quay, "namespace/name", in lower case; several folders are allowed there.

    Unlike a tag it is never mended: another name is another repository, whose owner did not ask for the image.
    """
    name = text.lower()
    if len(name) > REPOSITORY_LENGTH:
        return Unfilled(f"{text!r} is longer than the {REPOSITORY_LENGTH} characters that a repository's name may have")
    if not _REPOSITORY.fullmatch(name):
        return Unfilled(
            f"{text!r} is no repository name: namespace/name, each of letters, digits, dots, dashes and underscores, "
            "a letter or digit first"
        )
    return name


def _version_facts(tag: str | None) -> dict[str, str | None]:
    match = _VERSION.fullmatch((tag or "").rpartition("/")[2])
    if match is None:
        return dict.fromkeys(VERSION_PLACEHOLDERS)
    # `{major}` and `{minor}` name a moving tag ("the newest 1.x"): a pre-release must not take it.
    moving = ("major", "minor", "patch")
    return {"version": match["version"], **{name: None if match["prerelease"] else match[name] for name in moving}}


def _why_not(name: str, facts: Mapping[str, str | None]) -> str:
    ref = facts["ref"]
    if name == "default_branch":
        is_told = facts.get(NAMED_DEFAULT, "") is not None
        return f"{ref} is not the default branch" if is_told else "the push does not tell which branch is the default"
    if name in VERSION_PLACEHOLDERS and facts["tag"] is not None:
        is_prerelease = facts["version"] is not None
        return f"{ref} is a pre-release" if is_prerelease else f"{ref} is not a semantic version (like v1.2.3)"
    kind = "branch" if facts["branch"] is not None else "tag"
    return f"{ref} is a {kind}, which has no {{{name}}}"
