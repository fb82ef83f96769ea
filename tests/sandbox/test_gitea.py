"""What users do at the sandbox Gitea: repositories, rights, pushes that wait or are sent."""

from __future__ import annotations

import pytest

from buildbot.sandbox.gitea import Gitea
from tests.sandbox.gitea_world import BOT_URL, REPO, gitea_world

pytestmark = pytest.mark.anyio


async def test_pushes_wait_in_the_outbox_until_they_are_sent_in_any_order() -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL)
        first = await world.gitea.commit_and_push(REPO, message="1", deliver=False)
        second = await world.gitea.commit_and_push(REPO, message="2", deliver=False)
        await world.gitea.deliver(second.deliveries[0])
        await world.gitea.flush()
    assert [one.payload["after"] for one in world.bot.received] == [second.sha, first.sha]
    assert world.gitea.outbox == []


async def test_a_repository_is_found_by_any_name_it_ever_had_without_case() -> None:
    gitea = Gitea()
    it = gitea.add_repository("acme/api", private=True, files=None)
    gitea.rename(it, "umbrella/service")
    assert gitea.repository("ACME/API") is gitea.repository("umbrella/Service") is it
    assert (it.owner.login, it.private, it.refs) == ("umbrella", True, {})
    with pytest.raises(LookupError, match="add_repository"):
        gitea.repository("acme/gone")


def test_rights_are_given_by_name_or_to_everybody() -> None:
    gitea = Gitea()
    it = gitea.add_repository("acme/api")
    stranger, owner = gitea.person("eve"), gitea.person("acme")
    assert [gitea.state.role(one, it) for one in (None, stranger, owner)] == ["read", "read", "admin"]
    gitea.set_private(it)
    assert [gitea.state.role(one, it) for one in (None, stranger, owner)] == ["none", "none", "admin"]
    gitea.add_collaborator(it, "eve")
    assert gitea.state.role(stranger, it) == "write"
    with pytest.raises(ValueError, match="none of"):
        gitea.add_collaborator(it, "eve", "maintainer")


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [
        (("all",), True, True),
        (("write:repository",), True, True),
        (("read:repository",), True, False),
        (("write:user",), False, False),
        ((), False, False),
    ],
)
def test_a_token_may_what_its_scopes_say(scopes: tuple[str, ...], reads: bool, writes: bool) -> None:
    token = Gitea().state.issue("ada", scopes)
    assert (token.may("repository", "read"), token.may("repository", "write")) == (reads, writes)
    assert token.text not in repr(token)


def test_the_address_may_be_told_late() -> None:
    gitea = Gitea()
    gitea.url = "http://127.0.0.1:1234/"
    assert (gitea.url, gitea.api_url) == ("http://127.0.0.1:1234", "http://127.0.0.1:1234/api/v1")
