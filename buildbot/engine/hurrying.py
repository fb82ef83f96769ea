"""Whose waiting has lost its reason, because the way to a registry or a forge has just changed.

A build's row says until when it is put off (`seen.due`), and only whoever holds its claim may write that. So the store
makes the rows due, and this memory of the process lets the next pass over each build ignore what the old credential
was told. It may be lost at any time: what is put off is put off for a minute.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from buildbot.domain.build import Build, BuildId, BuildPhase

REMEMBERED_SECONDS = 120.0
"""Long enough for a pass over every build, and for a database that is away for a moment."""
BEFORE_A_REQUEST = frozenset({BuildPhase.COMPARING, BuildPhase.PLANNED})
"""The phases in which a build may wait for its forge."""


@dataclass(slots=True)
class Hurry:
    """Which registries and forges have changed, until when that is remembered, and whose turn it was since."""

    registries: set[str] = field(default_factory=set)
    forges: set[str] = field(default_factory=set)
    until: float = 0.0
    done: set[BuildId] = field(default_factory=set)

    def begin(self, registries: Collection[str], forges: Collection[str], now: float) -> None:
        """These have changed, `now` by the monotonic clock; those that changed a moment ago count again."""
        self._forget(now)
        self.registries.update(registries)
        self.forges.update(forges)
        self.until = now + REMEMBERED_SECONDS
        self.done.clear()

    def released(self, build: Build, now: float) -> Build:
        """The build as it goes into a pass: put off no longer, if this is the first time since what it waits for has
        changed."""
        self._forget(now)
        if not self._concerns(build) or build.id in self.done:
            return build
        self.done.add(build.id)
        return replace(build, seen=replace(build.seen, due=None))

    def _concerns(self, build: Build) -> bool:
        may_wait_for_forge = build.seen.phase in BEFORE_A_REQUEST
        return build.request.registry in self.registries or (may_wait_for_forge and build.source.forge in self.forges)

    def _forget(self, now: float) -> None:
        if now >= self.until:
            self.registries.clear()
            self.forges.clear()
            self.done.clear()
