"""A new version of the configuration takes over while the bot runs; a bad one changes nothing but what is told.

The change-over is one assignment (`Current.setup`), so nobody ever works by halves of two versions. What had been put
off because of the old way to a registry or a forge is then made due; until the store has taken that, it is owed and
tried again at every look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from buildbot.bootstrap.adapters import known_secrets
from buildbot.bootstrap.changes import Ways, changed_ways, differences, needing_restart, without_restart
from buildbot.bootstrap.setup import InForce, Shared, new_setup
from buildbot.bootstrap.source import Source
from buildbot.config import BadConfig, Config
from buildbot.engine.hurrying import Hurry
from buildbot.engine.setup import Current
from buildbot.ports import Store, StoreUnavailable
from buildbot.telemetry import CONFIG_RELOAD_WORKED, CONFIG_RELOADS, CONFIG_SINCE

log = structlog.get_logger(__name__)

MOST_TOLD = 5
"""So many mistakes are told on /readyz; the log has them all."""
AFTER_A_FAILURE = 1.0


@dataclass(frozen=True, slots=True)
class ChangeOver:
    """What a change-over works with. `wake` makes both loops look."""

    store: Store
    shared: Shared
    hurry: Hurry
    wake: Callable[[], None]


class Reloading:
    """Keeps `current` to the newest good version of a configuration. `config` is what the bot was started with."""

    def __init__(self, config: Config, source: Source, current: Current, change: ChangeOver) -> None:
        self._running = config
        self._config = config
        self._source = source
        self._current = current
        self._change = change
        self._owed = Ways()
        self._refused = ""
        self._restart_for: tuple[str, ...] = ()
        self._note_success()

    @property
    def trouble(self) -> str:
        """What of the newest version is not in force, and why, for people; "" when all of it is."""
        keys = " and ".join(self._restart_for)
        waiting = f"{keys}: what the file says needs a restart, until then it stays as it was" if keys else ""
        return "; ".join(filter(None, (self._refused, waiting)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take over what is new while the block lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                if await self._source.has_news():
                    await self.look()
                await self._pay()
            except Exception:
                log.exception("following the configuration failed, starting it again")
                await asyncio.sleep(AFTER_A_FAILURE)

    async def look(self) -> None:
        """Read the configuration again, and take it over if it is good."""
        try:
            self._take_over(await asyncio.to_thread(self._source.load))
        except BadConfig as bad:
            self._refuse([str(mistake) for mistake in bad.mistakes])
        except Exception:
            log.exception("configuration not taken over")
            self._refuse(["it fails for a reason that nobody thought of, which the log tells"])
        await self._pay()

    def _refuse(self, mistakes: Sequence[str]) -> None:
        CONFIG_RELOADS.labels("failure").inc()
        CONFIG_RELOAD_WORKED.set(0)
        count = f"{len(mistakes)} mistake{'' if len(mistakes) == 1 else 's'}"
        stays = f"the one read at {self._current.setup.since:%Y-%m-%d %H:%M:%S} UTC stays in force"
        log.error("configuration not taken over", because=f"it has {count}; {stays}", mistakes=mistakes)
        more = f"; and {len(mistakes) - MOST_TOLD} more, in the log" if len(mistakes) > MOST_TOLD else ""
        self._refused = f"the new version has {count}; {stays}: {'; '.join(mistakes[:MOST_TOLD])}{more}"

    def _take_over(self, config: Config) -> None:
        self._source.learn(known_secrets(config))
        before = InForce(self._config, self._current.setup)
        after = without_restart(self._running, config)
        self._current.setup = new_setup(after, self._change.shared, before)
        self._config = after
        self._owed |= changed_ways(before.config, after)
        self._refused, self._restart_for = "", needing_restart(self._running, config)
        CONFIG_RELOADS.labels("success").inc()
        self._note_success()
        self._tell(config, differences(before.config, after))

    def _tell(self, config: Config, changed: tuple[str, ...]) -> None:
        for warning in config.warnings:
            log.warning("configuration", because=str(warning))
        for key in self._restart_for:
            log.warning(
                "restart needed", key=key, because=f"{key} cannot change while the bot runs, and stays as it was"
            )
        log.info("configuration taken over" if changed else "configuration unchanged", changed=changed)

    def _note_success(self) -> None:
        CONFIG_RELOAD_WORKED.set(1)
        CONFIG_SINCE.set(self._change.shared.clock.now().timestamp())

    async def _pay(self) -> None:
        owed = self._owed
        if not owed:
            return
        # Before anything is awaited: the first pass by the new setup has to know of it.
        self._change.hurry.begin(owed.registries, owed.forges, self._change.shared.clock.monotonic())
        try:
            await self._change.store.hurry(owed.registries, owed.forges, self._change.shared.clock.now())
        except StoreUnavailable as away:
            log.warning("what was put off stays so for now", because=str(away))
            return
        self._owed = Ways()
        self._change.wake()
