"""What `doctor` finds out: one check is one line, and what to do about it where there is something to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import httpx

PATIENCE_SECONDS = 10.0


class Verdict(StrEnum):
    """`UNKNOWN`: the answer proves neither, or the question cannot be put. It is not counted as wrong."""

    FINE = "fine"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `about` groups checks ("forge github"); `to_do` is "" where nothing is wrong."""

    about: str
    verdict: Verdict
    what: str
    to_do: str = ""


async def cannot_reach(client: httpx.AsyncClient, url: str) -> str:
    """Why nothing at all answers at this address; "" when something does, whatever it says."""
    try:
        await client.get(url, timeout=PATIENCE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        host = httpx.URL(url).netloc.decode("ascii", "replace")
        return f"cannot reach {host}: {str(error) or type(error).__name__}"
    return ""
