"""The history of one ref: where a push belongs, whatever order deliveries arrive in.

Forges deliver late, twice and out of order, and a branch may go A→B, B→A, A→B: three pushes, two of them alike. So a
push is placed by the moves of its ref, never by when it arrived; push times are the forge's and only compared with
each other. Every move has a `position`; a late move gets one between its neighbours, so positions order the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

LEAPS_REMEMBERED = 3
"""How many of the newest moves are searched for swept ones when an older delivery arrives."""


@dataclass(frozen=True, slots=True)
class Move:
    """One recorded move of a ref: before → after (None: the ref was, or is now, absent).

    `is_swept`: seen at the forge, not told; it may be several pushes taken together.
    """

    position: float
    before: str | None
    after: str | None
    pushed_at: datetime | None = None
    is_swept: bool = False


@dataclass(frozen=True, slots=True)
class Repetition:
    """The push is a recorded move, seen again. `position` is where it is written down all the same, if it is not None:
    it is the last of the pushes that a swept move took together, and its own beginning is news."""

    move: Move
    position: float | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """The push happened before the head's move and only arrived after it."""

    position: float


@dataclass(frozen=True, slots=True)
class Next:
    """The push moves the head on. `gap`: pushes between the head and this one never arrived."""

    position: float
    gap: bool


Placement = Repetition | Late | Next


def place(moves: Sequence[Move], before: str | None, after: str | None, pushed_at: datetime | None) -> Placement:
    """Where a push belongs among the recorded `moves` of its ref, in order of position: the first line that fits."""
    if not moves:
        return Next(1.0, gap=False)
    head = moves[-1]
    if repeated := _repeated(moves, before, after, pushed_at):
        return Repetition(repeated)
    if pushed_at is not None and head.pushed_at is not None and pushed_at != head.pushed_at:
        if pushed_at < head.pushed_at:
            if isinstance(part := _part_of_a_leap(moves, before, after), Repetition):
                return part
            return Late(_position_by_time(moves, pushed_at))
        return Next(head.position + 1, gap=before != head.after)
    if before == head.after:
        return Next(head.position + 1, gap=False)
    if part := _part_of_a_leap(moves, before, after):
        return part
    if followers := [move for move in moves if move.before == after]:
        return Late(_position_before(moves, followers[-1]))
    return Next(head.position + 1, gap=True)


def is_placed_by_head(
    head: Move, newest: datetime | None, before: str | None, after: str | None, pushed_at: datetime | None
) -> bool:
    """Whether `place` needs no other move than the head to place a push: it is the head's move again, or follows it.

    `newest` is the newest push time of all recorded moves, None where none has one. So nobody has to read the history
    of a ref for what nearly every push is.
    """
    if (before, after) == (head.before, head.after):
        return True
    follows = before == head.after
    if pushed_at is None:
        return follows
    is_newest = newest is None or pushed_at > newest
    return is_newest and (follows or head.pushed_at is not None)


def place_swept(moves: Sequence[Move], before: str | None, after: str | None) -> Repetition | Next | None:
    """Where a move belongs that a look at the forge showed: the ref is at `after`, and was last known at `before`.

    None where it has been recorded since to be at neither: then the look is older than what is known.
    """
    if not moves:
        return Next(1.0, gap=False)
    head = moves[-1]
    if head.after == after:
        return Repetition(head)
    return Next(head.position + 1, gap=False) if head.after == before else None


def before_deletion(moves: Sequence[Move]) -> str | None:
    """What the ref pointed to, where the forge tells of its deletion and not of that; None where no move is known.

    A creation that follows a move to a commit shows that a deletion in between has not arrived: then it is this one,
    late. Else what stands at the head went, or had gone already and the deletion is told twice.
    """
    creations = [(earlier, later) for earlier, later in pairwise(moves) if later.before is None and later.after]
    if creations and (lost := creations[-1][0].after) is not None:
        return lost
    return (moves[-1].after or moves[-1].before) if moves else None


def _repeated(moves: Sequence[Move], before: str | None, after: str | None, pushed_at: datetime | None) -> Move | None:
    head = moves[-1]
    if (before, after) == (head.before, head.after):
        return head
    if pushed_at is None:
        return None
    return next(
        (move for move in moves if (move.before, move.after, move.pushed_at) == (before, after, pushed_at)), None
    )


def _part_of_a_leap(moves: Sequence[Move], before: str | None, after: str | None) -> Repetition | Late | None:
    """Where a push belongs that arrives after a sweep took it together with others: the last of them led to where the
    swept move led and is known, the first began where that began and is late."""
    # Only shortly after the sweep: a branch may well return to a commit, and then it is another push.
    leaps = [move for move in moves[-LEAPS_REMEMBERED:] if move.is_swept]
    for leap in reversed(leaps):
        if after is not None and leap.after == after:
            return Repetition(leap, _position_before(moves, leap))
    for leap in reversed(leaps):
        if leap.before == before:
            return Late(_position_before(moves, leap))
    return None


def _position_by_time(moves: Sequence[Move], pushed_at: datetime) -> float:
    later = next(move for move in moves if move.pushed_at is not None and move.pushed_at > pushed_at)
    return _position_before(moves, later)


def _position_before(moves: Sequence[Move], later: Move) -> float:
    for earlier, move in pairwise(moves):
        if move is later:
            return (earlier.position + later.position) / 2
    return later.position - 1
