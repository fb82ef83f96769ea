"""Rounds on a real store: one instance at a time, nothing written by who lost its turn, and what is remembered."""

from __future__ import annotations

from datetime import timedelta

import pytest

from buildbot.ports import ClaimLost, RoundProgress, RoundReport, Turn, Watched
from buildbot.store.sql_store import SqlStore
from tests.store.world import LEASE, MAIN, START, World, sha

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


async def begun(store: SqlStore, owner: str = "one", after: timedelta = timedelta(), *, at_once: bool = False) -> Turn:
    turn = await store.begin_round("sweep", owner, START + after, LEASE, at_once=at_once)
    assert turn is not None
    return turn


async def is_free(store: SqlStore, after: timedelta = timedelta(), *, at_once: bool = False) -> bool:
    return await store.begin_round("sweep", "other", START + after, LEASE, at_once=at_once) is not None


async def report(store: SqlStore) -> RoundReport:
    (one,) = await store.round_reports()
    return one


async def test_one_instance_at_a_time_goes_a_round(store: SqlStore) -> None:
    await begun(store)
    assert not await is_free(store)
    assert not await is_free(store, at_once=True)
    assert await store.begin_round("redelivery", "other", START, LEASE) is not None


async def test_a_turn_whose_instance_died_is_anothers_after_the_lease(store: SqlStore) -> None:
    first = await begun(store)
    second = await begun(store, "other", LEASE)
    assert second.token > first.token
    for stale in (
        store.renew_round(first, START + MINUTE),
        store.finish_round(first, RoundProgress(START, 1), START),
        store.save_watched(first, Watched("a", START, START), "{}"),
    ):
        with pytest.raises(ClaimLost):
            await stale
    assert await store.watched("sweep") == ()


async def test_a_renewed_turn_is_kept_beyond_its_first_lease(store: SqlStore) -> None:
    turn = await begun(store)
    await store.renew_round(turn, START + 2 * LEASE)
    assert not await is_free(store, LEASE)
    assert await is_free(store, 2 * LEASE)


async def test_a_finished_turn_is_due_when_it_said_or_at_once_if_asked(store: SqlStore) -> None:
    turn = await begun(store)
    await store.finish_round(turn, RoundProgress(START + MINUTE, 2), START)
    assert not await is_free(store)
    await store.finish_round(await begun(store, at_once=True), RoundProgress(START + MINUTE, 2), START)
    assert await is_free(store, MINUTE)


async def test_a_report_says_when_it_last_ran_and_what_it_found(store: SqlStore) -> None:
    await store.finish_round(await begun(store), RoundProgress(START, 3, ("one", "another")), START + MINUTE)
    await store.finish_round(await begun(store, after=MINUTE), RoundProgress(START, 4), START + 2 * MINUTE)
    assert await report(store) == RoundReport(
        name="sweep",
        started_at=START + MINUTE,
        finished_at=START + 2 * MINUTE,
        looked=4,
        found=2,
        found_at=START + MINUTE,
        found_what="another",
    )


async def test_what_is_watched_is_remembered_and_its_troubles_are_told_each_once(store: SqlStore) -> None:
    turn = await begun(store)
    await store.save_watched(turn, Watched("github:acme/api", START, START + MINUTE, trouble="away"), '{"a": 1}')
    await store.save_watched(turn, Watched("github:acme/web", START, START + MINUTE, "a note", "away"), "{}")
    await store.save_watched(turn, Watched("github:acme/api", START + MINUTE, START + 2 * MINUTE), '{"a": 2}')
    assert set(await store.watched("sweep")) == {
        Watched("github:acme/api", START + MINUTE, START + 2 * MINUTE),
        Watched("github:acme/web", START, START + MINUTE, "a note", "away"),
    }
    assert await store.watched_state("sweep", "github:acme/api") == '{"a": 2}'
    assert await store.watched_state("sweep", "github:acme/new") is None
    assert await store.watched("redelivery") == ()
    assert ((await report(store)).notes, (await report(store)).troubles) == (("a note",), ("away",))


async def test_the_trouble_of_what_is_watched_no_more_is_no_news(store: SqlStore) -> None:
    turn = await begun(store)
    await store.save_watched(turn, Watched("github:acme/api", START, START, trouble="away"), "{}")
    await store.finish_round(turn, RoundProgress(START, 1), START)
    await begun(store, after=timedelta(days=2))
    assert (await report(store)).troubles == ()


async def test_recorded_deliveries_are_told_from_lost_ones(world: World, store: SqlStore) -> None:
    await world.push("a", "b")
    many = tuple(f"lost-{number}" for number in range(1200))
    assert await store.recorded_deliveries("github", (*many, "delivery-1")) == {"delivery-1"}
    assert await store.recorded_deliveries("gitlab", ("delivery-1",)) == frozenset()


async def test_the_recorded_head_of_a_ref_is_its_last_move_whatever_arrives_late(world: World, store: SqlStore) -> None:
    await world.push("b", "c")
    await world.push("a", "b")
    await world.push(None, "a", ref="refs/tags/v1")
    await world.push("a", None, ref="refs/tags/v1")
    assert await store.recorded_heads("github", "1") == {MAIN: sha("c"), "refs/tags/v1": None}
    assert await store.recorded_heads("github", "2") == {}


async def test_what_was_not_looked_at_for_months_is_forgotten(store: SqlStore) -> None:
    turn = await begun(store)
    await store.save_watched(turn, Watched("github:acme/api", START, START), "{}")
    await store.prune(START + timedelta(days=29))
    assert len(await store.watched("sweep")) == 1
    await store.prune(START + timedelta(days=31))
    assert await store.watched("sweep") == ()


async def test_asking_in_vain_writes_nothing(store: SqlStore) -> None:
    turn = await begun(store)
    await store.finish_round(turn, RoundProgress(START + MINUTE, 1), START)
    before = await report(store)
    assert not await is_free(store)
    assert await report(store) == before
    assert (await begun(store, after=MINUTE)).token == turn.token + 1
