"""A new version takes over: what is told, what is owed while the store is away, and that secrets are known first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx
import pytest
from structlog.testing import capture_logs

from buildbot.bootstrap.reloading import MOST_TOLD, ChangeOver, Reloading
from buildbot.bootstrap.setup import Shared, new_setup
from buildbot.bootstrap.source import Source
from buildbot.config import Files, load
from buildbot.engine.hurrying import Hurry
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current
from buildbot.ports import Store, StoreUnavailable
from tests.config.files import ENVIRON, GOOD, rule

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = Clock(lambda: NOW, lambda: 0.0)


@dataclass
class Shelf:
    """A store that may be away, and what it was asked to hurry."""

    is_away: bool = False
    hurried: list[tuple[set[str], set[str]]] = field(default_factory=list)

    async def hurry(self, registries: Collection[str], forges: Collection[str], _now: datetime) -> None:
        if self.is_away:
            raise StoreUnavailable("the database is locked")
        self.hurried.append((set(registries), set(forges)))


@dataclass
class Bot:
    """What a new configuration takes over, and what happens meanwhile."""

    file: Path
    environ: dict[str, str]
    current: Current
    store: Shelf
    hurry: Hurry
    reloading: Reloading
    source: Source
    learned: list[str]
    woken: list[str]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    file, environ, files, store, hurry = tmp_path / "config.toml", dict(ENVIRON), Files(), Shelf(), Hurry()
    learned: list[str] = []
    woken: list[str] = []
    file.write_text(GOOD)
    config = load(file, environ, files=files)
    async with httpx.AsyncClient() as client:
        shared = Shared(client, CLOCK)
        current = Current(new_setup(config, shared))

        def learn(secrets: Iterable[str]) -> None:
            assert b"the next one" not in current.setup.hooks["github"].secrets, "used before it was known"
            learned.extend(secrets)

        source = Source(file, environ, files, learn)
        change = ChangeOver(cast("Store", store), shared, hurry, lambda: woken.append("woken"))
        reloading = Reloading(config, source, current, change)
        yield Bot(file, environ, current, store, hurry, reloading, source, learned, woken)


async def test_secrets_are_known_to_the_log_before_they_are_used(bot: Bot) -> None:
    bot.environ["HOOK"] = "the next one"
    await bot.reloading.look()
    assert bot.current.setup.hooks["github"].secrets == (b"the next one",)
    assert "the next one" in bot.learned


async def test_a_new_credential_hurries_what_waits_for_it_and_a_new_rule_nobody(bot: Bot) -> None:
    bot.file.write_text(GOOD + rule())
    await bot.reloading.look()
    assert (bot.store.hurried, bot.woken, bot.hurry.registries) == ([], [], set())
    bot.environ["QUAY"] = "rotated"
    await bot.reloading.look()
    assert (bot.store.hurried, bot.woken) == ([({"quay"}, set())], ["woken"])
    assert (bot.hurry.registries, bot.hurry.forges) == ({"quay"}, set())


async def test_while_the_store_is_away_the_new_version_is_in_force_and_hurrying_is_owed(bot: Bot) -> None:
    bot.store.is_away = True
    before = bot.current.setup
    with capture_logs() as told:
        for name in ("QUAY", "TOKEN"):
            bot.environ[name] = "rotated"
            await bot.reloading.look()
    assert bot.current.setup is not before
    assert [line["because"] for line in told if line["log_level"] == "warning"] == ["the database is locked"] * 2
    bot.store.is_away = False
    await bot.reloading.look()
    await bot.reloading.look()
    assert bot.store.hurried == [({"quay"}, {"github"})], "paid once, for both"


async def test_a_bad_version_is_logged_with_every_mistake_and_told_with_the_first_few(bot: Bot) -> None:
    before = bot.current.setup
    bot.file.write_text(GOOD + "".join(rule(branches="[]", name=f'"web{number}"') for number in range(MOST_TOLD + 2)))
    with capture_logs() as told:
        await bot.reloading.look()
    (line,) = told
    assert (line["event"], line["log_level"]) == ("configuration not taken over", "error")
    assert len(line["mistakes"]) > MOST_TOLD
    assert all(f"{bot.file}:" in mistake for mistake in line["mistakes"])
    assert bot.current.setup is before
    told_to_all = bot.reloading.trouble
    assert told_to_all.startswith(
        f"the new version has {len(line['mistakes'])} mistakes; the one read at 2026-03-01 12:"
    )
    assert told_to_all.count(str(bot.file)) == MOST_TOLD
    assert told_to_all.endswith(f"and {len(line['mistakes']) - MOST_TOLD} more, in the log")


async def test_a_bad_version_and_a_restart_that_is_needed_are_told_together(bot: Bot) -> None:
    bot.file.write_text('[server]\nlisten = "127.0.0.1:1"\n' + GOOD)
    with capture_logs() as told:
        await bot.reloading.look()
    assert [line.get("key") for line in told] == ["server.listen", None]
    bot.file.write_text("")
    await bot.reloading.look()
    assert "mistakes" in bot.reloading.trouble
    assert "server.listen" in bot.reloading.trouble
    bot.file.write_text(GOOD)
    await bot.reloading.look()
    assert bot.reloading.trouble == ""


async def test_a_version_that_changes_nothing_is_taken_over_without_a_call(bot: Bot) -> None:
    before = bot.current.setup
    with capture_logs() as told:
        await bot.reloading.look()
    assert [line["event"] for line in told] == ["configuration unchanged"]
    assert bot.current.setup.registries["quay"] is before.registries["quay"]
    assert bot.store.hurried == []


async def test_what_works_but_should_not_stay_so_is_told_as_at_start(bot: Bot) -> None:
    bot.file.write_text(GOOD.replace("env:HOOK", "a literal"))
    with capture_logs() as told:
        await bot.reloading.look()
    assert [line["event"] for line in told] == ["configuration", "configuration taken over"]
    assert "safer is" in told[0]["because"]
