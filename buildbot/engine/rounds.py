"""Rounds: what goes and looks, every few minutes and at start, for pushes whose deliveries never arrived.

A `Round` knows its subjects (repositories, logs of deliveries) and how to look at one; this loop says when, in whose
turn and how fast. One instance at a time goes a round: its turn is leased in the store and every save shows it, so the
number of instances changes nothing. A subject is looked at when it is due, and once by every process that starts, since
that is when pushes have been missed; what a new configuration adds is looked at as soon as it is in force. Looks are
spread by a budget for each forge, and a turn ends where it is used up: many repositories are looked at over many turns,
those that have waited longest first.

A look that fails is that subject's trouble: it is told, tried again later, and holds up no other. What is refused for
good, or not there, is no trouble that would pass, but worth a note.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog

from buildbot.engine.lease_loop import AWAY_SECONDS, GRACE_SECONDS
from buildbot.engine.pacing import Budget, Clock, Closed
from buildbot.engine.pulse import Pulse
from buildbot.engine.setup import Setup
from buildbot.ports import (
    CallError,
    ClaimLost,
    CredentialRefused,
    Refused,
    RoundProgress,
    RoundStore,
    StoreUnavailable,
    Throttled,
    Turn,
    Vanished,
    Watched,
)
from buildbot.telemetry import ROUND_FOUND, ROUND_LOOKS

log = structlog.get_logger(__name__)

LOOK_BURST = 20
ASKED_EVERY = timedelta(seconds=5)
"""How often it is asked whether a round is due: that takes the database's writer, so it is not every half second."""
FIRST_RETRY = timedelta(minutes=1)
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a round looks at: a forge's key, and what of it ("acme/api")."""

    forge: str
    name: str

    @property
    def key(self) -> str:
        """How the store and people name it."""
        return f"{self.forge}:{self.name}"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a subject: what is remembered of it (None: nothing yet), and how to remember something at once.

    `remember` writes a state down before what it speaks of is done, and raises ClaimLost where it is another's turn.
    """

    subject: Subject
    now: datetime
    state: State | None
    remember: Callable[[State], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look: what to remember, what was found (in words), and when to look again."""

    state: State
    due: datetime
    found: tuple[str, ...] = ()
    note: str = ""


class Round(ABC):
    """What one kind of round looks at and how, by one setup. `every` is the time between two looks at a subject."""

    name: ClassVar[str]
    every: timedelta
    setup: Setup

    @abstractmethod
    def looks_per_minute(self, forge: str) -> int:
        """How many looks at a forge there may be a minute."""

    @abstractmethod
    def subjects(self) -> tuple[Subject, ...]:
        """Everything that is to be looked at."""

    @abstractmethod
    async def look(self, look: Look) -> Looked:
        """Look at one subject. Raises CallError, Closed, StoreUnavailable, ClaimLost."""


