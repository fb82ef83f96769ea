"""What the configuration comes to: one value that is never changed, and the one place that says which is in force.

A new configuration makes a new `Setup`, and `Current` is pointed at it: that one assignment is the whole change-over.
Whoever works takes the setup once, at the beginning of a piece of work (a pass, a delivery, a post, a page), and keeps
it to the end. So a delivery is proven, read and planned by one configuration, never by halves of two, and what was
begun with an adapter ends with it. Why not tell every object what is new? Each would need a way to be told, and
between the first and the last of them the bot would be half of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from buildbot.domain.build import Build
from buildbot.domain.decision import Standing, Verdict, judge
from buildbot.domain.push import PushEvent
from buildbot.domain.rule import Rule, RulesBySource
from buildbot.engine.pacing import Line
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite, WatchedForge
from buildbot.engine.wording import StatusWording

RETENTION = timedelta(days=30)
SPREAD = timedelta(minutes=10)
"""How long a new configuration may take to reach every instance: a mounted file comes to each in its own time."""
FOR_ANOTHER = timedelta(seconds=1)
"""How soon is due again what another instance, which has the newer configuration, can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything that one configuration decides, ready for use; forges and registries by their keys.

    `public_url` is how browsers and builders reach the bot, without a slash at the end; `retention` how long what has
    ended is kept; `redeliver_every` and `sweep_every` how often pushes that never arrived are looked for (None: never);
    `since` when the configuration was read.
    """

    rules: tuple[Rule, ...] = ()
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    registries: Mapping[str, RegistrySite] = field(default_factory=dict)
    forges: Mapping[str, ForgeSite] = field(default_factory=dict)
    statuses: Mapping[str, StatusSite] = field(default_factory=dict)
    watched: Mapping[str, WatchedForge] = field(default_factory=dict)
    public_url: str | None = None
    redeliver_every: timedelta | None = None
    sweep_every: timedelta | None = None
    retention: timedelta = RETENTION
    since: datetime | None = None
    by_source: RulesBySource = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_source", RulesBySource(self.rules))

    @property
    def wording(self) -> StatusWording:
        """What statuses say and where they lead."""
        return StatusWording(self.public_url, {key: site.registry for key, site in self.registries.items()})

    def judge(self, push: PushEvent, standing: Standing) -> Verdict:
        """What a push leads to by these rules."""
        return judge(push, standing, self.by_source.covering(push.source))

    def is_behind(self, build: Build, now: datetime) -> bool:
        """Whether a build names what is not configured here and was planned after this configuration was read: by an
        instance that has a newer one, which this one will have too."""
        is_known = build.request.registry in self.registries and build.source.forge in self.forges
        return not is_known and self.may_come(build.created_at, now)

    def may_come(self, asked_at: datetime, now: datetime) -> bool:
        """Whether what was asked for then, and is unknown here, may be in a configuration that is still to come."""
        return self.since is not None and asked_at > self.since and now - asked_at < SPREAD

    def lines(self) -> Iterator[Line]:
        """Every line, for whoever wants to know what is in trouble."""
        yield from (site.line for site in self.registries.values())
        for site in self.statuses.values():
            yield from site.lines()


@dataclass(slots=True)
class Current:
    """The setup in force. Assigned in one place, when a new configuration takes over."""

    setup: Setup

    def lines(self) -> Iterator[Line]:
        """The lines of whichever setup is in force when they are asked for."""
        return self.setup.lines()
