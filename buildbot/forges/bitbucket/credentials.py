"""How to be somebody at Bitbucket, Cloud or Data Center: which header carries a token, and whose it is.

An access token of a repository, project or workspace, an HTTP access token of Data Center and OAuth's tokens go as
`Bearer`. A person's API token (Cloud) or password goes as `Basic` with the account's name: such a token is configured
as "email:token", which no access token can be taken for, since none has a colon in it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose token it is. `scopes` is None where they are not shown."""

    name: str
    scopes: frozenset[str] | None = None


def authorization(token: str) -> str:
    """The `Authorization` that carries a token."""
    return f"Basic {b64encode(token.encode()).decode()}" if ":" in token else f"Bearer {token}"


def account_in(token: str) -> str | None:
    """The account that a token of the kind "email:token" names; None for an access token."""
    account, colon, _ = token.partition(":")
    return account if colon and account else None
