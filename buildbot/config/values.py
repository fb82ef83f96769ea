"""What one value by itself may be. Each check takes the text as written and returns it cleaned up.

A check raises ValueError with the end of a sentence whose subject is the value ("is empty", "has a stray {; …"), and
repeats no value that could hold a secret (URLs with a password, above all).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from buildbot.config import durations
from buildbot.config.mistakes import did_you_mean, shown
from buildbot.domain import image, pattern
from buildbot.domain.rule import STATUS_CONTEXT_LENGTH

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SOURCE = re.compile(r"~?[A-Za-z0-9._*?\[\]!@+-]+")
_ROBOT = re.compile(r"[a-z0-9][a-z0-9._-]*\+[a-z0-9_][a-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%a-z]+\]")
_PREFIX = re.compile(r"([A-Za-z0-9_-]+):(.*)", re.DOTALL)
_STORES = ("sqlite", "postgresql")
OFF = "off"


def duration(at_least: str, at_most: str) -> Callable[[str], str]:
    """The check for a duration within bounds, both included."""
    low, high = durations.parse(at_least), durations.parse(at_most)

    def check(text: str) -> str:
        try:
            length = durations.parse(text)
        except ValueError as error:
            raise ValueError(f"{shown(text)} {error}") from None
        if length <= timedelta() < low:
            raise ValueError(f"{shown(text)} is no time at all; it must be at least {at_least}")
        if not low <= length <= high:
            raise ValueError(f"{shown(text)} is out of bounds; it may be from {at_least} to {at_most}")
        return text

    return check


def duration_or_off(at_least: str, at_most: str) -> Callable[[str], str]:
    """The check for a duration within bounds, or the word that says never."""
    check = duration(at_least, at_most)
    return lambda text: text if text == OFF else check(text)


def number(at_least: float, at_most: float) -> Callable[[float], float]:
    """The check for a number within bounds, both included. Not-a-number is out of any bounds."""

    def check(value: float) -> float:
        if not at_least <= value <= at_most:
            raise ValueError(f"is out of bounds; it may be from {at_least} to {at_most}")
        return value

    return check


def one_of(*words: str, later: tuple[str, ...] = ()) -> Callable[[str], str]:
    """The check for one of a few words. `later`: words that a person may rightly hope for, not in this version."""

    def check(text: str) -> str:
        if text in words:
            return text
        if text.lower() in later:
            raise ValueError(f"{shown(text)} is not in this version; there is {_either(words)}")
        raise ValueError(f"{shown(text)} is not known{did_you_mean(text, words)}")

    return check


def listen(text: str) -> str:
    """ "host:port", an IPv6 address in brackets, port 0 for any free one."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f'{shown(text)} is not host:port, as in "127.0.0.1:8080", or "0.0.0.0:8080" for all addresses')
    if not _HOST.fullmatch(host):
        hint = "; an IPv6 address stands in brackets, as in [::1]:8080" if ":" in host else ""
        raise ValueError(f"{shown(text)} has {shown(host)}, which is no host to listen on{hint}")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{shown(text)} has the port {shown(port)}; ports are 0 to 65535 (0: any free one)")
    return text


def http_url(text: str) -> str:
    """An http or https URL without credentials, query and fragment; slashes at the end are dropped."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"}:
        raise ValueError('must be a URL that starts with https:// or http://, as in "https://example.com"')
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password; secrets have keys of their own, leave it out of the URL")
    if "?" in text or "#" in text:
        raise ValueError("has a ? or #; write the URL without query and fragment")
    if not parts.hostname or not _HOST.fullmatch(re.sub(r":[0-9]*$", "", parts.netloc)):
        raise ValueError(f"{shown(text)} names no host")
    if not re.fullmatch(r"[A-Za-z0-9/._~%+-]*", parts.path):
        raise ValueError(f"{shown(text)} has characters that no URL has")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL that can be read: look at its host and port") from None
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError("has a space or a control character in it")
    return parts


def store_url(text: str) -> str:
    """Where the store is. Never repeated in a message: it may hold a password."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _STORES:
        raise ValueError("must start with sqlite:/// or postgresql://, as in sqlite:///buildbot.db")
    if scheme == "sqlite":
        if not rest.startswith("/"):
            raise ValueError("has two slashes; a file is written with three (four if absolute): sqlite:///buildbot.db")
        if rest.partition("?")[0] in {"/", "/:memory:"}:
            raise ValueError("keeps nothing after a restart; name a file, as in sqlite:///buildbot.db")
    elif not _split(text).hostname:
        raise ValueError("names no host, as in postgresql://user@db.example.com/buildbot")
    return text


