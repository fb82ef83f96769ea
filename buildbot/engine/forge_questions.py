"""What a build asks of its forge before Quay is asked: its commit, what changed, whether its source is there.

A forge that is away or says nothing clear must delay no build that can do without the answer. So a look at the source
has five seconds, and only two answers end a build: the forge shows the commit and not the Dockerfile; it shows the
repository and says that the commit is not in it. Most pushes need no look at all: where a build of this Dockerfile has
worked before and the push does not touch it, it is there. And of pushes that come together, before anything is known,
one is looked at for all. That keeps to the two calls that a forge sees for a build.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import PurePosixPath

from buildbot.domain.build import Build
from buildbot.domain.lifecycle import (
    CheckSource,
    CommitKnown,
    ComparePaths,
    Failed,
    Failure,
    Outcome,
    PathsCompared,
    ResolveCommit,
    SourceChecked,
)
from buildbot.domain.push import short
from buildbot.engine.outcomes import failure_of
from buildbot.engine.pacing import Clock, Closed
from buildbot.engine.sites import ForgeSite
from buildbot.ports import CallError, CredentialRefused, Refused, Vanished
from buildbot.telemetry import timed_call

Question = ResolveCommit | ComparePaths | CheckSource

CHECK_SECONDS = 5.0
NO_ANSWER_SECONDS = 600.0
MOST_REMEMBERED = 10_000


class KnownSources:
    """Dockerfiles that were there when they were last looked at, and repositories whose forge does not tell.

    Only a memory of what is cheap to ask again: it may be lost at any time.
    """

    def __init__(self) -> None:
        self._there: dict[tuple[str, str, str], None] = {}
        self._untold: dict[tuple[str, str, str], float] = {}
        self._looks: dict[tuple[str, str, str], asyncio.Future[Outcome | None]] = {}

    def needs_no_look(self, build: Build, now: float) -> bool:
        """Whether asking would teach nothing, `now` by the monotonic clock."""
        key = _key(build)
        is_untold = self._untold.get(key, -math.inf) > now
        return is_untold or (key in self._there and not build.request.is_dockerfile_in_doubt)

    async def looked_at_once(self, build: Build, look: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """What `look` comes to; where one for another commit is under way, what that came to, unless it says something
        about that commit alone."""
        key = _key(build)
        if (under_way := self._looks.get(key)) is not None:
            shared = await asyncio.shield(under_way)  # whoever gives up waiting must not end it for the others
            return shared if shared is not None else await look()
        mine = self._looks[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await look()
            mine.set_result(None if _is_of_one_commit(outcome) else outcome)
        finally:
            del self._looks[key]
            if not mine.done():
                mine.set_result(None)
        return outcome

    def found(self, build: Build) -> None:
        """The build's Dockerfile is there."""
        if len(self._there) >= MOST_REMEMBERED:
            self._there.pop(next(iter(self._there)))
        self._there[_key(build)] = None

    def untold(self, build: Build, now: float) -> None:
        """The forge does not tell whether it is; not asked again for ten minutes."""
        if len(self._untold) >= MOST_REMEMBERED:
            self._untold.pop(next(iter(self._untold)))
        self._untold[_key(build)] = now + NO_ANSWER_SECONDS


def _key(build: Build) -> tuple[str, str, str]:
    return build.source.forge, build.source.repository_id, build.request.dockerfile


def _is_of_one_commit(outcome: Outcome) -> bool:
    match outcome:
        case SourceChecked(missing):
            return bool(missing)
        case Failed(kind):
            return kind in {Failure.VANISHED, Failure.REFUSED}
        case _:
            return False


