"""Where a push belongs: the five lines of the design as a table, and what holds for any order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.history import Late, Move, Next, Placement, Repetition, before_deletion, place

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
