"""Which failed deliveries to ask for again, and when to stop: bookkeeping over what a log of deliveries tells. Pure.

A delivery is lost when every attempt that the log shows has failed and its id was never recorded. It is asked for at
once, then after five minutes, doubling; after `MOST_TRIES` it is a dead letter, which is shown for a week and left
alone. An attempt that succeeds, or the id among the recorded ones, ends it at any time, also when it is dead already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

MOST_TRIES = 8
FIRST_PAUSE = timedelta(minutes=5)
SHOWN_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt as the log of `hook` tells it."""

    hook: str
    id: str
    guid: str
    is_delivered: bool
    told: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A delivery that failed: the attempt to repeat, how it failed, how often it was asked for, when it is next."""

    hook: str
    attempt: str
    told: str
    due: datetime
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Lost deliveries by their ids: those to be asked for, the oldest first, and those that were given up (`due` is
    when)."""

    open: Mapping[str, Lost] = field(default_factory=dict)
    dead: Mapping[str, Lost] = field(default_factory=dict)


def read_on(backlog: Backlog, attempts: Iterable[Attempted], now: datetime) -> Backlog:
    """The backlog after more of the log was read; `attempts` are the newest first, as logs tell them."""
    told = tuple(attempts)
    arrived = {one.guid for one in told if one.is_delivered}
    failed = {one.guid: one for one in reversed(told) if one.guid not in arrived}
    still_open = dict(backlog.open)
    for guid, one in failed.items():
        known = still_open.get(guid)
        if known is not None:
            still_open[guid] = replace(known, hook=one.hook, attempt=one.id, told=one.told)
        elif guid not in backlog.dead:
            still_open[guid] = Lost(one.hook, one.id, one.told, now)
    return settled(Backlog(still_open, backlog.dead), arrived)


def settled(backlog: Backlog, arrived: Collection[str]) -> Backlog:
    """The backlog without what has arrived after all."""
    return Backlog(
        {guid: lost for guid, lost in backlog.open.items() if guid not in arrived},
        {guid: lost for guid, lost in backlog.dead.items() if guid not in arrived},
    )


def buried(backlog: Backlog, now: datetime) -> Backlog:
    """The backlog with what was asked for often enough among the dead, without what has been shown long enough."""
    spent = {guid: lost for guid, lost in backlog.open.items() if lost.tries >= MOST_TRIES and lost.due <= now}
    dead = {guid: lost for guid, lost in backlog.dead.items() if lost.due > now - SHOWN_FOR}
    return Backlog(
        {guid: lost for guid, lost in backlog.open.items() if guid not in spent},
        dead | {guid: replace(lost, due=now) for guid, lost in spent.items()},
    )


def to_ask_for(backlog: Backlog, now: datetime) -> tuple[str, ...]:
    """The ids that are due, in the order in which they were found."""
    return tuple(guid for guid, lost in backlog.open.items() if lost.due <= now)


def asked_for(backlog: Backlog, guid: str, now: datetime) -> Backlog:
    """The backlog once a delivery has been asked for."""
    lost = backlog.open[guid]
    again = replace(lost, tries=lost.tries + 1, due=now + FIRST_PAUSE * 2**lost.tries)
    return Backlog({**backlog.open, guid: again}, backlog.dead)


def given_up(backlog: Backlog, guid: str, why: str, now: datetime) -> Backlog:
    """The backlog once the forge has said that a delivery will never be sent again."""
    dead = replace(backlog.open[guid], told=why, due=now)
    still_open = {other: lost for other, lost in backlog.open.items() if other != guid}
    return Backlog(still_open, {**backlog.dead, guid: dead})


def next_due(backlog: Backlog) -> datetime | None:
    """When the next delivery is to be asked for."""
    return min((lost.due for lost in backlog.open.values()), default=None)
