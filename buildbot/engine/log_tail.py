"""The end of a build's log for whoever looks at its page now, without the viewers ever becoming a load on the registry.

What ended a build badly is stored with it and needs no call. Everything else is read when somebody looks: one read per
build at most every ten seconds, one at a time, however many look; and only when the registry's line takes it and the
budget of polls has a place, since following builds comes first. All pages of a registry wait for one place of that
budget together, so a crowd of viewers takes at most one turn ahead of the polls.

A page never fails for want of a log, nor does it wait long for one: the read goes on by itself, what was known before
is shown meanwhile, and where nothing is known the answer is None. Why not read in the build loop and store it? Logs
are large, change with every line and mostly nobody looks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from math import inf

from buildbot.domain.build import Build, BuildId
from buildbot.domain.log import tail
from buildbot.engine.pacing import Clock, Closed
from buildbot.engine.setup import Current
from buildbot.engine.sites import RegistrySite
from buildbot.ports import CallError
from buildbot.telemetry import timed_call

READ_SECONDS = 10.0
PATIENCE_SECONDS = 2.0
KNOWN_BUILDS = 200
POLL_KEY = "log tails"
"""One key for all: a place that is reserved and never fetched (the viewer went away) is then the next viewer's."""

_Key = tuple[BuildId, str]


@dataclass(slots=True)
class _Known:
    lines: tuple[str, ...] | None = None
    read_again_at: float = -inf
    is_whole: bool = False
    reading: asyncio.Task[None] | None = None

    @property
    def is_being_read(self) -> bool:
        return self.reading is not None and not self.reading.done()


class LogTails:
    """The tails of the logs that people look at. `patience_seconds` is how long a viewer waits for a slow registry."""

    def __init__(self, current: Current, clock: Clock, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._current = current
        self._clock = clock
        self._patience = patience_seconds
        self._known: OrderedDict[_Key, _Known] = OrderedDict()

    async def tail(self, build: Build) -> tuple[str, ...] | None:
        """The last lines as plain, hostile text; () while the log is empty, None when nothing is known of it."""
        stored = build.seen.log.tail if build.seen.log is not None else None
        site = self._current.setup.registries.get(build.request.registry)
        if build.seen.quay_id is None or site is None or (build.is_final and stored is not None):
            return stored
        known = self._entry((build.id, build.seen.quay_id))
        if self._may_read(known, site):
            known.read_again_at = self._clock.monotonic() + READ_SECONDS
            known.reading = asyncio.create_task(self._read(build, build.seen.quay_id, site, known))
        await self._wait(known)
        return stored if known.lines is None else known.lines

    async def close(self) -> None:
        """Drop the reads that are under way; for the end of the process, before the registries' clients close."""
        reading = [known.reading for known in self._known.values() if known.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _entry(self, key: _Key) -> _Known:
        known = self._known.setdefault(key, _Known())
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_BUILDS:
            self._forget_one(but=key)
        return known

    def _forget_one(self, but: _Key) -> None:
        idle = (key for key, entry in self._known.items() if key != but and not entry.is_being_read)
        if (oldest := next(idle, None)) is not None:
            del self._known[oldest]

    def _may_read(self, known: _Known, site: RegistrySite) -> bool:
        if known.is_whole or known.is_being_read or self._clock.monotonic() < known.read_again_at:
            return False
        return site.line.closed() is None and site.line.poll_wait(POLL_KEY) == 0.0

    async def _wait(self, known: _Known) -> None:
        if known.reading is None:
            return
        await asyncio.wait({known.reading}, timeout=self._patience)
        if known.reading.done() and not known.reading.cancelled():
            known.reading.result()

    async def _read(self, build: Build, quay_id: str, site: RegistrySite, known: _Known) -> None:
        ask = partial(site.registry.get_repo_build_logs, build.request.repository, quay_id)
        try:
            with timed_call(site.key, "getRepoBuildLogs"):
                entries = await site.line.poll(ask)
        except (CallError, Closed):
            return
        known.lines = tail(entries)
        # Quay answers an empty log while it moves one to storage: not the last word
        known.is_whole = build.is_final and bool(known.lines)
