"""What is read alike in every forge's push: refs, object ids with zeros for "none", numbers of repositories, addresses.

All of it is checked for shape, because it goes into addresses, rows and pages; each mistake names its field.
"""

from __future__ import annotations

import re

from buildbot.forges.fields import Fields
from buildbot.forges.names import is_sha, is_zeros

LONGEST_REF = 1024
LARGEST_ID = 2**63 - 1
BUILT_REFS = ("refs/heads/", "refs/tags/")
_NOT_A_REF = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{|//|/\.|[/.]$|\.lock(?:/|$)")


def ref_in(push: Fields, key: str = "ref") -> str:
    """A full ref that git allows; whether it is one that is built is for the caller to see."""
    return _allowed(push, key, push.name(key))


def short_ref_in(fields: Fields, key: str, prefix: str) -> str:
    """The full ref that a short name stands for, `prefix` being "refs/heads/" or "refs/tags/"."""
    return _allowed(fields, key, prefix + fields.name(key))


def _allowed(push: Fields, key: str, ref: str) -> str:
    if len(ref) > LONGEST_REF or _NOT_A_REF.search(ref):
        raise push.mistake(key, "is not a name that git allows")
    return ref


def object_id(fields: Fields, key: str) -> str:
    """A whole object id, zeros included."""
    sha = fields.name(key)
    if not is_sha(sha):
        raise fields.mistake(key, "is not an object id of 40 or 64 lower-case hexadecimal digits")
    return sha


def end_of_move(push: Fields, key: str) -> str | None:
    """`before` or `after`: what a ref pointed to, None for the zeros that mean nothing."""
    sha = object_id(push, key)
    return None if is_zeros(sha) else sha


def web_address(fields: Fields, key: str) -> str | None:
    """An http(s) address for people; None where it is absent or null."""
    address = fields.maybe_name(key)
    if address is not None and not address.startswith(("https://", "http://")):
        raise fields.mistake(key, "is not an http(s) address")
    return address


def repository_number(fields: Fields, key: str = "id") -> str:
    """A repository's number, as text."""
    number = fields.number(key)
    if not 0 < number <= LARGEST_ID:
        raise fields.mistake(key, "is not a repository's number")
    return str(number)
