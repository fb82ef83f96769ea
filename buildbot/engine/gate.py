"""Which of the steps that want a call may make it now: the lines' word, and whose turn it is to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from buildbot.domain.build import Build, BuildId
from buildbot.domain.lifecycle import Action, CheckSource, ComparePaths, FindBuild, PollBuild, ResolveCommit
from buildbot.engine.pacing import DEFAULT_PAUSE, Clock, Closed, Line
from buildbot.engine.setup import Setup
from buildbot.engine.sites import RegistrySite


def is_read(action: Action) -> bool:
    """Whether one list could serve it."""
    return isinstance(action, PollBuild | FindBuild)


class Gate:
    """What is let through in one pass over a repository of a registry."""

    def __init__(self, setup: Setup, site: RegistrySite, repository: str, clock: Clock) -> None:
        self._setup = setup
        self._site = site
        self._repository = repository
        self._clock = clock
        self._probed: list[Line] = []

    def line_for(self, build: Build, action: Action) -> Line | None:
        """The line that a call of this kind goes through; None where its forge is not configured."""
        if not isinstance(action, ResolveCommit | ComparePaths | CheckSource):
            return self._site.line
        forge = self._setup.forges.get(build.source.forge)
        return forge.line if forge else None

    def closed(self, line: Line) -> Closed | None:
        """Why the line takes no call; of a pass's calls one is the probe of a line in trouble, the rest wait for it."""
        if (closed := line.closed()) is not None or not line.trouble:
            return closed
        if any(line is one for one in self._probed):
            return Closed(line.trouble, self._clock.now() + DEFAULT_PAUSE)
        self._probed.append(line)
        return None

    def in_turn(
        self, actions: Mapping[BuildId, Action], singly: frozenset[BuildId]
    ) -> tuple[dict[BuildId, Action], datetime | None]:
        """Without the reads whose turn has not come, and when the first of those may be made. A list takes one turn for
        all that it serves, each single read takes one."""
        turns: dict[str, float] = {}
        allowed: dict[BuildId, Action] = {}
        for build_id, action in actions.items():
            key = f"{self._repository} {build_id}" if build_id in singly else self._repository
            if is_read(action) and key not in turns:
                turns[key] = self._site.line.poll_wait(key)
            if not is_read(action) or not turns[key]:
                allowed[build_id] = action
        waits = [wait for wait in turns.values() if wait]
        return allowed, self._clock.now() + timedelta(seconds=min(waits)) if waits else None

    def may_list_unasked(self) -> bool:
        """Whether a list may be asked for that no build of ours needs. Takes a turn."""
        return not self._site.line.closed() and not self._site.line.poll_wait(self._repository)
