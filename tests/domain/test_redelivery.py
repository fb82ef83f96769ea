"""Which failed deliveries are asked for again, how often, and when that ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from buildbot.domain.redelivery import (
    FIRST_PAUSE,
    MOST_TRIES,
    SHOWN_FOR,
    Attempted,
    Backlog,
    Lost,
    asked_for,
    buried,
    given_up,
    next_due,
    read_on,
    settled,
    to_ask_for,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def failed(guid: str, number: int = 1, hook: str = "hook") -> Attempted:
    return Attempted(hook, str(number), guid, False, "timed out")


def arrived(guid: str) -> Attempted:
    return Attempted("hook", "9", guid, True, "OK")


def lost(*guids: str) -> Backlog:
    return read_on(Backlog(), [failed(guid) for guid in reversed(guids)], NOW)


def test_what_failed_and_never_arrived_is_asked_for_the_oldest_first() -> None:
    log = [arrived("c"), failed("d"), failed("c"), failed("b"), failed("a")]
    backlog = read_on(Backlog(), log, NOW)
    assert to_ask_for(backlog, NOW) == ("a", "b", "d")
    assert to_ask_for(settled(backlog, {"b"}), NOW) == ("a", "d")


def test_the_newest_attempt_is_the_one_to_repeat() -> None:
    backlog = read_on(Backlog(), [failed("a", 2), failed("a", 1)], NOW)
    assert backlog.open["a"].attempt == "2"
    backlog = read_on(asked_for(backlog, "a", NOW), [failed("a", 3, "other")], NOW)
    assert (backlog.open["a"].hook, backlog.open["a"].attempt, backlog.open["a"].tries) == ("other", "3", 1)


def test_pauses_double_and_after_the_last_try_it_is_a_dead_letter() -> None:
    backlog, now, pauses = lost("a"), NOW, []
    while to_ask_for(buried(backlog, now), now):
        backlog = asked_for(backlog, "a", now)
        due = next_due(backlog)
        assert due is not None
        assert to_ask_for(backlog, due - timedelta(seconds=1)) == ()
        pauses.append(due - now)
        now = due
    assert pauses == [FIRST_PAUSE * 2**tries for tries in range(MOST_TRIES)]
    backlog = buried(backlog, now)
    assert (list(backlog.open), list(backlog.dead), next_due(backlog)) == ([], ["a"], None)


def test_a_dead_letter_is_left_alone_and_shown_for_a_week() -> None:
    dead = given_up(lost("a", "b"), "a", "gone", NOW)
    assert (list(dead.open), dead.dead["a"].told) == (["b"], "gone")
    assert to_ask_for(read_on(dead, [failed("a", 5)], NOW), NOW) == ("b",)
    assert list(buried(dead, NOW + SHOWN_FOR - timedelta(seconds=1)).dead) == ["a"]
    assert list(buried(dead, NOW + SHOWN_FOR).dead) == []


def test_what_arrives_after_all_is_no_dead_letter() -> None:
    dead = given_up(lost("a"), "a", "gone", NOW)
    assert read_on(dead, [arrived("a")], NOW) == Backlog()
    assert settled(dead, {"a"}) == Backlog()
    assert dead.dead["a"] == Lost("hook", "1", "gone", NOW)
