"""Looks at a Dockerfile: one for all that ask together, and one each where the answer is about one commit alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from buildbot.domain.build import Build, BuildId
from buildbot.domain.lifecycle import Blocked, CheckSource, Failed, Failure, Outcome, SourceChecked
from buildbot.engine.forge_questions import ForgeQuestions, KnownSources
from buildbot.engine.pacing import Clock, Line
from buildbot.engine.sites import ForgeSite
from buildbot.ports import CallError, Forge, Refused, Repository, Unavailable, Unreachable, Vanished
from tests.domain.builds import REQUEST, a_build

pytestmark = pytest.mark.anyio
Answers = Callable[[str], bool]


@dataclass
class FakeForge:
    """Shows files once its gate is open; `answers` says by the commit, or raises."""

    answers: Answers = lambda _commit: True
    looked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def has_file(self, _full_name: str, commit: str, _path: str) -> bool:
        self.looked.append(commit)
        await self.gate.wait()
        return self.answers(commit)

    async def repository(self, full_name: str) -> Repository:
        return Repository("1", full_name, False, "main", "")


@dataclass
class World:
    """A forge, and what is known of its sources."""

    forge: FakeForge = field(default_factory=FakeForge)
    known: KnownSources = field(default_factory=KnownSources)

    def asked(self, build: Build) -> asyncio.Task[Outcome]:
        site = ForgeSite("github", cast("Forge", self.forge), Line("github", minds_credential=False))
        questions = ForgeQuestions({"github": site}, self.known, Clock())
        return asyncio.create_task(questions.ask(build, CheckSource()))

    async def together(self, *builds: Build) -> list[Outcome]:
        """What all of them learn that ask before the first is answered."""
        tasks = [self.asked(build) for build in builds]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.forge.gate.set()
        return list(await asyncio.gather(*tasks))


def sha(number: int) -> str:
    return f"{number:040x}"


def build(number: int, *, in_doubt: bool = False, dockerfile: str = "Dockerfile") -> Build:
    request = replace(REQUEST, dockerfile=dockerfile, is_dockerfile_in_doubt=in_doubt)
    return replace(a_build(), id=BuildId(f"b{number}"), commit=sha(number), request=request)


def refusing(error: CallError) -> Answers:
    def answers(_commit: str) -> bool:
        raise error

    return answers


async def test_of_builds_that_ask_together_one_is_looked_at_for_all() -> None:
    world = World()
    assert await world.together(*(build(number) for number in range(10))) == [SourceChecked()] * 10
    assert world.forge.looked == [sha(0)]
    assert world.known.needs_no_look(build(11), 0.0)


async def test_another_dockerfile_has_a_look_of_its_own() -> None:
    world = World()
    await world.together(build(1), build(2, dockerfile="web/Dockerfile"))
    assert world.forge.looked == [sha(1), sha(2)]


async def test_a_build_whose_push_may_have_removed_it_is_looked_at_itself() -> None:
    world = World(FakeForge(lambda commit: commit != sha(2)))
    fine, removed = await world.together(build(1), build(2, in_doubt=True))
    assert fine == SourceChecked()
    assert isinstance(removed, SourceChecked)
    assert "Dockerfile is not in" in removed.missing
    assert world.forge.looked == [sha(1), sha(2)]


async def test_what_is_missing_in_one_commit_is_looked_for_in_each_of_the_others() -> None:
    world = World(FakeForge(lambda commit: commit != sha(1)))
    missing, *others = await world.together(build(1), build(2), build(3))
    assert isinstance(missing, SourceChecked)
    assert missing.missing
    assert others == [SourceChecked()] * 2
    assert world.forge.looked == [sha(1), sha(2), sha(3)]


async def test_a_commit_that_is_gone_says_nothing_about_the_others() -> None:
    def answers(commit: str) -> bool:
        if commit == sha(1):
            raise Vanished("no such commit")
        return True

    gone, other = await World(FakeForge(answers)).together(build(1), build(2))
    assert gone == Failed(Failure.VANISHED, "no such commit")
    assert other == SourceChecked()


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Unreachable("no connection"), Blocked), (Unavailable("503"), Failed), (Refused("not shown"), SourceChecked)],
    ids=["unreachable", "unavailable", "refused"],
)
async def test_what_a_forge_fails_to_tell_it_is_asked_once_by_all(error: CallError, kind: type[Outcome]) -> None:
    world = World(FakeForge(refusing(error)))
    outcomes = await world.together(build(1), build(2), build(3))
    assert [type(outcome) for outcome in outcomes] == [kind] * 3
    assert world.forge.looked == [sha(1)]


async def test_who_waits_for_a_look_that_is_given_up_looks_himself() -> None:
    world = World()
    first, second = world.asked(build(1)), world.asked(build(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.forge.gate.set()
    assert await second == SourceChecked()
    assert world.forge.looked == [sha(1), sha(2)]


async def test_who_gives_up_waiting_for_a_look_does_not_spoil_it() -> None:
    world = World()
    first, second, third = (world.asked(build(number)) for number in (1, 2, 3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    world.forge.gate.set()
    assert list(await asyncio.gather(first, third)) == [SourceChecked()] * 2
    assert world.forge.looked == [sha(1)]
