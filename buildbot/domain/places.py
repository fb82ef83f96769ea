"""Who is asked for next where not all builds may be: caps of builds in flight, and a namespace whose queue is full.

One line for each registry. Its order is fair to repositories, not to builds: whoever has the fewest builds in flight
goes first, then whoever was served the longest ago, then the older build. So a repository with a thousand pushes waits
mostly for itself, and one that comes with a single push is not behind them all.

A namespace whose queue Quay called full is tried by one build at a time: the first in line asks when the pause is
over, or when a build of the namespace has ended, and only when Quay takes it the next one asks. Else every build in
line would be refused on its own, again and again.

Pure: the store hands in what it reads inside the transaction that writes the intent down, so that the caps are exact
whatever other instances do at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from buildbot.domain.build import BuildId, BuildPhase, WaitingLine
from buildbot.domain.lifecycle import InLine

IN_FLIGHT = frozenset({BuildPhase.REQUESTING, BuildPhase.WAITING, BuildPhase.BUILDING})
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Caps:
    """How many builds may be in flight at a registry, and in each of its namespaces; 0 is any number."""

    builds: int = 0
    per_namespace: int = 0

    def __bool__(self) -> bool:
        return bool(self.builds or self.per_namespace)


ANY_NUMBER = Caps()


@dataclass(frozen=True, slots=True)
class Waiter:
    """A build that could be asked for now. `served`: when its repository was given a place the last time."""

    build: BuildId
    repository: str
    seq: int
    served: datetime | None = None


@dataclass(frozen=True, slots=True)
class FullQueue:
    """A namespace whose queue Quay called full: in whose words, and not to be tried again before `until`."""

    because: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes on at a registry: builds in flight by repository, how many of them are being asked for just now, and
    the namespaces that are full."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    asking: Mapping[str, int] = field(default_factory=dict)
    full: Mapping[str, FullQueue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seating:
    """Who may be asked for now, and where the others stand."""

    seated: tuple[Waiter, ...]
    waiting: Mapping[BuildId, InLine]


def namespace_of(repository: str) -> str:
    """ "acme" of "acme/api"."""
    return repository.partition("/")[0]


def in_order(waiters: Iterable[Waiter], in_flight: Mapping[str, int]) -> list[Waiter]:
    """The line, the next one first."""
    ranks = Counter(in_flight)
    ranked = []
    for waiter in sorted(waiters, key=lambda one: one.seq):
        ranked.append((ranks[waiter.repository], waiter.served or _NEVER, waiter.seq, waiter))
        ranks[waiter.repository] += 1
    return [waiter for *_, waiter in sorted(ranked)]  # no two have the same `seq`, so waiters are never compared


def seat(waiters: Iterable[Waiter], traffic: Traffic, caps: Caps, now: datetime) -> Seating:
    """Give what places there are to the first in line; the others learn where they stand."""
    rooms = _Rooms(traffic, caps, now)
    seated: list[Waiter] = []
    waiting: dict[BuildId, InLine] = {}
    for waiter in in_order(waiters, traffic.in_flight):
        refused = rooms.take(namespace_of(waiter.repository))
        if refused is None:
            seated.append(waiter)
        else:
            waiting[waiter.build] = refused
    return Seating(tuple(seated), waiting)


class _Rooms:
    """The places that are left while the line goes by, and who did not get one."""

    def __init__(self, traffic: Traffic, caps: Caps, now: datetime) -> None:
        self._caps, self._traffic, self._now = caps, traffic, now
        self._taken = sum(traffic.in_flight.values())
        self._taken_in = _by_namespace(traffic.in_flight)
        self._asking_in = _by_namespace(traffic.asking)
        self._refused = 0
        self._refused_in: Counter[str] = Counter()

    def take(self, namespace: str) -> InLine | None:
        """Take a place; None when there was one."""
        self._refused += 1
        self._refused_in[namespace] += 1
        full = self._traffic.full.get(namespace)
        if full is not None and (full.until > self._now or self._asking_in[namespace]):
            return self._behind_full(namespace, full)
        if 0 < self._caps.builds <= self._taken:
            return InLine(WaitingLine.PLACE, self._refused)
        if 0 < self._caps.per_namespace <= self._taken_in[namespace]:
            return InLine(WaitingLine.PLACE, self._refused_in[namespace])
        self._take(namespace)
        return None

    def _behind_full(self, namespace: str, full: FullQueue) -> InLine:
        place = self._refused_in[namespace]
        is_next = place == 1 and full.until > self._now
        return InLine(WaitingLine.QUEUE, place, full.because, full.until if is_next else None)

    def _take(self, namespace: str) -> None:
        self._refused -= 1
        self._refused_in[namespace] -= 1
        self._taken += 1
        self._taken_in[namespace] += 1
        self._asking_in[namespace] += 1


def _by_namespace(by_repository: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for repository, count in by_repository.items():
        found[namespace_of(repository)] += count
    return found
