"""How often the other side may be asked, and whether it can be asked at all.

Every call to a registry, and every write to a forge, goes through a `Line`. It knows three ways of not calling: nobody
answers (one call at a time finds out, 1 s doubling to 10 s), the credential is refused (one call a minute), and "not
before that time" (429). Whoever wants to call meanwhile learns so without waiting, since what waits in here would
hold a claim and could not be superseded.

Politeness is for polls: `Budget` spreads them over time. Cancels and requests are the work itself and go unpaced, at
most `WORK_IN_FLIGHT` at once, repository by repository in turn, until the proxy in front of Quay (nginx) answers 429;
then all calls to that registry share `THROTTLED_RATE` for a minute, longer while it repeats. A Quay that has trouble to
answer (5xx, no answer in time) is given half as much at once for each such answer, and one more for each good one: many
at once are for a Quay that keeps up with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from buildbot.engine.turns import FairTurns
from buildbot.ports import CallError, CredentialRefused, Throttled, Unanswered, Unavailable, Unreachable

Result = TypeVar("Result")

FIRST_PROBE, LONGEST_PROBE = 1.0, 10.0
CREDENTIAL_PROBE = 60.0
SILENT_CALLS = 3
WORK_IN_FLIGHT, FEWEST_IN_FLIGHT = 80, 10
"""A burst of pushes is asked for in two or three round trips, and of the connections to one host (100) some are left to
polls. How many the other side takes in a second it says by 429, which holds whatever this number is: nginx, where
Quay's operator limits it, lets 25 through at once and turns the rest away unseen by Quay."""
POLL_BURST = 25
THROTTLED_RATE, THROTTLED_SECONDS = 5.0, 60.0
LONGEST_THROTTLE = 5
"""Minutes: each 429 that comes in spite of the lower rate adds one."""
MOST_RESERVED, UNCLAIMED_SECONDS = 1000, 60.0
DEFAULT_PAUSE = timedelta(seconds=1)
LONG_PAUSE = timedelta(minutes=1)


