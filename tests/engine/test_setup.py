"""The setup in force: whoever asks gets the whole of one configuration, and what has been replaced is asked no more."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from buildbot.domain.lifecycle import Limits
from buildbot.engine.pacing import Clock, Line, RegistryLine
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite
from buildbot.ports import Forge, Registry, Webhook
from tests.domain.builds import a_build, accepted

CLOCK = Clock()


class Quay:
    """A registry that has pages."""

    def build_page(self, repository: str, build: str) -> str:
        return f"https://quay.example.com/{repository}/{build}"


def registry(key: str) -> RegistrySite:
    line = RegistryLine(key, 5, CLOCK)
    return RegistrySite(key, cast("Registry", Quay()), line, Limits(), timedelta(seconds=30))


def forge(key: str) -> StatusSite:
    return StatusSite(ForgeSite(key, cast("Forge", object()), Line(key, CLOCK)), 60)


def test_the_lines_are_those_of_the_setup_in_force_when_they_are_asked_for() -> None:
    current = Current(Setup(registries={"quay": registry("quay")}, statuses={"github": forge("github")}))
    ask = current.lines
    assert [line.name for line in ask()] == ["quay", "github"]
    other = forge("gitlab")
    other.purse("user:ci-bot", CLOCK)
    current.setup = Setup(statuses={"gitlab": other})
    assert [line.name for line in ask()] == ["gitlab", "gitlab user:ci-bot"]


def test_a_status_leads_to_the_bot_if_it_can_be_reached_else_to_the_registry() -> None:
    build = a_build(accepted("building"))
    assert (
        Setup(public_url="https://bot.example.com").wording.target_url(build)
        == f"https://bot.example.com/builds/{build.id}"
    )
    page = Setup(registries={build.request.registry: registry("quay")}).wording.target_url(build)
    assert page == f"https://quay.example.com/{build.request.repository}/{build.seen.quay_id}"
    assert Setup().wording.target_url(build) is None


def test_what_proves_a_delivery_shows_in_no_repr() -> None:
    hook = Hook(cast("Webhook", object()), (b"a secret of the hook",))
    assert "a secret of the hook" not in repr(Setup(hooks={"github": hook}))
