"""The round that reads forges' logs of deliveries and asks once more for pushes that failed and were never recorded.

What is looked at: the webhooks of exactly named repositories and of their organisations, or the App's own, as far as
they lead to this bot. What a forge will deliver again is the real push, with all that it tells, so this comes before
the sweep, which only sees where a ref points. A delivery that arrives twice is recorded once, so asking is always safe;
that it was asked for is remembered first, so a crash asks no more often than `domain.redelivery` allows.

A credential that may not see webhooks is no error: it is said once, and looked for again every hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from buildbot.domain.redelivery import (
    Attempted,
    Backlog,
    Lost,
    asked_for,
    buried,
    given_up,
    next_due,
    read_on,
    settled,
    to_ask_for,
)
from buildbot.domain.watching import watches
from buildbot.engine.rounds import Look, Looked, Round, State, Subject
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import WatchedForge
from buildbot.ports import DeliveryLog, HookLog, LogPage, NotOffered, NotSent, Refused, RoundStore, Vanished
from buildbot.telemetry import timed_call

log = structlog.get_logger(__name__)

HOOKS_KNOWN_FOR = timedelta(hours=1)
MORE_IN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of a subject: its webhooks and since when, how far each log was read, what is lost."""

    hooks: tuple[str, ...] = ()
    hooks_at: datetime | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    backlog: Backlog = field(default_factory=Backlog)


class Redelivery(Round):
    """Asks for lost deliveries again. Without `public_url` nobody knows which webhooks are the bot's: nothing is."""

    name = "redelivery"

    def __init__(self, store: RoundStore, setup: Setup, every: timedelta) -> None:
        self._store = store
        self.setup = setup
        self._forges = setup.watched
        self.every = every

    def looks_per_minute(self, forge: str) -> int:
        """As the setup has it."""
        return self._forges[forge].looks_per_minute

    def subjects(self) -> tuple[Subject, ...]:
        """Whatever may have webhooks for the repositories that rules name exactly."""
        if self.setup.public_url is None:
            return ()
        named: dict[str, list[str]] = {}
        for watch in watches(self.setup.rules):
            named.setdefault(watch.forge, []).append(watch.full_name)
        return tuple(
            Subject(key, owner)
            for key, names in named.items()
            if not isinstance(offered := self._forges[key].log, NotOffered)
            for owner in offered.owners(names)
        )

    async def look(self, look: Look) -> Looked:
        """Read the logs of one subject on, and ask for what is lost."""
        offered = self._forges[look.subject.forge].log
        assert not isinstance(offered, NotOffered)  # noqa: S101  `subjects` names no such forge
        visit = _Visit(self._forges[look.subject.forge], offered, look, _read(look.state))
        try:
            await visit.find_hooks(f"{self.setup.public_url}/webhooks/{look.subject.forge}")
        except (Refused, Vanished) as no:
            return Looked(_written(visit.memory), look.now + HOOKS_KNOWN_FOR, note=_why_not(look.subject, no))
        if not visit.memory.hooks:
            return Looked(_written(visit.memory), look.now + HOOKS_KNOWN_FOR)
        await visit.read_logs()
        await visit.settle(self._store)
        found = await visit.ask()
        return Looked(_written(visit.memory), visit.next_look(self.every), found, _dead_letters(visit.memory.backlog))


def redeliveries(store: RoundStore, current: Current) -> Callable[[], Redelivery | None]:
    """The round by whichever setup is in force, None where it is off."""

    def by_setup() -> Redelivery | None:
        setup = current.setup
        return None if setup.redeliver_every is None else Redelivery(store, setup, setup.redeliver_every)

    return by_setup