def utc_now() -> datetime:
    """The wall's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks: `now` for what is written down, `monotonic` (seconds) for what is only waited for."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic

    def when(self, moment: float) -> datetime:
        """A moment of the monotonic clock as a time."""
        return self.now() + timedelta(seconds=moment - self.monotonic())


class Closed(Exception):
    """The line takes no call before `until`; `str()` is the reason for people."""

    def __init__(self, because: str, until: datetime) -> None:
        super().__init__(because)
        self.until = until


@dataclass(slots=True)
class Share:
    """Among how many instances every budget is divided by now; each takes an equal part."""

    instances: int = 1


class Budget:
    """So many calls a second on average, with a burst: a token bucket that tells how long to wait.

    Rate and burst are those of all instances together, of which this one takes its `share`.
    """

    def __init__(self, rate: float, burst: int, clock: Clock, share: Share | None = None) -> None:
        self._rate, self._burst, self._clock, self._share = rate, burst, clock, share or Share()
        self._next = clock.monotonic() - self._slack
        self._reserved: dict[str, float] = {}

    @property
    def _interval(self) -> float:
        return self._share.instances / self._rate

    @property
    def _slack(self) -> float:
        return max(0.0, (self._burst - self._share.instances) / self._rate)

    def set_rate(self, rate: float) -> None:
        """So many calls a second from now on. Places that are kept stay in their order and come at the new rate."""
        now, scale = self._clock.monotonic(), self._rate / rate
        self._rate = rate
        self._next = now + (self._next - now) * scale
        self._reserved = {key: now + (slot - now) * scale for key, slot in self._reserved.items()}

    def take(self) -> float:
        """Take a place if there is one now (0.0); else how many seconds until the next is free, taking none."""
        now = self._clock.monotonic()
        slot = max(self._next, now - self._slack)
        if slot > now:
            return slot - now
        self._next = slot + self._interval
        return 0.0

    def reserve(self, key: str) -> float:
        """The seconds until the place that is kept for `key`, 0.0 when it has come (and is used up by asking)."""
        now = self._clock.monotonic()
        if key not in self._reserved:
            self._forget_the_unclaimed(now)
            slot = max(self._next, now - self._slack)
            self._next = slot + self._interval
            self._reserved[key] = slot
        if self._reserved[key] > now:
            return self._reserved[key] - now
        del self._reserved[key]
        return 0.0

    def _forget_the_unclaimed(self, now: float) -> None:
        if len(self._reserved) > MOST_RESERVED:
            self._reserved = {key: slot for key, slot in self._reserved.items() if slot > now - UNCLAIMED_SECONDS}


@dataclass(slots=True)
class _Trouble:
    because: str
    since: datetime
    probe_at: float
    pause: float
    is_probing: bool = False


@dataclass(slots=True)
class Line:
    """The line to one registry, one forge or one credential. `name` is for people ("Quay", "github").

    `minds_credential`: a refused credential is trouble of this line. Not so for a forge on which each repository may
    have a credential of its own.
    """

    name: str
    clock: Clock = field(default_factory=Clock)
    minds_credential: bool = True
    _trouble: _Trouble | None = None
    _silent: int = 0
    _held_until: datetime | None = None
    _held_because: str = ""

    def closed(self) -> Closed | None:
        """Why a call would not be let through now, or None."""
        if self._held_until is not None and self.clock.now() < self._held_until:
            return Closed(self._held_because, self._held_until)
        trouble = self._trouble
        if trouble is None:
            return None
        if not trouble.is_probing and self.clock.monotonic() >= trouble.probe_at:
            return None
        probe_at = max(trouble.probe_at, self.clock.monotonic() + FIRST_PROBE)
        return Closed(_told(trouble), self.clock.when(probe_at))

    @property
    def trouble(self) -> str:
        """What is wrong with the line, in words; "" when nothing is."""
        return _told(self._trouble) if self._trouble else ""

    async def call(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """Make a call, as the probe when the line is in trouble. Raises Closed, and what the call raises."""
        if closed := self.closed():
            raise closed
        probed = self._trouble
        if probed is not None:
            probed.is_probing = True
        try:
            result = await make()
        except CallError as error:
            self._failed(error, probed)
            raise
        finally:
            if probed is not None:
                probed.is_probing = False
        self._answered()
        return result

    def hold(self, until: datetime, because: str) -> None:
        """Let nothing through before that time."""
        if self._held_until is None or until > self._held_until:
            self._held_until, self._held_because = until, because

    def _answered(self) -> None:
        self._trouble, self._silent = None, 0

    def _failed(self, error: CallError, probed: _Trouble | None) -> None:
        if isinstance(error, CredentialRefused) and self.minds_credential:
            self._open_trouble(str(error), CREDENTIAL_PROBE, CREDENTIAL_PROBE, probed)
        elif isinstance(error, Unreachable) or (isinstance(error, Unanswered) and self._is_silent_again(probed)):
            self._open_trouble(str(error), FIRST_PROBE, LONGEST_PROBE, probed)
        elif not isinstance(error, Unanswered):
            self._answered()

    def _is_silent_again(self, probed: _Trouble | None) -> bool:
        self._silent += 1
        return probed is not None or self._silent >= SILENT_CALLS

    def _open_trouble(self, because: str, first: float, longest: float, probed: _Trouble | None) -> None:
        known = self._trouble
        if known is not None and known is not probed:
            return  # calls that were under way when it began say nothing new, and must not lengthen the pause
        pause = min(max(first, known.pause * 2 if known else 0.0), longest)
        since = known.since if known else self.clock.now()
        self._trouble = _Trouble(because, since, self.clock.monotonic() + pause, pause)


def _told(trouble: _Trouble) -> str:
    return f"{trouble.because} (since {trouble.since:%H:%M} UTC)"


class RegistryLine(Line):
    """The line to a registry: polls are spread, work is let through at once until the proxy says 429."""

    __slots__ = ("_in_flight", "_polls", "_shared", "_strikes", "_throttled_until", "_work_waiting")

    def __init__(self, name: str, polls_per_second: float, clock: Clock, share: Share | None = None) -> None:
        super().__init__(name, clock)
        self._polls = Budget(polls_per_second, POLL_BURST, clock, share)
        self._shared = Budget(THROTTLED_RATE, 1, clock, share)
        self._in_flight = FairTurns(WORK_IN_FLIGHT)
        self._throttled_until = 0.0
        self._strikes = 0
        self._work_waiting = 0

    def set_polls_per_second(self, rate: float) -> None:
        """Spread polls at this rate from now on; what is known of the line's trouble stays."""
        self._polls.set_rate(rate)

    def poll_wait(self, key: str) -> float:
        """Seconds until `key` may poll; 0.0: now."""
        if not self._is_throttled:
            return self._polls.reserve(key)
        return 1 / THROTTLED_RATE if self._work_waiting else self._shared.take()

    async def poll(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """A read that had its turn."""
        return await self._noting_throttle(make)

    async def follow_up(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """A read that another one led to, as the log that says why a build failed: it waits where a poll is put off."""
        await self._own_turn()
        return await self._noting_throttle(make)

    async def work(self, make: Callable[[], Awaitable[Result]], key: str = "") -> Result:
        """A request or a cancel. `key`: whose (a repository's), for those that wait take turns."""
        async with self._in_flight.turn(key):
            await self._own_turn()
            try:
                result = await self._noting_throttle(make)
            except (Unanswered, Unavailable):
                self._in_flight.set_places(max(FEWEST_IN_FLIGHT, self._in_flight.places // 2))
                raise
            self._in_flight.set_places(min(WORK_IN_FLIGHT, self._in_flight.places + 1))
            return result

    @property
    def _is_throttled(self) -> bool:
        return self.clock.monotonic() < self._throttled_until

    async def _own_turn(self) -> None:
        self._work_waiting += 1
        try:
            while self._is_throttled and (wait := self._shared.take()):  # noqa: ASYNC110  time itself is awaited
                await asyncio.sleep(wait)
        finally:
            self._work_waiting -= 1

    async def _noting_throttle(self, make: Callable[[], Awaitable[Result]]) -> Result:
        was_throttled = self._is_throttled
        try:
            return await self.call(make)
        except Throttled as error:
            if error.by_proxy:
                self._throttle(was_throttled)
            raise

    def _throttle(self, was_throttled: bool) -> None:
        if not self._is_throttled:
            self._strikes = 1
        elif was_throttled:  # not so a call that was sent with the one that was refused first
            self._strikes = min(self._strikes + 1, LONGEST_THROTTLE)
        self._throttled_until = self.clock.monotonic() + THROTTLED_SECONDS * self._strikes
