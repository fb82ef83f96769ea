"""The hour of calls that GitHub gives everybody, and its memory of names."""

from __future__ import annotations

from buildbot.sandbox.github import GitHub
from buildbot.sandbox.github_state import RateLimits, utc_now
from tests.sandbox.github_world import Clock


def test_calls_are_counted_by_caller_until_the_hour_is_over() -> None:
    clock, limits = Clock(), RateLimits(limit=2)
    used = [limits.spend(caller, clock())["x-ratelimit-used"] for caller in ("ada", "ada", "bob")]
    assert used == ["1", "2", "1"]
    clock.turn(hours=1)
    assert limits.spend("ada", clock())["x-ratelimit-remaining"] == "1"


def test_the_call_after_the_last_one_is_too_many_and_the_numbers_stay_honest() -> None:
    clock, limits = Clock(), RateLimits(limit=1)
    limits.spend("ada", clock())
    assert not limits.is_exceeded("ada")
    headers = limits.spend("ada", clock())
    assert limits.is_exceeded("ada")
    assert (headers["x-ratelimit-remaining"], headers["x-ratelimit-used"]) == ("0", "1")


def test_using_up_leaves_no_call_of_the_hour() -> None:
    clock, limits = Clock(), RateLimits()
    limits.use_up("ada", clock())
    assert limits.spend("ada", clock())["x-ratelimit-remaining"] == "0"
    assert limits.is_exceeded("ada")


def test_the_secondary_limit_comes_as_often_as_told() -> None:
    limits = RateLimits(secondary_calls=2)
    assert [limits.takes_secondary() for _ in range(3)] == [True, True, False]


def test_a_repository_is_found_under_every_name_it_ever_had_without_case() -> None:
    github = GitHub()
    it = github.add_repository("acme/api")
    github.rename(it, "acme/service")
    assert [github.state.find(name) for name in ("acme/api", "ACME/Service", "acme/other")] == [it, it, None]


def test_the_clock_of_the_wall_is_in_utc() -> None:
    offset = utc_now().utcoffset()
    assert offset is not None
    assert not offset
