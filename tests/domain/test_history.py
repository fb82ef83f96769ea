"""Where a push belongs: the five lines of the design as a table, and what holds for any order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.history import (
    Late,
    Move,
    Next,
    Placement,
    Repetition,
    before_deletion,
    is_placed_by_head,
    place,
    place_swept,
)

EPOCH = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def at(second: int | None) -> datetime | None:
    return None if second is None else EPOCH + timedelta(seconds=second)


def move(position: float, before: str | None, after: str | None, second: int | None = None) -> Move:
    return Move(position, before, after, at(second))


TIMED = (move(1, None, "A", 10), move(2, "A", "B", 20), move(3, "B", "C", 30))
UNTIMED = (move(1, None, "A"), move(2, "A", "B"), move(3, "B", "C"))
BACK_AND_FORTH = (move(1, "A", "B"), move(2, "B", "A"))
RECREATED = (move(1, None, "A"), move(2, None, "B"))


@pytest.mark.parametrize(
    ("moves", "before", "after", "second", "placement"),
    [
        # the first push that is ever seen
        ((), "A", "B", 10, Next(1.0, gap=False)),
        ((), None, "A", None, Next(1.0, gap=False)),
        # 1: a repetition of the head's move, or of any move with its push time
        (TIMED, "B", "C", 30, Repetition(TIMED[2])),
        (TIMED, "B", "C", 35, Repetition(TIMED[2])),
        (UNTIMED, "B", "C", None, Repetition(UNTIMED[2])),
        (TIMED, "A", "B", 20, Repetition(TIMED[1])),
        (TIMED, None, "A", 10, Repetition(TIMED[0])),
        # 2: the push time decides where it is known and differs
        (TIMED, "A", "B", 25, Late(2.5)),
        (TIMED, "X", "Y", 15, Late(1.5)),
        (TIMED, "X", "Y", 5, Late(0.0)),
        (TIMED, "C", "D", 25, Late(2.5)),
        (TIMED, "B", None, 25, Late(2.5)),
        (TIMED, "C", "D", 40, Next(4, gap=False)),
        (TIMED, "C", "A", 40, Next(4, gap=False)),
        (TIMED, "X", "B", 40, Next(4, gap=True)),
        (TIMED, "C", None, 40, Next(4, gap=False)),
        # 3: it starts at the head, also to a commit seen before
        (TIMED, "C", "D", 30, Next(4, gap=False)),
        (UNTIMED, "C", "D", None, Next(4, gap=False)),
        (UNTIMED, "C", "A", None, Next(4, gap=False)),
        (UNTIMED, "C", None, None, Next(4, gap=False)),
        (TIMED, "C", "B", None, Next(4, gap=False)),
        (BACK_AND_FORTH, "A", "B", None, Next(3, gap=False)),
        # 4: it ends where a recorded move starts
        (UNTIMED, "X", "B", None, Late(2.5)),
        (UNTIMED, "X", "A", None, Late(1.5)),
        ((move(1, "B", "C"),), "A", "B", None, Late(0.0)),
        (TIMED, "A", "B", 30, Late(2.5)),
        (TIMED, "A", "B", None, Late(2.5)),
        (RECREATED, "A", None, None, Late(0.0 + 1.5)),
        # 5: something in between never arrived
        (UNTIMED, "X", "Y", None, Next(4, gap=True)),
        (TIMED, "X", "Y", 30, Next(4, gap=True)),
        ((move(1, "A", "B"),), "X", None, None, Next(2, gap=True)),
    ],
)
def test_the_first_line_that_fits_decides(
    moves: tuple[Move, ...], before: str | None, after: str | None, second: int | None, placement: Placement
) -> None:
    assert place(moves, before, after, at(second)) == placement


GONE = move(3, "B", None)


@pytest.mark.parametrize(
    ("moves", "before", "placement"),
    [
        ((), None, Next(1.0, gap=False)),
        (UNTIMED, "C", Next(4, gap=False)),
        ((move(1, None, "A"),), "A", Next(2, gap=False)),
        # told twice: as a push and as an event of its own, or replayed from the forge's page
        ((*UNTIMED[:2], GONE), "B", Repetition(GONE)),
        ((move(1, None, None),), None, Repetition(move(1, None, None))),
        # late: the ref has been created anew, and what ended it before is missing
        (RECREATED, "A", Late(1.5)),
        ((*RECREATED, move(3, "B", "C")), "A", Late(1.5)),
        # nothing is missing before the new creation, so this ends the new one
        ((move(1, None, "A"), move(2, "A", None), move(3, None, "B")), "B", Next(4, gap=False)),
        ((move(1, None, None), move(2, None, "B")), "B", Next(3, gap=False)),
    ],
)
def test_a_deletion_that_does_not_tell_what_went_is_placed_where_one_is_missing_or_else_at_the_head(
    moves: tuple[Move, ...], before: str | None, placement: Placement
) -> None:
    assert before_deletion(moves) == before
    assert place(moves, before, None, None) == placement


def record(moves: list[Move], before: str | None, after: str | None, second: int | None) -> Placement:
    placed = place(moves, before, after, at(second))
    if not isinstance(placed, Repetition):
        moves.append(Move(placed.position, before, after, at(second)))
        moves.sort(key=lambda one: one.position)
    return placed


@given(st.integers(2, 7).flatmap(lambda size: st.permutations(range(size))), st.data())
def test_any_order_of_arrival_ends_in_the_order_of_the_pushes(arrivals: list[int], data: st.DataObject) -> None:
    moves: list[Move] = []
    for number in arrivals:
        record(moves, f"c{number}", f"c{number + 1}", number)
        again = data.draw(st.sampled_from(arrivals[: arrivals.index(number) + 1]))
        assert isinstance(record(moves, f"c{again}", f"c{again + 1}", again), Repetition)
    assert [one.before for one in moves] == [f"c{number}" for number in range(len(arrivals))]


@given(st.lists(st.sampled_from(["A", "B", "C", None]), min_size=2, max_size=12), st.booleans())
def test_pushes_in_order_are_all_new_and_leave_no_gap_however_often_a_commit_returns(
    heads: list[str | None], is_timed: bool
) -> None:
    moves: list[Move] = []
    walk = [(before, after) for before, after in pairwise(heads) if before != after]
    for second, (before, after) in enumerate(walk):
        assert record(moves, before, after, second if is_timed else None) == Next(second + 1.0, gap=False)


commits = st.sampled_from(["A", "B", "C", "D", None])
pushes = st.tuples(commits, commits, st.none() | st.integers(0, 5))


@given(st.lists(pushes, max_size=12), pushes)
def test_whatever_was_recorded_a_push_is_new_only_after_the_head_and_late_only_before_it(
    earlier: list[tuple[str | None, str | None, int | None]], push: tuple[str | None, str | None, int | None]
) -> None:
    moves: list[Move] = []
    for one in earlier:
        record(moves, *one)
    head = moves[-1].position if moves else 0.0
    placed = place(moves, push[0], push[1], at(push[2]))
    match placed:
        case Repetition(known):
            assert known in moves
            assert (known.before, known.after) == push[:2]
        case Late(position):
            assert position < head
            assert position not in [one.position for one in moves]
        case Next(position):
            assert position > head


# ── moves that a sweep saw: several pushes taken together ────────────────────────────────────────────────────────────

SWEPT = Move(2, "A", "D", is_swept=True)
LEAPT = (move(1, None, "A", 10), SWEPT)
LEAPT_ON = (*LEAPT, move(3, "D", "E", 50))
LONG_AGO = (*LEAPT, *(move(3.0 + n, f"{n}", f"{n + 1}") for n in range(3)))


@pytest.mark.parametrize(
    ("moves", "before", "after", "second", "placement"),
    [
        # of A→B, B→C, C→D that were seen as A→D: the whole, the last, the first
        (LEAPT, "A", "D", None, Repetition(SWEPT)),
        (LEAPT, "A", "D", 20, Repetition(SWEPT)),
        (LEAPT, "C", "D", 40, Repetition(SWEPT, 1.5)),
        (LEAPT, "C", "D", None, Repetition(SWEPT, 1.5)),
        (LEAPT, "A", "B", 20, Late(1.5)),
        (LEAPT, "A", "B", None, Late(1.5)),
        # once the last is written down, the one before it is late
        ((*LEAPT[:1], move(1.5, "C", "D", 40), SWEPT), "B", "C", 30, Late(1.25)),
        # the next push is the next move, also back to where it was
        (LEAPT, "D", "E", 50, Next(3, gap=False)),
        (LEAPT, "D", "A", None, Next(3, gap=False)),
        (LEAPT, "D", None, None, Next(3, gap=False)),
        (LEAPT, "X", "Y", None, Next(3, gap=True)),
        # after it push times decide again, where they are known
        (LEAPT_ON, "C", "D", 40, Repetition(SWEPT, 1.5)),
        (LEAPT_ON, "A", "B", 20, Late(2.5)),
        (LEAPT_ON, "A", "B", None, Late(1.5)),
        (LEAPT_ON, "X", "D", 60, Next(4, gap=True)),
        (LEAPT_ON, "E", "D", None, Next(4, gap=False)),
        # long after it a branch may well come from where it was
        (LONG_AGO, "A", "B", None, Next(6.0, gap=True)),
        # deleted while nobody looked, and made again
        (LEAPT, "A", None, None, Late(1.5)),
    ],
)
def test_a_delivery_after_a_sweep_belongs_where_it_would_have_been(
    moves: tuple[Move, ...], before: str | None, after: str | None, second: int | None, placement: Placement
) -> None:
    assert place(moves, before, after, at(second)) == placement


@pytest.mark.parametrize(
    ("moves", "before", "after", "placement"),
    [
        ((), None, "A", Next(1.0, gap=False)),
        ((), "A", "B", Next(1.0, gap=False)),
        (TIMED, "C", "D", Next(4, gap=False)),
        (TIMED, "X", "C", Repetition(TIMED[2])),
        (TIMED, None, "C", Repetition(TIMED[2])),
        (TIMED, "B", "D", None),
        (BACK_AND_FORTH, "A", "B", Next(3, gap=False)),
        ((move(1, "A", None),), None, "B", Next(2, gap=False)),
        ((move(1, "A", None),), "A", "B", None),
    ],
)
def test_a_look_is_the_next_move_unless_something_was_recorded_meanwhile(
    moves: tuple[Move, ...], before: str | None, after: str, placement: Placement | None
) -> None:
    assert place_swept(moves, before, after) == placement


@given(st.permutations(range(4)), st.integers(1, 4), st.booleans())
def test_deliveries_in_any_order_after_a_sweep_leave_its_head_where_it_was(
    order: list[int], told: int, has_times: bool
) -> None:
    chain = "ABCDE"
    hops = [(chain[n], chain[n + 1], at(10 * n) if has_times else None) for n in range(4)]
    moves = [Move(1.0, "A", "E", is_swept=True)]
    # The middle of a chain says nothing by itself, so what is told is its end, or it is told backwards.
    for before, after, pushed_at in sorted((hops[n] for n in order[:told]), key=lambda hop: hop[1], reverse=True):
        if not any(before in (one.after, one.before) or after in (one.before, one.after) for one in moves):
            continue
        placement = place(moves, before, after, pushed_at)
        assert not isinstance(placement, Next)
        position = placement.position
        if position is not None:
            moves = sorted([*moves, Move(position, before, after, pushed_at)], key=lambda one: one.position)
    assert (moves[-1].after, moves[-1].is_swept) == ("E", True)


# ── the head alone ───────────────────────────────────────────────────────────────────────────────────────────────────

COMMITS = st.sampled_from("ABCD")
SECONDS = st.none() | st.integers(0, 6)


@given(
    history=st.lists(st.tuples(COMMITS, COMMITS, SECONDS, st.booleans()), min_size=1, max_size=8),
    before=COMMITS,
    after=COMMITS,
    second=SECONDS,
)
def test_a_push_that_the_head_places_is_placed_alike_by_the_whole_history(
    history: list[tuple[str, str, int | None, bool]], before: str, after: str, second: int | None
) -> None:
    moves = [Move(place, one, other, at(time), swept) for place, (one, other, time, swept) in enumerate(history)]
    newest = max((one.pushed_at for one in moves if one.pushed_at), default=None)
    if is_placed_by_head(moves[-1], newest, before, after, at(second)):
        assert place(moves[-1:], before, after, at(second)) == place(moves, before, after, at(second))


@pytest.mark.parametrize(
    ("before", "after", "second", "is_enough"),
    [
        ("C", "D", 40, True),
        ("X", "D", 40, True),  # newer than all that is known, with a gap
        ("B", "C", 35, True),  # the head's move again
        ("C", "D", None, True),
        ("X", "D", None, False),
        ("C", "D", 30, False),  # as new as the head: it may be any move again
        ("A", "B", 20, False),
    ],
)
def test_what_follows_the_head_needs_no_more_than_the_head(
    *, before: str, after: str, second: int | None, is_enough: bool
) -> None:
    assert is_placed_by_head(TIMED[-1], at(30), before, after, at(second)) is is_enough
