"""How much each benchmark does: enough for figures, or a handful to see that it works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """`rounds` of everything in real time; `share` of the items of a full run. `store`: sqlite or postgresql."""

    folder: Path
    rounds: int = 5
    share: float = 1.0
    store: str = "sqlite"

    def items(self, full: int, least: int = 1) -> int:
        """So many of the items of a full run."""
        return max(least, round(full * self.share))

    def seconds(self, full: float) -> float:
        """So much of the time of a full run."""
        return full * self.share


QUICK = {"rounds": 1, "share": 0.01}
