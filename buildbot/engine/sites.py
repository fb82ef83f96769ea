"""A registry or a forge as the loops use it: the adapter, together with the line that says when it may be called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from buildbot.domain.lifecycle import Limits
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.engine.pacing import Budget, Clock, Line, RegistryLine, Share
from buildbot.ports import DeliveryLog, Forge, NotOffered, RefReader, Registry, Webhook

WRITE_BURST = 20


@dataclass(frozen=True, slots=True)
class RegistrySite:
    """A registry with everything that says how to use it. `settle_time`: the slowest effect of a lost call."""

    key: str
    registry: Registry
    line: RegistryLine
    limits: Limits
    settle_time: timedelta
    caps: Caps = ANY_NUMBER


@dataclass(frozen=True, slots=True)
class ForgeSite:
    """A forge and the line to it. `clone_url` is what the http(s) addresses of its repositories begin with."""

    key: str
    forge: Forge
    line: Line
    clone_url: str = ""


@dataclass(frozen=True, slots=True)
class WatchedForge:
    """A forge as rounds use it: its branches and tags, its log of deliveries, how many looks a minute it is given."""

    key: str
    refs: RefReader
    log: DeliveryLog | NotOffered
    line: Line
    looks_per_minute: int


@dataclass(frozen=True, slots=True)
class Hook:
    """How the deliveries of a forge are read, and what proves them: several secrets while they rotate."""

    webhook: Webhook
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class Purse:
    """The write budget of one credential, and whether the forge takes it at all."""

    budget: Budget
    line: Line


@dataclass(slots=True)
class StatusSite:
    """A forge with its write budgets, one for each credential."""

    site: ForgeSite
    writes_per_minute: int
    share: Share = field(default_factory=Share)
    purses: dict[str, Purse] = field(default_factory=dict)

    def purse(self, credential: str, clock: Clock) -> Purse:
        """The budget of a credential, made on first use."""
        if credential not in self.purses:
            budget = Budget(self.writes_per_minute / 60, WRITE_BURST, clock, self.share)
            name = f"{self.site.key} {credential}".strip()
            self.purses[credential] = Purse(budget, Line(name, clock))
        return self.purses[credential]

    def at_rate(self, writes_per_minute: int) -> StatusSite:
        """The same forge with the same purses, which are filled at this rate from now on."""
        for purse in self.purses.values():
            purse.budget.set_rate(writes_per_minute / 60)
        return replace(self, writes_per_minute=writes_per_minute)

    def lines(self) -> tuple[Line, ...]:
        """The line to the forge, and that of every credential used so far."""
        return (self.site.line, *(purse.line for purse in self.purses.values()))
