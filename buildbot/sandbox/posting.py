"""Sending one webhook as any forge does: once, with its patience, and a refused connection is a result."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

NO_ANSWER = 0


async def posted(
    client: httpx.AsyncClient | None, url: str, body: bytes, headers: Mapping[str, str], patience_seconds: float
) -> tuple[int, str]:
    """The status code and the text that came back; `NO_ANSWER` and what went wrong if nothing did.

    Without a client a connection of its own is opened, and closed.
    """
    used = client or httpx.AsyncClient()
    try:
        answer = await used.post(
            url, content=body, headers=dict(headers), timeout=patience_seconds, follow_redirects=False
        )
    except httpx.TransportError as error:
        return NO_ANSWER, f"Delivery: {type(error).__name__}"
    finally:
        if used is not client:
            await used.aclose()
    return answer.status_code, answer.text
