"""The store on SQL: every method of the port is one transaction, written in the file of its subject.

Writes go through one writer in group commit, reads through a few threads of their own; on SQLite neither waits for the
other. A database that does not take a write raises StoreUnavailable and has recorded nothing, or, where the answer to
the commit was lost, all of it or nothing: so every write is one that may be asked for again (`record` knows a delivery
by its id, a save proves its claim), and a lease whose holder never learned of it runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from buildbot.domain.build import Build, BuildId, Goal
from buildbot.domain.lifecycle import InLine
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.ports import (
    BuildChange,
    BuildFilter,
    BuildStory,
    Claim,
    Commission,
    Counts,
    DeliveryFilter,
    DeliveryStory,
    DueStatus,
    Rebuilt,
    Recorded,
    Recording,
    Replayed,
    Replaying,
    RoundProgress,
    RoundReport,
    StatusProgress,
    StoreUnavailable,
    Stray,
    Turn,
    Watched,
    Wording,
)
from buildbot.store import (
    claims,
    deliveries,
    hurrying,
    instances,
    intake,
    keys,
    listening,
    people,
    retention,
    rounds,
    statements,
    statuses,
)
from buildbot.store.database import first_line, in_short, open_database
from buildbot.store.group_commit import CommitLost, GroupCommit, WriterClosed
from buildbot.store.hanging_up import Connections

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
READERS = 4


class SqlStore:
    """`ports.Store` and `ports.RoundStore` on SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its schema up to date. Raises BadDatabase."""
        self._writing, self._reading = open_database(url)
        self._is_closed = False
        self._connections = Connections(self._writing, self._reading)
        self._commit = GroupCommit(self._writing)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    def hasten(self) -> None:
        """The bot is about to stop: wait no longer for a database that does not answer for some seconds."""
        self._connections.watch()

    def close(self) -> None:
        """Finish the writes that are queued and close every connection; takes some seconds at most."""
        self._is_closed = True
        self.hasten()
        self._commit.close()
        self._readers.shutdown(wait=True)
        self._connections.close()
        self._writing.dispose()
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def record(self, recording: Recording) -> Recorded:
        return await self._told(self._commit.write_together(intake.record, recording))

    async def claim_repositories(
        self, owner: str, now: datetime, lease: timedelta, limit: int, room: Mapping[str, int] | None = None
    ) -> tuple[Claim, ...]:
        return await self._write(claims.claim, owner, now, lease, limit, room or {})

    async def save(
        self, claim: Claim, changes: Sequence[BuildChange], now: datetime, caps: Caps = ANY_NUMBER
    ) -> Mapping[BuildId, InLine]:
        return await self._write(claims.save, claim, changes, now, caps)

    async def save_strays(self, claim: Claim, strays: Sequence[Stray]) -> None:
        await self._write(claims.save_strays, claim, strays)

    async def release(self, claim: Claim, due: datetime | None, typical: timedelta | None = None) -> None:
        await self._told(self._commit.write_together(claims.release, claims.Release(claim, due, typical)))

    async def refresh(self, claim: Claim) -> Claim:
        return await self._read(claims.refresh, claim)

    async def renew(self, held: Collection[Claim], now: datetime, lease: timedelta) -> None:
        await self._write(claims.renew, held, now, lease)

    async def give_up_claims(self, owner: str) -> None:
        await self._write(claims.give_up, owner)

    async def followed(self, builds: Collection[BuildId]) -> Mapping[BuildId, frozenset[str]]:
        return await self._read(claims.followed, builds)

    async def claim_statuses(
        self, now: datetime, lease: timedelta, limit: int, in_hand: Collection[int] = ()
    ) -> tuple[DueStatus, ...]:
        return await self._write(statuses.claim, now, lease, limit, in_hand)

    async def renew_statuses(self, held: Collection[DueStatus], now: datetime, lease: timedelta) -> None:
        await self._write(statuses.renew, held, now, lease)

    async def save_status(self, status: DueStatus, progress: StatusProgress) -> None:
        await self._write(statuses.save, status, progress)

    async def hurry(self, registries: Collection[str], forges: Collection[str], now: datetime) -> None:
        await self._write(hurrying.hurry, registries, forges, now)

    async def list_builds(self, which: BuildFilter) -> tuple[Build, ...]:
        return await self._read(people.list_builds, which)

    async def story(self, build: BuildId) -> BuildStory:
        return await self._read(people.story, build)

    async def cancel(self, build: BuildId, goal: Goal, now: datetime) -> Build:
        return await self._write(people.cancel, build, goal, now)

    async def rebuild(self, build: BuildId, now: datetime, wording: Wording, *, move_tags: bool) -> Rebuilt:
        return await self._write(people.rebuild, build, now, wording, move_tags=move_tags)

    async def commission(self, commission: Commission, now: datetime, wording: Wording) -> Build:
        return await self._write(people.commission, commission, now, wording)

    async def list_deliveries(self, which: DeliveryFilter) -> tuple[DeliveryStory, ...]:
        return await self._read(deliveries.list_deliveries, which)

    async def delivery(self, name: str) -> DeliveryStory:
        return await self._read(deliveries.story, name)

    async def replay(self, name: str, replaying: Replaying, now: datetime) -> Replayed:
        return await self._write(deliveries.replay, name, replaying, now)

    async def counts(self) -> Counts:
        return await self._read(people.counts, datetime.now(UTC))

    async def prune(self, before: datetime) -> int:
        return await self._write(retention.prune, before)

    async def ping(self) -> None:
        await self._write(statements.ping)

    async def shared_key(self, name: str) -> bytes:
        return await self._write(keys.shared_key, name)

    async def note(self, build: BuildId, what: str, now: datetime) -> None:
        await self._write(people.note, build, what, now)

    async def attend(self, instance: str, now: datetime, patience: timedelta) -> int:
        return await self._write(instances.attend, instance, now, patience)

    async def leave(self, instance: str) -> None:
        await self._write(instances.leave, instance)

    async def listen(self, on_news: Callable[[], None]) -> None:
        await listening.listen(self._reading, on_news)

    async def begin_round(
        self, name: str, owner: str, now: datetime, lease: timedelta, *, at_once: bool = False
    ) -> Turn | None:
        return await self._write(rounds.begin, name, owner, now, lease, at_once=at_once)

    async def renew_round(self, turn: Turn, until: datetime) -> None:
        await self._write(rounds.renew, turn, until)

    async def finish_round(self, turn: Turn, progress: RoundProgress, now: datetime) -> None:
        await self._write(rounds.finish, turn, progress, now)

    async def save_watched(self, turn: Turn, seen: Watched, state: str) -> None:
        await self._write(rounds.save, turn, seen, state)

    async def watched(self, name: str) -> tuple[Watched, ...]:
        return await self._read(rounds.all_watched, name)

    async def watched_state(self, name: str, subject: str) -> str | None:
        return await self._read(rounds.state_of, name, subject)

    async def round_reports(self) -> tuple[RoundReport, ...]:
        return await self._read(rounds.reports)

    async def recorded_deliveries(self, forge: str, guids: Sequence[str]) -> frozenset[str]:
        return await self._read(rounds.recorded_deliveries, forge, guids)

    async def recorded_heads(self, forge: str, repository_id: str) -> Mapping[str, str | None]:
        return await self._read(rounds.recorded_heads, forge, repository_id)

    async def _write(
        self,
        work: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        return await self._told(self._commit.write(lambda connection: work(connection, *args, **kwargs)))

    async def _told(self, writing: Awaitable[Result]) -> Result:
        try:
            return await writing
        except WriterClosed as closed:
            raise StoreUnavailable(str(closed)) from None
        except CommitLost as lost:
            told = f"the database was lost while it recorded this, look before you ask again: {first_line(str(lost))}"
            raise StoreUnavailable(told) from lost
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"the database did not take a write: {in_short(error)}") from error

    async def _read(
        self,
        work: Callable[Concatenate[Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        def read() -> Result:
            with self._reading.connect() as connection:
                return work(connection, *args, **kwargs)

        try:
            if self._is_closed:
                raise StoreUnavailable("the database has been closed")
            return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"the database cannot be read: {in_short(error)}") from error
