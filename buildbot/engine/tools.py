"""What a pass over a repository works with, and what one process remembers between passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from buildbot.domain.build import Build, BuildId
from buildbot.engine.forge_questions import KnownSources
from buildbot.engine.glances import Glances
from buildbot.engine.hurrying import Hurry
from buildbot.engine.pacing import Clock
from buildbot.ports import Store


class Doubts:
    """Since when, by the monotonic clock, attempts are in doubt: asked for, and nobody knows whether Quay took them."""

    def __init__(self) -> None:
        self._since: dict[tuple[BuildId, int], float] = {}

    def since(self, build: Build) -> float | None:
        """Since when the build's last attempt is in doubt, as far as this process knows."""
        return self._since.get(_attempt(build))

    def begin(self, build: Build, now: float) -> None:
        """The attempt is in doubt from now on."""
        self._since[_attempt(build)] = now

    def end(self, build: Build) -> None:
        """It is known what became of the attempt, or it is only just being made."""
        self._since.pop(_attempt(build), None)


def _attempt(build: Build) -> tuple[BuildId, int]:
    return build.id, build.seen.attempt


@dataclass(slots=True)
class Memory:
    """What one process remembers between passes, by the monotonic clock: which attempts are in doubt, until when a list
    is not asked for that took too long, which sources need no look, whose waiting has lost its reason, and what looks
    found that was not worth writing down.

    It may be lost at any time.
    """

    doubts: Doubts = field(default_factory=Doubts)
    slow_lists: dict[tuple[str, str], float] = field(default_factory=dict)
    sources: KnownSources = field(default_factory=KnownSources)
    hurry: Hurry = field(default_factory=Hurry)
    glances: Glances = field(default_factory=Glances)


async def _no_relay(_build: Build) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass works with. `relayed_url` is where the bot itself serves a build's source; None: it cannot."""

    store: Store
    clock: Clock
    memory: Memory
    relayed_url: Callable[[Build], Awaitable[str | None]] = _no_relay
