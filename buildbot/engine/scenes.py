"""What a decision about a build depends on besides the build: the hour, the limits, and whether a doubt has settled."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from buildbot.domain.build import Build, BuildPhase
from buildbot.domain.lifecycle import Holder, Scene
from buildbot.engine.sites import RegistrySite
from buildbot.engine.tools import Tools
from buildbot.ports import Claim


class Scenes:
    """The scenes of one pass."""

    def __init__(self, claim: Claim, site: RegistrySite, tools: Tools) -> None:
        self._typical = claim.typical
        self._site = site
        self._clock = tools.clock
        self._doubts = tools.memory.doubts
        for build in claim.builds:
            self._note_doubt(build, is_taken_over=claim.is_taken_over)

    def of(self, build: Build, holders: Iterable[Holder] = ()) -> Scene:
        """The scene now. `holders`: what is older and holds image tags."""
        return Scene(
            now=self._clock.now(),
            limits=self._site.limits,
            holders=tuple(holders),
            settled=self.settles_in(build) <= timedelta(),
            typical=self._typical,
        )

    def settles_in(self, build: Build) -> timedelta:
        """How long until a lost call of the build's last attempt has surely had whatever effect it has."""
        since = self._doubts.since(build)
        if since is None:
            return self._site.settle_time
        return self._site.settle_time - timedelta(seconds=self._clock.monotonic() - since)

    def _note_doubt(self, build: Build, *, is_taken_over: bool) -> None:
        if build.seen.phase is not BuildPhase.REQUESTING:
            self._doubts.end(build)
        elif is_taken_over or self._doubts.since(build) is None:
            self._doubts.begin(build, self._clock.monotonic())
