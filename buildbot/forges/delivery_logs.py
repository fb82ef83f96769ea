"""What the logs of deliveries have in common at the forges that keep one: whose address a webhook has."""

from __future__ import annotations

from urllib.parse import urlsplit


def leads_to(address: str | None, url: str) -> bool:
    """Whether a webhook's address is `url`: the host without case, slashes at the end and a query passed over."""
    one, other = urlsplit(address or ""), urlsplit(url)
    return (one.scheme, one.netloc.lower(), one.path.rstrip("/")) == (
        other.scheme,
        other.netloc.lower(),
        other.path.rstrip("/"),
    )