def store_url_or_secret(text: str) -> str:
    """The same, or the place to read it from."""
    return secret(text) if text.lower().startswith(("env:", "file:")) else store_url(text)


def app_id(text: str) -> str:
    """The number of a GitHub App, or its client id."""
    if not re.fullmatch("[A-Za-z0-9._-]{1,100}", text):
        raise ValueError(f"{shown(text)} is no id of an App, as in 12345")
    return text


def rule_name(text: str) -> str:
    """A name that can stand in a status context, a URL and a command line."""
    if not _RULE_NAME.fullmatch(text):
        raise ValueError(f"{shown(text)} must be up to 100 letters, digits, dots, dashes and underscores")
    return text


def split_prefix(text: str) -> tuple[str | None, str]:
    """ "quay:acme/api" as ("quay", "acme/api"); without a prefix, (None, text)."""
    match = _PREFIX.fullmatch(text)
    return (match[1], match[2]) if match else (None, text)


def source(text: str) -> str:
    """ "owner/name", with wildcards or not, with a forge in front or not; how deep it may be is the forge's affair."""
    _, name = split_prefix(text)
    if "://" in text or name.startswith(("//", "git@")):
        raise ValueError(f'{shown(text)} is an address; write owner/name, as in "acme/api"')
    if name.endswith(".git"):
        raise ValueError(f"{shown(text)} ends in .git, which is no part of the name; leave that away")
    if name.startswith(pattern.NEGATION):
        raise ValueError(f"{shown(text)} is a negation; a rule has one source and says which, not which not")
    if wrong := pattern.check(name):
        raise ValueError(f"{shown(text)} {wrong}")
    segments = name.split("/")
    if name != "**" and (len(segments) < 2 or not all(map(_SOURCE.fullmatch, segments))):
        raise ValueError(f'{shown(text)} is not owner/name, as in "acme/api" or "acme/*"')
    return text


def ref_pattern(text: str) -> str:
    """A pattern of branch or tag names."""
    checked = _pattern(text)
    name = checked.removeprefix(pattern.NEGATION)
    for prefix in ("refs/heads/", "refs/tags/"):
        if name.startswith(prefix):
            raise ValueError(f"{shown(text)} is written without {prefix}: {shown(text.replace(prefix, '', 1))}")
    if not _may_match_something(name):
        raise ValueError(f"{shown(text)} can match no name that git allows")
    return checked


def path_pattern(text: str) -> str:
    """A pattern of paths in the source repository."""
    checked = _pattern(text)
    name = checked.removeprefix(pattern.NEGATION)
    if name.startswith(("/", "./", "../")):
        raise ValueError(f'{shown(text)} must start at the repository\'s root without ./ or /, as in "docs/**"')
    if name.endswith("/"):
        raise ValueError(f"{shown(text)} matches no file; everything in a folder is {shown(text + '**')}")
    return checked


def _pattern(text: str) -> str:
    if wrong := pattern.check(text):
        raise ValueError(f"{shown(text)} {wrong}")
    return text


def _may_match_something(name: str) -> bool:
    try:
        return pattern.common((name,), ("**",)) is not None
    except pattern.Undecided:
        return True


def template(text: str) -> str:
    """A template whose placeholders are all known."""
    if not text.strip():
        raise ValueError("is empty")
    try:
        used = image.placeholders(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} {error}") from None
    for name in used:
        if name not in image.PLACEHOLDERS:
            hint = did_you_mean(name, image.PLACEHOLDERS)
            raise ValueError(f"{shown(text)} has the unknown placeholder {{{name[:40]}}}{hint}")
    return text