class ForgeQuestions:
    """Asks the forges about builds."""

    def __init__(self, forges: Mapping[str, ForgeSite], known: KnownSources, clock: Clock) -> None:
        self._forges = forges
        self._known = known
        self._clock = clock

    async def ask(self, build: Build, question: Question) -> Outcome:
        """The answer, or how it failed. Raises nothing that a forge may do."""
        site = self._forges.get(build.source.forge)
        if site is None:
            return Failed(Failure.REFUSED, f"the forge {build.source.forge} is no longer configured")
        ask = partial(self._answer, build, question, site)
        if isinstance(question, CheckSource) and not build.request.is_dockerfile_in_doubt:
            return await self._known.looked_at_once(build, ask)
        return await ask()

    async def _answer(self, build: Build, question: Question, site: ForgeSite) -> Outcome:
        try:
            match question:
                case ResolveCommit():
                    return await self._commit(build, site)
                case ComparePaths():
                    return await self._changed(build, site)
                case CheckSource():
                    return await self._source(build, site)
        except (CallError, Closed) as error:
            return failure_of(error, site.line, self._clock)

    async def _commit(self, build: Build, site: ForgeSite) -> Outcome:
        ask = partial(site.forge.commit_of_tag, build.source.full_name, build.tag_object or build.ref)
        with timed_call(site.key, "commitOfTag"):
            return CommitKnown(await site.line.call(ask))

    async def _changed(self, build: Build, site: ForgeSite) -> Outcome:
        comparison, commit = build.request.comparison, build.commit
        if comparison is None or commit is None:
            raise ValueError("a build without a comparison, or without a commit, has nothing to compare")
        base, named = comparison.base, short(comparison.base or "")
        if base is None:
            branch = await self._default_branch(build, site)
            if branch == build.ref_name:
                return PathsCompared(None, branch)
            base, named = await self._head(build, site, branch), branch
        compare = partial(site.forge.changed_paths, build.source.full_name, base, commit)
        with timed_call(site.key, "changedPaths"):
            return PathsCompared(await site.line.call(compare), named)

    async def _default_branch(self, build: Build, site: ForgeSite) -> str:
        if build.source.default_branch:
            return build.source.default_branch
        with timed_call(site.key, "repository"):
            found = await site.line.call(partial(site.forge.repository, build.source.full_name))
        return found.default_branch

    async def _head(self, build: Build, site: ForgeSite, branch: str) -> str:
        with timed_call(site.key, "head"):
            return await site.line.call(partial(site.forge.head, build.source.full_name, f"refs/heads/{branch}"))

    async def _source(self, build: Build, site: ForgeSite) -> Outcome:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self._look(build, site)
        except TimeoutError:
            return SourceChecked()

    async def _look(self, build: Build, site: ForgeSite) -> Outcome:
        path, commit = build.request.dockerfile, build.commit or ""
        look = partial(site.forge.has_file, build.source.full_name, commit, path)
        try:
            with timed_call(site.key, "hasFile"):
                is_there = await site.line.call(look)
        except Vanished as gone:
            return await self._vanished(build, site, gone)
        except (Refused, CredentialRefused):
            self._known.untold(build, self._clock.monotonic())
            return SourceChecked()
        if is_there:
            self._known.found(build)
            return SourceChecked()
        if build.request.submodules and await self._is_in_submodule(build, site):
            return SourceChecked()
        where = f"{build.source.full_name} at {short(commit)}"
        return SourceChecked(f"{path} is not in {where}: rule {build.request.rule} says `dockerfile` or `context`")

    async def _is_in_submodule(self, build: Build, site: ForgeSite) -> bool:
        """Whether the Dockerfile lies in a submodule: then only the archive will show that it is there."""
        for folder in PurePosixPath(build.request.dockerfile).parents[:-1]:
            ask = partial(site.forge.gitlink, build.source.full_name, build.commit or "", str(folder))
            with timed_call(site.key, "gitlink"):
                if await site.line.call(ask) is not None:
                    return True
        return False

    async def _vanished(self, build: Build, site: ForgeSite, gone: Vanished) -> Outcome:
        """A commit that is not there, unless it is the whole repository that the credential does not see."""
        try:
            await site.line.call(partial(site.forge.repository, build.source.full_name))
        except CallError:
            self._known.untold(build, self._clock.monotonic())
            return SourceChecked()
        return failure_of(gone, site.line, self._clock)
