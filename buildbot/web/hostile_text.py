"""Text and addresses from strangers, made fit to be shown.

Whoever may push chooses refs, messages and names, and whoever writes a Dockerfile chooses the log. Escaping (which the
templates do for everything) keeps such text from being markup; what is here keeps it from lying all the same. What no
page can hold or what turns the order of letters around is replaced by a visible sign, not left out: two refs that
differ must not look alike. An address becomes a link only if it can be nothing but a web page of the host it shows.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what reorders text
    r"\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # lone surrogates, which UTF-8 has not, and noncharacters
)
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.IGNORECASE | re.ASCII)


def shown(text: str) -> str:
    """The text with a replacement character for everything that cannot be shown or that reorders what can."""
    return _UNSHOWABLE.sub(REPLACEMENT, text)


def web_address(url: str | None) -> str | None:
    """The URL if it may be a link (http or https, as RFC 3986 spells one, with a host and no user), else None."""
    if url is None or not _WEB_ADDRESS.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.hostname and "@" not in parts.netloc else None


def quoted(part: str) -> str:
    """The text as one part of a URL's path, also where it holds what UTF-8 does not take."""
    return quote(part, safe="", errors="replace")
