"""Where the configuration comes from while the bot runs: its files, the environment, and whoever asks for a look.

The files are looked at once a second by what is in them, without a library that waits for the system's notices: those
are lost on network file systems and on files that a container has mounted, and differ from system to system. A look
at ten files takes a fraction of a millisecond. A change counts when two looks in a row find the same, since a file that
is half written may well be valid, with fewer rules.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from buildbot.config import Config, Digests, Files, load

LOOK_SECONDS = 1.0


def _nobody(_secrets: Iterable[str]) -> None:
    return None


class Source:
    """A configuration file and what it has been read with.

    `files` is what the configuration in force was read with; `learn` is told every secret before it is used.
    """

    def __init__(
        self,
        file: Path,
        environ: Mapping[str, str],
        files: Files,
        learn: Callable[[Iterable[str]], None] = _nobody,
    ) -> None:
        self.learn = learn
        self._file = file
        self._environ = environ
        self._files = files
        self._pending: Digests | None = None
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self) -> None:
        """Have the configuration read now, changed or not. May be called from any thread and at any signal."""
        if self._loop is None:
            self._asked.set()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whatever would read
            self._loop.call_soon_threadsafe(self._asked.set)

    async def has_news(self) -> bool:
        """Look once, a second from now or as soon as somebody asks: whether there is anything to read."""
        self._loop = asyncio.get_running_loop()
        return await self._is_asked() or self.has_settled(await asyncio.to_thread(self._files.look))

    def has_settled(self, found: Digests) -> bool:
        """Whether a look found other files than were read, and the same as the look before it."""
        is_changed, is_settled = found != self._files.seen, found == self._pending
        self._pending = found
        return is_changed and is_settled

    def load(self) -> Config:
        """Read everything again; what is read now is what is watched from now on. Raises BadConfig."""
        self._files, self._pending = Files(), None
        return load(self._file, self._environ, files=self._files)

    async def _is_asked(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        was_asked = self._asked.is_set()
        self._asked.clear()
        return was_asked
