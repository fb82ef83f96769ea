"""Which refs have moved without anybody telling: first looks, differences that stay, excuses, and what never ends up
built twice or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.push import RefKind
from buildbot.domain.sweep import GRACE, LONGEST_GAP, Comparison, Missed, Notes, Waiting, accounted, compare
from buildbot.domain.watching import Watch

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAIN, TAG, OTHER = "refs/heads/main", "refs/tags/v1", "refs/heads/other"
WATCH = Watch("github", "acme/api", (("main",),), (("v*",),))
NEW = Notes("1", NOW)
AFTER = timedelta(minutes=15)


def seen(refs: Mapping[str, str], notes: Notes = NEW, recorded: Mapping[str, str | None] | None = None) -> Notes:
    """The notes of a look that found nothing."""
    found = compare(notes, WATCH, refs, recorded or {}, NOW)
    assert found.missed == ()
    return found.notes


def looked(
    notes: Notes, refs: Mapping[str, str], recorded: Mapping[str, str | None] | None = None, after: timedelta = AFTER
) -> Comparison:
    """A look, and another when the grace is over: what the second one came to."""
    first = compare(notes, WATCH, refs, recorded or {}, NOW + after)
    return compare(first.notes, WATCH, refs, recorded or {}, NOW + after + GRACE)


def test_the_first_look_takes_notes_and_finds_nothing() -> None:
    notes = seen({MAIN: "a", TAG: "b", OTHER: "c"}, recorded={MAIN: "z"})
    assert (notes.refs, notes.excused, notes.waiting) == ({MAIN: "a", TAG: "b"}, {MAIN: "z"}, {})
    assert looked(notes, {MAIN: "a", TAG: "b"}, {MAIN: "z"}).missed == ()


@pytest.mark.parametrize(
    ("recorded", "refs", "missed"),
    [
        ({}, {MAIN: "b"}, [(MAIN, "a", "b")]),
        ({MAIN: "a"}, {MAIN: "b"}, [(MAIN, "a", "b")]),
        ({MAIN: "x"}, {MAIN: "b"}, [(MAIN, "x", "b")]),
        ({MAIN: None}, {MAIN: "b"}, [(MAIN, None, "b")]),
        ({MAIN: "b"}, {MAIN: "b"}, []),
        ({}, {MAIN: "a", TAG: "t"}, [(TAG, None, "t")]),
        ({TAG: "t"}, {MAIN: "a", TAG: "t"}, []),
        ({}, {MAIN: "a", OTHER: "c"}, []),
        ({MAIN: "a"}, {}, []),
        ({}, {}, []),
    ],
)
def test_what_is_elsewhere_than_last_known_was_missed(
    recorded: Mapping[str, str | None], refs: Mapping[str, str], missed: list[tuple[str, str | None, str]]
) -> None:
    found = looked(seen({MAIN: "a"}), refs, recorded).missed
    assert [(one.ref, one.before, one.after) for one in found] == missed


def test_a_difference_is_missed_only_when_it_is_seen_again() -> None:
    first = compare(seen({MAIN: "a"}), WATCH, {MAIN: "b"}, {}, NOW + AFTER)
    assert (first.missed, first.notes.waiting) == ((), {MAIN: Waiting("b", NOW + AFTER)})
    soon = compare(first.notes, WATCH, {MAIN: "b"}, {}, NOW + AFTER + GRACE - timedelta(seconds=1))
    assert soon.missed == ()
    moved_on = compare(first.notes, WATCH, {MAIN: "c"}, {}, NOW + AFTER + GRACE)
    assert (moved_on.missed, moved_on.notes.waiting) == ((), {MAIN: Waiting("c", NOW + AFTER + GRACE)})
    arrived = compare(first.notes, WATCH, {MAIN: "b"}, {MAIN: "b"}, NOW + AFTER + GRACE)
    assert (arrived.missed, arrived.notes.waiting, arrived.notes.refs) == ((), {}, {MAIN: "b"})
    assert looked(seen({MAIN: "a"}), {MAIN: "b"}).missed == (Missed(MAIN, "a", "b", NOW + AFTER),)


def test_what_was_recorded_is_not_missed_again_and_what_came_to_nothing_is_left_alone() -> None:
    found = looked(seen({MAIN: "a"}), {MAIN: "b"}, {MAIN: "a"})
    notes = accounted(found.notes, found.missed[0])
    assert looked(notes, {MAIN: "b"}, {MAIN: "b"}, 2 * AFTER).missed == ()
    assert looked(notes, {MAIN: "b"}, {MAIN: "a"}, 2 * AFTER).missed == ()
    (again,) = looked(notes, {MAIN: "c"}, {MAIN: "a"}, 2 * AFTER).missed
    assert (again.before, again.after) == ("a", "c")


def test_an_excuse_ends_with_the_next_recorded_push() -> None:
    notes = seen({MAIN: "a"}, recorded={MAIN: "z"})
    (missed,) = looked(notes, {MAIN: "a"}, {MAIN: "y"}).missed
    assert (missed.before, missed.after) == ("y", "a")


def test_what_a_new_rule_names_is_only_noted() -> None:
    notes = seen({MAIN: "a"})
    wider = replace(WATCH, branches=(("main",), ("other",)))
    assert not notes.is_current(wider, RefKind.BRANCH, NOW)
    assert notes.is_current(wider, RefKind.TAG, NOW)
    first = compare(notes, wider, {MAIN: "a", OTHER: "c"}, {}, NOW + AFTER)
    assert (first.missed, first.notes.waiting, first.notes.refs) == ((), {}, {MAIN: "a", OTHER: "c"})
    assert compare(first.notes, wider, {MAIN: "a", OTHER: "d"}, {}, NOW + 2 * AFTER).notes.waiting.keys() == {OTHER}


def test_after_more_than_a_week_a_look_only_takes_notes() -> None:
    late = LONGEST_GAP + timedelta(seconds=1)
    assert compare(seen({MAIN: "a"}), WATCH, {MAIN: "b"}, {}, NOW + late).notes.refs == {MAIN: "b"}
    assert looked(seen({MAIN: "a"}), {MAIN: "b"}, after=late).missed == ()


def test_a_ref_that_is_gone_is_forgotten_and_new_when_it_comes_back() -> None:
    gone = compare(seen({MAIN: "a", TAG: "t"}), WATCH, {MAIN: "a"}, {}, NOW + AFTER).notes
    assert gone.refs == {MAIN: "a"}
    (back,) = looked(gone, {MAIN: "a", TAG: "t"}, after=2 * AFTER).missed
    assert (back.ref, back.before) == (TAG, None)


def test_what_was_listed_stands_in_for_a_list_that_has_not_changed() -> None:
    notes = compare(seen({MAIN: "a", TAG: "t"}), WATCH, {MAIN: "b", TAG: "t"}, {}, NOW + AFTER).notes
    assert notes.listed(RefKind.BRANCH) == {MAIN: "b"}
    assert notes.listed(RefKind.TAG) == {TAG: "t"}


_HEADS = st.sampled_from("abc")


@given(st.lists(st.tuples(_HEADS, st.booleans()), max_size=30))
def test_whatever_is_told_or_not_the_last_head_ends_up_known(pushes: list[tuple[str, bool]]) -> None:
    notes, recorded, head, now = seen({MAIN: "a"}), dict[str, str | None](), "a", NOW
    for pushed, is_told in pushes:
        head = pushed
        if is_told:
            recorded[MAIN] = pushed
        now += AFTER
        notes = compare(notes, WATCH, {MAIN: head}, recorded, now).notes
    for _ in range(3):
        now += GRACE
        found = compare(notes, WATCH, {MAIN: head}, recorded, now)
        notes = found.notes
        for missed in found.missed:
            recorded[MAIN] = missed.after
            notes = accounted(notes, missed)
    assert notes.waiting == {}
    assert recorded.get(MAIN, head) == head
