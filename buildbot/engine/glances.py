"""What looks at builds found that is no news: kept in memory for the next look, and written down once a minute.

Most looks find a build in the phase that it was in before. All they teach is that it was seen again, how long it has
run and when to look next. Writing that down each time was most of what a look cost, and served nobody but the next look
of this process; another one that takes over looks at once, and counts a build's time from what is written, which comes
to the same.

Only the holder of a claim writes what was seen, and the claim's token rises each time somebody takes it. So what is
kept holds for the rest of the claim and for the very next one, and may be lost at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter

from buildbot.domain.build import Build, BuildId, Seen
from buildbot.ports import Claim

UNWRITTEN_AT_MOST = timedelta(minutes=1)
REMEMBERED_SECONDS = 600.0
"""Longer than the pause between two looks at a build; what another instance follows by now is forgotten."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What alone has changed of a build that was seen as it was before."""

    observed_at: datetime | None
    ran: timedelta
    due: datetime | None

    def over(self, build: Build) -> Build:
        """The build as it was seen."""
        return replace(build, seen=replace(build.seen, observed_at=self.observed_at, ran=self.ran, due=self.due))


_news = attrgetter(*(one.name for one in fields(Seen) if one.name not in {"observed_at", "ran", "due"}))
_request = attrgetter(*(one.name for one in fields(Build) if one.name != "seen"))


@dataclass(frozen=True, slots=True)
class _Kept:
    token: int
    moment: float
    glances: Mapping[BuildId, Glance]


@dataclass(slots=True)
class Glances:
    """The glances of one process, by repository."""

    _kept: OrderedDict[tuple[str, str], _Kept] = field(default_factory=OrderedDict)

    def recall(self, claim: Claim) -> dict[BuildId, Build]:
        """Those of the claim's builds of which more is known than was written down."""
        kept = self._kept.pop((claim.registry, claim.repository), None)
        if kept is None or claim.is_taken_over or claim.token not in {kept.token, kept.token + 1}:
            return {}
        return {one.id: kept.glances[one.id].over(one) for one in claim.builds if one.id in kept.glances}

    def keep(self, claim: Claim, glances: Mapping[BuildId, Glance], moment: float) -> None:
        """Remember what a look at the claim's builds found, `moment` by the monotonic clock."""
        if glances:
            self._kept[claim.registry, claim.repository] = _Kept(claim.token, moment, dict(glances))
        while self._kept and next(iter(self._kept.values())).moment < moment - REMEMBERED_SECONDS:
            self._kept.popitem(last=False)


def glance(written: Build, seen: Build) -> Glance | None:
    """What has changed, if that is no news and what is written is not old yet; else None: then it is to be written."""
    before, after = written.seen, seen.seen
    if before.observed_at is None or after.observed_at is None:
        return None
    if after.observed_at - before.observed_at >= UNWRITTEN_AT_MOST:
        return None
    is_no_news = _news(before) == _news(after) and _request(written) == _request(seen)
    return Glance(after.observed_at, after.ran, after.due) if is_no_news else None
