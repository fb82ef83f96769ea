"""A table of figures with what they are held to, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure is held to: `value` should be at most `limit`, or at least it (`is_least`)."""

    what: str
    value: float
    limit: float
    is_least: bool = False
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether it is kept."""
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    def line(self) -> str:
        """The target in one line."""
        bound = "at least" if self.is_least else "at most"
        verdict = "met" if self.is_met else "**missed**"
        return f"{self.what}: {self.value:.2f}{self.unit} ({bound} {self.limit:g}{self.unit}): {verdict}"


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `figures` are the numbers behind it by name, for who wants to look at them rather than read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, float]
    notes: Sequence[str] = ()
    targets: Sequence[Target] = field(default=())

    def markdown(self) -> str:
        """The table with its notes and targets."""
        lines = [f"### {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(one) for one in self.rows]
        lines += ["", *self.notes] if self.notes else []
        lines += ["", *(f"- {target.line()}" for target in self.targets)] if self.targets else []
        return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