@dataclass(slots=True)
class _Going:
    """A turn under way. `next_look` is when the budget lets the next subject of a forge be looked at."""

    round: Round
    turn: Turn
    looked: int = 0
    found: list[str] = field(default_factory=list)
    next_look: dict[str, datetime] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Rounds:
    """Goes rounds while the bot serves."""

    def __init__(self, *loops: RoundLoop) -> None:
        self._loops = loops

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go all rounds until the block ends; then stop within some seconds."""
        tasks = [asyncio.create_task(loop.run()) for loop in self._loops]
        try:
            yield
        finally:
            await asyncio.gather(*(loop.stop() for loop in self._loops), return_exceptions=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Memory:
    """What is remembered of a subject while it is looked at, and how that is written down."""

    def __init__(self, store: RoundStore, turn: Turn, subject: Subject, now: datetime, written: str | None) -> None:
        self.now = now
        self.state: State | None = None if written is None else json.loads(written)
        self._store = store
        self._turn = turn
        self._subject = subject

    async def remember(self, state: State) -> None:
        """Remember it now, before the look is over. Raises ClaimLost."""
        self.state = state
        await self.save(Watched(self._subject.key, self.now, self.now + FIRST_RETRY))

    async def save(self, seen: Watched) -> None:
        """Write down what was seen. Raises ClaimLost."""
        await self._store.save_watched(self._turn, seen, json.dumps(self.state))


class RoundLoop:
    """Goes one kind of round whenever it is due. `rounds` gives it by the setup in force, None while it is off."""

    def __init__(
        self, rounds: Callable[[], Round | None], store: RoundStore, clock: Clock, *, owner: str, lease: timedelta
    ) -> None:
        self.pulse = Pulse()
        self._rounds = rounds
        self._store = store
        self._clock = clock
        self._owner = owner
        self._lease = lease
        self._born = clock.now()
        self._begun_with: Setup | None = None
        self._next_try = self._born
        self._budgets: dict[tuple[str, int], Budget] = {}
        self._is_stopping = False
        self._turn: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Until `stop`: take turns that are due."""
        while not self._is_stopping:
            try:
                if self._clock.now() >= self._next_try:
                    self._next_try = self._clock.now() + ASKED_EVERY
                    self._turn = asyncio.create_task(self.go_if_due())
                    await self._turn
            except StoreUnavailable as away:
                log.error("no round can be gone", because=str(away))
                await asyncio.sleep(AWAY_SECONDS)
            except ClaimLost as lost:
                log.warning("round left to another instance", because=str(lost))
            except Exception:
                log.exception("round failed, it is gone again later")
                await asyncio.sleep(AWAY_SECONDS)
            if not self._is_stopping:
                await self.pulse.nap()

    async def stop(self) -> None:
        """Look at nothing more, give the look under way some seconds, drop it then."""
        self._is_stopping = True
        self.pulse.beat()
        if self._turn is not None and not self._turn.done():
            await asyncio.wait([self._turn], timeout=GRACE_SECONDS)
            self._turn.cancel()
            await asyncio.gather(self._turn, return_exceptions=True)

    async def go_if_due(self) -> bool:
        """Go the round now, if it is due and no other instance has it. Raises StoreUnavailable, ClaimLost."""
        round_ = self._rounds()
        if round_ is None:
            return False
        now, is_first = self._clock.now(), round_.setup is not self._begun_with
        turn = await self._store.begin_round(round_.name, self._owner, now, self._lease, at_once=is_first)
        if turn is None:
            return False
        self._begun_with = round_.setup
        async with self._keeping(turn):
            await self._store.finish_round(turn, await self._go(_Going(round_, turn)), self._clock.now())
        return True

    async def _go(self, going: _Going) -> RoundProgress:
        subjects = {subject.key: subject for subject in going.round.subjects()}
        known = {one.subject: one for one in await self._store.watched(going.round.name) if one.subject in subjects}
        going.notes = {key: one.note for key, one in known.items()}
        dues = {key: self._due(known.get(key)) for key in subjects}
        for key in sorted(subjects, key=dues.__getitem__):
            if dues[key] > self._clock.now() or self._is_stopping:
                break
            dues[key] = await self._look_in_turn(going, subjects[key])
        due = min(dues.values(), default=self._clock.now() + going.round.every)
        if going.looked:
            log.info("round gone", round=going.round.name, looked=going.looked, found=len(going.found))
        return RoundProgress(due, going.looked, tuple(going.found))

    def _due(self, known: Watched | None) -> datetime:
        # A process that has just started looks at everything once: that is when pushes have been missed.
        if known is None or known.looked_at < self._born:
            return self._born if known is None else min(known.due, self._born)
        return known.due

    async def _look_in_turn(self, going: _Going, subject: Subject) -> datetime:
        if subject.forge in going.next_look:
            return going.next_look[subject.forge]
        if wait := self._budget(going.round, subject.forge).take():
            going.next_look[subject.forge] = self._clock.now() + timedelta(seconds=wait)
            return going.next_look[subject.forge]
        going.looked += 1
        with structlog.contextvars.bound_contextvars(round=going.round.name, subject=subject.key):
            return await self._look(going, subject)

    async def _look(self, going: _Going, subject: Subject) -> datetime:
        written = await self._store.watched_state(going.round.name, subject.key)
        memory = _Memory(self._store, going.turn, subject, self._clock.now(), written)
        seen = await self._seen(going, subject, memory)
        ROUND_LOOKS.labels(going.round.name, "failed" if seen.trouble else "ok").inc()
        if seen.note and going.notes.get(subject.key, "") != seen.note:
            log.warning("worth knowing", note=seen.note)
        await memory.save(seen)
        return seen.due

    async def _seen(self, going: _Going, subject: Subject, memory: _Memory) -> Watched:
        now, every = memory.now, going.round.every
        try:
            looked = await going.round.look(Look(subject, now, memory.state, memory.remember))
        except Closed as closed:
            return Watched(subject.key, now, closed.until, going.notes.get(subject.key, ""), str(closed))
        except (Refused, Vanished) as no:
            return Watched(subject.key, now, now + every, note=str(no))
        except CallError as error:
            log.warning("look failed", because=str(error))
            return Watched(subject.key, now, self._retry_at(error, every), trouble=str(error))
        except (StoreUnavailable, ClaimLost):
            raise
        except Exception as bug:
            log.exception("look failed")
            told = f"for a reason nobody thought of, {type(bug).__name__}: see the log"
            return Watched(subject.key, now, now + every, trouble=told)
        memory.state = looked.state
        going.found.extend(looked.found)
        ROUND_FOUND.labels(going.round.name).inc(len(looked.found))
        return Watched(subject.key, self._clock.now(), looked.due, looked.note)

    def _budget(self, round_: Round, forge: str) -> Budget:
        a_minute = round_.looks_per_minute(forge)
        if (forge, a_minute) not in self._budgets:
            self._budgets[forge, a_minute] = Budget(a_minute / 60, LOOK_BURST, self._clock)
        return self._budgets[forge, a_minute]

    def _retry_at(self, error: CallError, every: timedelta) -> datetime:
        told = error.retry_at if isinstance(error, Throttled) else None
        pause = every if isinstance(error, CredentialRefused) else min(FIRST_RETRY, every)
        return max(told or self._clock.now(), self._clock.now() + pause)

    @asynccontextmanager
    async def _keeping(self, turn: Turn) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew(turn))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, turn: Turn) -> None:
        with contextlib.suppress(ClaimLost):  # then the next save says so, where it matters
            while True:
                await asyncio.sleep(self._lease.total_seconds() / 3)
                with contextlib.suppress(StoreUnavailable):
                    await self._store.renew_round(turn, self._clock.now() + self._lease)
