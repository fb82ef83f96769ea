"""Switches for all that goes wrong between a client and Quay.

Each is turned on for one operation or any, for the next so many calls or until it is turned off. A call uses up a
switch only if it could have felt it. `kind` names are words of the HTTP interface too (`POST /_sandbox/faults`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

OPERATIONS = (
    "getRepoBuilds",
    "getRepoBuild",
    "getRepoBuildStatus",
    "getRepoBuildLogs",
    "requestRepoBuild",
    "cancelRepoBuild",
    "other",
)


class Fault(StrEnum):
    """What goes wrong."""

    LOSE_ANSWER = "lose-answer"
    """It is done, then the connection breaks without an answer."""
    LOSE_REQUEST = "lose-request"
    """The connection breaks before anything is done."""
    LATE = "late"
    """The connection breaks at once; it is done all the same, `seconds` later by the clock."""
    DOWN = "down"
    """Nobody listens. Over a socket the connection is taken and dropped: stop the server to have it refused."""
    SLOW = "slow"
    """It is done at once but answered `seconds` later: who does not wait that long has lost the answer."""
    SERVER_ERROR = "500"
    """Quay's HTML page, as with its database down."""
    BAD_GATEWAY = "502"
    """nginx's HTML page: the web application is dead."""
    NONSENSE = "nonsense"
    """200 with an HTML page, as a proxy with a login page of its own answers."""
    NGINX_429 = "429-nginx"
    """nginx's HTML page for too many requests."""
    QUEUE_FULL = "429-queue"
    """Quay's own 429 to a build request: too many builds of the namespace are queued."""
    READ_ONLY = "503-read-only"
    """The registry refuses what writes."""
    REDIS_DOWN = "redis-down"
    """Unfinished builds read `cannot_load`, logs are empty, running builds cannot be cancelled."""
    REWRITE_TAGS = "rewrite-tags"
    """A build gets `tags` instead of those asked for, and says so in the answer."""
    ARCHIVE_LOGS = "archive-logs"
    """The logs of finished builds are an address to be fetched."""
    RATE_LIMIT = "rate-limit"
    """nginx's limit for the API: 5 a second, 25 at once."""


_FELT_ONLY_BY = {
    Fault.QUEUE_FULL: ("requestRepoBuild",),
    Fault.REWRITE_TAGS: ("requestRepoBuild",),
    Fault.READ_ONLY: ("requestRepoBuild", "cancelRepoBuild"),
    Fault.ARCHIVE_LOGS: ("getRepoBuildLogs",),
}


@dataclass(slots=True)
class Switch:
    """One fault that is on; `times` counts down, None: until turned off."""

    kind: Fault
    operation: str | None = None
    times: int | None = None
    seconds: float = 0.0
    tags: tuple[str, ...] = ("latest",)

    def is_felt_by(self, operation: str) -> bool:
        """Whether a call of that operation would notice."""
        return self.operation in (None, operation) and operation in _FELT_ONLY_BY.get(self.kind, OPERATIONS)


class Faults:
    """The switches of one Quay."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._switches: list[Switch] = []
        self._bucket = RateLimit(clock)

    @property
    def active(self) -> tuple[Switch, ...]:
        """What is on now."""
        return tuple(self._switches)

    def on(
        self,
        kind: Fault | str,
        operation: str | None = None,
        *,
        times: int | None = None,
        seconds: float = 0.0,
        tags: tuple[str, ...] = ("latest",),
    ) -> None:
        """Turns a fault on. `seconds` is for `slow` and `late`, `tags` for `rewrite-tags`; ValueError for a mistake."""
        if operation not in (None, *OPERATIONS):
            raise ValueError(f"operation {operation!r} of the sandbox's Quay: must be one of {', '.join(OPERATIONS)}")
        if times is not None and times < 1:
            raise ValueError(f"times {times} for fault {kind}: must be at least 1, or left out for 'until turned off'")
        if seconds < 0:
            raise ValueError(f"seconds {seconds} for fault {kind}: must not be negative")
        self._switches.append(Switch(Fault(kind), operation, times, seconds, tags))

    def off(self, kind: Fault | str | None = None) -> None:
        """Turns a kind of fault off, or all."""
        unwanted = set(Fault) if kind is None else {Fault(kind)}
        self._switches = [it for it in self._switches if it.kind not in unwanted]

    def strike(self, operation: str) -> dict[Fault, Switch]:
        """The faults that this call is to feel, one of each kind; counts them down."""
        struck: dict[Fault, Switch] = {}
        for switch in self._switches:
            if switch.is_felt_by(operation) and switch.kind not in struck:
                struck[switch.kind] = switch
        for switch in struck.values():
            if switch.times is not None:
                switch.times -= 1
        self._switches = [it for it in self._switches if it.times != 0]
        if Fault.RATE_LIMIT in struck and self._bucket.admits():
            del struck[Fault.RATE_LIMIT]
        return struck


class RateLimit:
    """nginx's `limit_req` without delay: 26 requests at once pass, then 5 a second (recorded: 26 of 80 passed)."""

    def __init__(self, clock: Callable[[], float], per_second: float = 5.0, burst: float = 25.0) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._excess = -1.0
        self._seen = clock()

    def admits(self) -> bool:
        """Counts a request; one that is refused does not count."""
        now = self._clock()
        excess = max(self._excess - (now - self._seen) * self._per_second, -1.0) + 1.0
        if excess > self._burst:
            return False
        self._excess, self._seen = excess, now
        return True