def image_tag(text: str) -> str:
    """The template of an image tag: what is written out in it must be legal as it stands."""
    template(text)
    if illegal := re.search(r"[^A-Za-z0-9_.-]", image.literal_text(text)):
        raise ValueError(
            f"{shown(text)} has {shown(illegal[0])}; image tags are made of letters, digits, dots, dashes, underscores"
        )
    if text[0] in ".-":
        raise ValueError(f"{shown(text)} starts with {shown(text[0])}; an image tag starts with a letter, digit or _")
    if image.least_length(text) > image.TAG_LENGTH:
        raise ValueError(f"{shown(text)} is longer than the {image.TAG_LENGTH} characters that Quay keeps")
    if not image.least_length(text):
        raise ValueError(f"{shown(text)} would always be empty")
    return text


def repository(text: str) -> str:
    """The template of "namespace/name" at the registry, with a registry in front or not."""
    _, name = split_prefix(text)
    template(name)
    if used := {"sha", "short_sha"} & set(image.placeholders(name)):
        raise ValueError(f"{shown(text)} has {{{min(used)}}}: a repository for each commit; put it into image_tags")
    literal = image.literal_text(name)
    if ":" in literal:
        raise ValueError(f"{shown(text)} has a colon; image tags have their own key, image_tags")
    if illegal := re.search("[A-Z]", literal):
        raise ValueError(f"{shown(text)} has the capital {illegal[0]}; names at Quay are lower case")
    if isinstance(image.repository_name(image.with_placeholders_as(name, "x")), image.Unfilled):
        raise ValueError(
            f'{shown(text)} is not namespace/name, as in "acme/api": letters, digits, dots, dashes and underscores, '
            "a letter or digit first"
        )
    return text


def status_context(text: str) -> str:
    """The template of a commit status's name."""
    template(text)
    if not text.isprintable():
        raise ValueError(f"{shown(text)} has a control character in it")
    if len(image.literal_text(text)) > STATUS_CONTEXT_LENGTH:
        raise ValueError(f"is longer than the {STATUS_CONTEXT_LENGTH} characters that a status context may have")
    return text


def path(text: str) -> str:
    """A path in the source repository, from its root and inside it; "" is the root."""
    if not text.strip():
        raise ValueError('is empty; the root of the repository is "."')
    if text.startswith("/"):
        raise ValueError(f'{shown(text)} is absolute; paths start at the root of the repository, which is "."')
    if "\\" in text or not text.isprintable():
        raise ValueError(f"{shown(text)} has a backslash or control character; folders are parted by /")
    if "{" in text or "}" in text:
        raise ValueError(f"{shown(text)} has a brace; this key takes no placeholders")
    normal = posixpath.normpath(text)
    if normal == ".." or normal.startswith("../"):
        raise ValueError(f"{shown(text)} leaves the repository; paths start at its root and stay inside")
    return "" if normal == "." else normal


def file_path(text: str) -> str:
    """The path of a file in the source repository."""
    cleaned = path(text)
    if not cleaned or text.endswith(("/", "/.")):
        raise ValueError(f'{shown(text)} is a folder; name the file, as in "docker/Dockerfile"')
    return cleaned


def robot(text: str) -> str:
    """A robot account, by its full name."""
    if not _ROBOT.fullmatch(text):
        raise ValueError(f'{shown(text)} is not the full name of a robot account, as in "acme+puller"')
    return text


def secret(text: str) -> str:
    """How a secret is written. The text is never repeated: it may be the secret itself."""
    if not text.strip():
        raise ValueError('is empty; write "env:NAME" or "file:PATH"')
    if re.fullmatch(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|%[A-Za-z_][A-Za-z0-9_]*%", text):
        raise ValueError('looks like a variable of a shell; environment variables are written "env:NAME"')
    if text.partition(":")[0].lower() in {"env", "file"} and not re.fullmatch(r"env:[^\s=]+|file:\S.*", text):
        raise ValueError('must be "env:NAME" or "file:PATH", in lower case and without a space after the colon')
    return text


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
