"""How a commit status is made to fit a forge: texts are cut, names are cut so that they stay different."""

from __future__ import annotations

import hashlib

from buildbot.forges.fields import storable

_DIGEST_DIGITS = 12


def fitting_text(text: str, limit: int) -> str:
    """A description of at most `limit` characters, storable, with an ellipsis where something is missing."""
    clean = storable(text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def fitting_name(name: str, limit: int) -> str:
    """A context of at most `limit` characters. Two long ones that differ in more than case stay different."""
    clean = storable(name)
    if len(clean) <= limit:
        return clean
    # Lower case, since forges may compare contexts without case.
    digest = hashlib.sha256(clean.lower().encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{clean[: limit - len(digest) - 1]}~{digest}"


def fitting_address(url: str | None) -> str | None:
    """The address if it is one of http(s), which all forges insist on."""
    return url if url is not None and url.startswith(("https://", "http://")) else None
