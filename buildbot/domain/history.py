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


@dataclass(frozen=True, slots=True)
class Move:
    """One recorded move of a ref: before → after (None: the ref was, or is now, absent)."""

    position: float
    before: str | None
    after: str | None
    pushed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Repetition:
    """The push is a recorded move, seen again."""

    move: Move


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
            return Late(_position_by_time(moves, pushed_at))
        return Next(head.position + 1, gap=before != head.after)
    if before == head.after:
        return Next(head.position + 1, gap=False)
    if followers := [move for move in moves if move.before == after]:
        return Late(_position_before(moves, followers[-1]))
    return Next(head.position + 1, gap=True)


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


def _position_by_time(moves: Sequence[Move], pushed_at: datetime) -> float:
    later = next(move for move in moves if move.pushed_at is not None and move.pushed_at > pushed_at)
    return _position_before(moves, later)


def _position_before(moves: Sequence[Move], later: Move) -> float:
    for earlier, move in pairwise(moves):
        if move is later:
            return (earlier.position + later.position) / 2
    return later.position - 1
