"""The calls to a registry about one repository's builds: each one through its line, counted, and come to an outcome.

Nothing here decides or remembers what becomes of a build. What is noted are two things by the monotonic clock that only
the caller of the network can know: since when an attempt is in doubt, and that a list took too long.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from buildbot.domain.build import Build
from buildbot.domain.lifecycle import Blocked, CancelDone, Failed, Failure, Outcome, PhaseRead
from buildbot.domain.log import digest
from buildbot.engine.outcomes import accepted, failure_of, request_failure
from buildbot.engine.pacing import Closed
from buildbot.engine.sites import RegistrySite
from buildbot.engine.tools import Tools
from buildbot.ports import BuildOrder, BuildRecord, CallError, Unanswered
from buildbot.telemetry import timed_call

log = structlog.get_logger(__name__)

PHASES_WITH_A_REASON = frozenset({"error", "expired"})
SLOW_LIST_SECONDS = 300.0
_Through = Callable[[Callable[[], Awaitable[BuildRecord]]], Awaitable[BuildRecord]]


class RegistryCalls:
    """Calls about the builds of one repository. None raises what the other side may do."""

    def __init__(self, site: RegistrySite, repository: str, tools: Tools) -> None:
        self._site = site
        self._repository = repository
        self._tools = tools

    async def request(self, build: Build) -> Outcome:
        """requestRepoBuild, for the attempt that has been written down."""
        source = await self._source_of(build)
        if source is None:
            return Failed(Failure.REFUSED, "the source has to go through the bot, and server.public_url is not set")
        doubts, line = self._tools.memory.doubts, self._site.line
        doubts.end(build)
        ask = partial(self._site.registry.request_repo_build, _order(build, source))
        try:
            with timed_call(self._site.key, "requestRepoBuild"):
                return accepted(await line.work(ask, self._repository))
        except (CallError, Closed) as error:
            doubts.begin(build, self._tools.clock.monotonic())
            return request_failure(error, line, self._tools.clock)

    async def cancel(self, build: Build) -> Outcome:
        """cancelRepoBuild."""
        cancel = partial(self._site.registry.cancel_repo_build, self._repository, build.seen.quay_id or "")
        try:
            with timed_call(self._site.key, "cancelRepoBuild"):
                await self._site.line.work(cancel, self._repository)
        except (CallError, Closed) as error:
            return self._failure(error)
        return CancelDone()

    async def read(self, build: Build, *, follows_up: bool = False) -> Outcome:
        """The build's phase now. `follows_up`: another read led to this one."""
        registry, is_whole = self._site.registry, build.seen.delete is not None
        read = registry.get_repo_build if is_whole else registry.get_repo_build_status
        through: _Through = self._site.line.follow_up if follows_up else self._site.line.poll
        try:
            with timed_call(self._site.key, "getRepoBuild" if is_whole else "getRepoBuildStatus"):
                record = await through(partial(read, self._repository, build.seen.quay_id or ""))
        except (CallError, Closed) as error:
            return self._failure(error)
        return await self.with_log(PhaseRead(record.phase), record.id)

    async def list(self, since: datetime) -> Sequence[BuildRecord] | Failed | Blocked:
        """All builds that the repository has had since then, newest first."""
        slow, key = self._tools.memory.slow_lists, (self._site.key, self._repository)
        ask = partial(self._site.registry.get_repo_builds, self._repository, since)
        try:
            with timed_call(self._site.key, "getRepoBuilds"):
                records = await self._site.line.poll(ask)
        except (CallError, Closed) as error:
            if isinstance(error, Unanswered) and error.timed_out:
                slow[key] = self._tools.clock.monotonic() + SLOW_LIST_SECONDS
            return self._failure(error)
        slow.pop(key, None)
        return records

    @property
    def is_list_slow(self) -> bool:
        """Whether a list has taken too long not long ago."""
        slow_until = self._tools.memory.slow_lists.get((self._site.key, self._repository), 0.0)
        return self._tools.clock.monotonic() < slow_until

    async def with_log(self, read: PhaseRead, quay_id: str) -> PhaseRead:
        """What was read, together with the log where the phase asks for it."""
        if read.phase not in PHASES_WITH_A_REASON:
            return read
        ask = partial(self._site.registry.get_repo_build_logs, self._repository, quay_id)
        try:
            with timed_call(self._site.key, "getRepoBuildLogs"):
                return replace(read, log=digest(await self._site.line.follow_up(ask)))
        except (CallError, Closed) as error:
            log.warning("log not read", repository=self._repository, quay_build=quay_id, because=str(error))
            return read

    async def _source_of(self, build: Build) -> str | None:
        return await self._tools.relayed_url(build) if build.request.is_relayed else build.request.archive_url

    def _failure(self, error: CallError | Closed) -> Failed | Blocked:
        return failure_of(error, self._site.line, self._tools.clock)


def _order(build: Build, source: str) -> BuildOrder:
    request = build.request
    return BuildOrder(
        repository=request.repository,
        archive_url=f"{source}#{build.mark}",
        image_tags=request.image_tags,
        context=request.context,
        dockerfile_path=request.dockerfile_path,
        pull_robot=request.pull_robot,
    )
