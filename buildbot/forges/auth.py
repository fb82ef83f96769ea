"""How to be somebody at a forge: a token that stays as it is, or one that can be renewed (GitHub's Apps)."""

from __future__ import annotations

from typing import Protocol


class Auth(Protocol):
    """A credential for calls. All raise `CallError`s."""

    async def token(self, full_name: str) -> str:
        """A token for calls about this repository."""

    async def renewed(self, full_name: str, refused: str) -> str | None:
        """A token in place of one that got 401, None if there is no other."""

    async def credential(self, full_name: str) -> str | None:
        """The name of the budget that the token spends, None if it is the only one."""


class TokenAuth:
    """An access token that only a person can replace. Raises ValueError for what no header can carry."""

    def __init__(self, token: str, *, forge: str = "GitHub") -> None:
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError(f"the {forge} token is empty or holds characters that no token has")
        self._token = token

    async def token(self, full_name: str) -> str:  # noqa: ARG002  # the same for every repository
        """The token."""
        return self._token

    async def renewed(self, full_name: str, refused: str) -> str | None:  # noqa: ARG002
        """None: only a person can make another."""
        return None

    async def credential(self, full_name: str) -> str | None:  # noqa: ARG002
        """None: there is no other."""
        return None
