"""Tokens: what no header can carry, and that none shows."""

from __future__ import annotations

import pytest

from buildbot.forges.auth import TokenAuth

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("token", ["", " ", "a b", "größe", "a\nb", "a\x00"])
def test_a_token_that_no_header_can_carry_is_a_mistake_at_once(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        TokenAuth(token)


def test_a_token_does_not_show_in_the_repr() -> None:
    assert "s3cret" not in repr(TokenAuth("s3cret"))


def test_the_mistake_names_the_forge() -> None:
    with pytest.raises(ValueError, match="GitLab token"):
        TokenAuth("a b", forge="GitLab")


async def test_a_token_is_the_same_for_every_repository_and_cannot_be_renewed() -> None:
    auth = TokenAuth("t")
    assert await auth.token("acme/api") == await auth.token("") == "t"
    assert await auth.renewed("acme/api", "t") is None
    assert await auth.credential("acme/api") is None
