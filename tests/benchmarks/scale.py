"""How much each benchmark does: enough for figures, or a handful to see that it works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Scale:
    """`rounds` of everything in real time; `share` of the items of a full run. `store`: sqlite or postgresql.

    `most_trials`: only the first of each benchmark's trials.
    """

    folder: Path
    rounds: int = 5
    share: float = 1.0
    store: str = "sqlite"
    most_trials: int = 100

    def items(self, full: int, least: int = 1) -> int:
        """So many of the items of a full run."""
        return max(least, round(full * self.share))

    def some(self, trials: Sequence[Item]) -> Sequence[Item]:
        """The first of several trials."""
        return trials[: self.most_trials]

    def seconds(self, full: float) -> float:
        """So much of the time of a full run."""
        return full * self.share