class _Visit:
    """One look at a subject, step by step; `memory` is what is known so far."""

    def __init__(self, site: WatchedForge, offered: DeliveryLog, look: Look, memory: _Memory) -> None:
        self.memory = memory
        self._site = site
        self._log = offered
        self._look = look

    async def find_hooks(self, url: str) -> None:
        """Find the webhooks that lead to the bot, if it is not known yet which they are."""
        known_at, now = self.memory.hooks_at, self._look.now
        if known_at is not None and now - known_at < HOOKS_KNOWN_FOR:
            return
        with timed_call(self._site.key, "hooks"):
            hooks = await self._site.line.call(lambda: self._log.hooks(self._look.subject.name, url))
        self.memory = replace(self.memory, hooks=tuple(hook.place for hook in hooks), hooks_at=now)

    async def read_logs(self) -> None:
        """Read every log on from where it was read to."""
        for place in self.memory.hooks:
            page = await self._read_log(HookLog(place, self._look.subject.name))
            if not page.is_whole:
                log.warning("log of deliveries not read to its end", hook=place, because="it is too long")
            told = [Attempted(place, one.id, one.guid, one.is_delivered, one.told) for one in page.attempts]
            marks = {**self.memory.marks, **({place: page.mark} if page.mark else {})}
            backlog = read_on(self.memory.backlog, told, self._look.now)
            self.memory = replace(self.memory, marks=marks, backlog=backlog)

    async def _read_log(self, hook: HookLog) -> LogPage:
        with timed_call(self._site.key, "attempts"):
            return await self._site.line.call(lambda: self._log.attempts(hook, self.memory.marks.get(hook.place)))

    async def settle(self, store: RoundStore) -> None:
        """Drop what has been recorded meanwhile, and give up what was asked for often enough."""
        known, now = self.memory.backlog, self._look.now
        arrived = await store.recorded_deliveries(self._site.key, (*known.open, *known.dead))
        backlog = buried(settled(known, arrived), now)
        for guid in backlog.dead.keys() - known.dead.keys():
            log.error("delivery given up", delivery=guid, because=backlog.dead[guid].told)
        self.memory = replace(self.memory, backlog=backlog)

    async def ask(self) -> tuple[str, ...]:
        """Ask for what is due; in words what was asked for the first time."""
        due = to_ask_for(self.memory.backlog, self._look.now)[: self._log.resends_at_once]
        return tuple(filter(None, [await self._ask_for(guid) for guid in due]))

    def next_look(self, every: timedelta) -> datetime:
        """When to look again: soon while there is more to ask for."""
        later, due = self._look.now + every, next_due(self.memory.backlog)
        return later if due is None else min(later, max(due, self._look.now + MORE_IN))

    async def _ask_for(self, guid: str) -> str:
        before, lost = self.memory.backlog, self.memory.backlog.open[guid]
        await self._remember(asked_for(before, guid, self._look.now))
        try:
            with timed_call(self._site.key, "redeliver"):
                hook = HookLog(lost.hook, self._look.subject.name)
                await self._site.line.call(lambda: self._log.redeliver(hook, lost.attempt))
        except (Refused, Vanished) as no:
            log.error("delivery given up", delivery=guid, because=str(no))
            await self._remember(given_up(before, guid, str(no), self._look.now))
            return ""
        except NotSent:
            await self._remember(before)
            raise
        log.info("delivery asked for again", delivery=guid, tries=lost.tries + 1, because=lost.told)
        return "" if lost.tries else f"{self._look.subject.key or 'the App'}: delivery {guid} had failed ({lost.told})"

    async def _remember(self, backlog: Backlog) -> None:
        self.memory = replace(self.memory, backlog=backlog)
        await self._look.remember(_written(self.memory))


def _why_not(subject: Subject, no: Exception) -> str:
    if subject.name and "/" not in subject.name:
        return ""  # an organisation's webhooks are for its owners to see, and a person has none
    return f"lost deliveries of {subject.key} are not asked for again, since its webhooks cannot be listed: {no}"


def _dead_letters(backlog: Backlog) -> str:
    if not backlog.dead:
        return ""
    told = "; ".join(f"{guid} ({lost.told})" for guid, lost in list(backlog.dead.items())[-3:])
    count = f"{len(backlog.dead)} {'delivery' if len(backlog.dead) == 1 else 'deliveries'}"
    return f"{count} given up: {told}"


def _read(state: State | None) -> _Memory:
    if state is None:
        return _Memory()
    at = state["hooks_at"]
    return _Memory(
        hooks=tuple(state["hooks"]),
        hooks_at=None if at is None else datetime.fromisoformat(at),
        marks=state["marks"],
        backlog=Backlog(_losses(state["open"]), _losses(state["dead"])),
    )


def _losses(written: Iterable[Sequence[Any]]) -> dict[str, Lost]:
    return {
        guid: Lost(hook, attempt, told, datetime.fromisoformat(due), tries)
        for guid, hook, attempt, told, due, tries in written
    }


def _written(memory: _Memory) -> State:
    return {
        "hooks": list(memory.hooks),
        "hooks_at": memory.hooks_at.isoformat() if memory.hooks_at else None,
        "marks": dict(memory.marks),
        "open": _rows(memory.backlog.open),
        "dead": _rows(memory.backlog.dead),
    }


def _rows(losses: Mapping[str, Lost]) -> list[list[Any]]:
    return [
        [guid, lost.hook, lost.attempt, lost.told, lost.due.isoformat(), lost.tries] for guid, lost in losses.items()
    ]
