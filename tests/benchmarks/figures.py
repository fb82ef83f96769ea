"""What is made of many samples: a quantile, a median over rounds, a ratio."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample that `share` of all do not exceed (nearest rank). Raises ValueError for no samples."""
    if not samples:
        raise ValueError("there is no quantile of nothing")
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def median(values: Iterable[float]) -> float:
    """The middle of some rounds' figures."""
    return statistics.median(values)


def ratio(ours: float, theirs: float) -> float:
    """How ours compares; infinite against nothing."""
    return ours / theirs if theirs else float("inf")


def milliseconds(seconds: float) -> str:
    """A time of at most some seconds, for a table."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def in_seconds(seconds: float) -> str:
    """A time in seconds, for a table."""
    return f"{seconds:.2f} s"


def times(value: float) -> str:
    """A ratio, for a table."""
    return f"{value:.2f}x"


def turned(items: Sequence[Item], number: int) -> list[Item]:
    """The items in the order of round `number`: each begins with another, so that none always follows the same one."""
    turn = number % len(items)
    return [*items[turn:], *items[:turn]]
