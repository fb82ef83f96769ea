"""The real program, as an operator runs it: started, told to stop, killed without a word, and started again.

What it writes to standard error is kept over all its lives, because two things must hold of every line whatever
happened: it is JSON, and it holds no secret.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.stories.world import BRISK, QUICK, World, until

STOP_SECONDS = 10.0
SHORT_LEASE = 'lease = "1s"'


@dataclass
class Program:
    """`buildbot serve` in a process of its own."""

    world: World
    lines: list[str] = field(default_factory=list)
    process: Process | None = None
    _born: int = 0
    _reading: asyncio.Task[None] | None = None

    @property
    def log(self) -> list[dict[str, Any]]:
        """Everything it has logged in all its lives."""
        return [json.loads(line) for line in self.lines]

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of that event."""
        return [line for line in self.log if line["event"] == event]

    async def start(self, *arguments: str, **environ: str) -> None:
        """Start it and wait until it listens."""
        await self.launch(*(arguments or ("-c", str(self.world.config_file))), **environ)
        await until(lambda: self._has_ended or self.is_listening)
        assert not self._has_ended, "\n".join(self.lines)

    async def launch(self, *arguments: str, **environ: str) -> None:
        """Start it, for better or worse."""
        command = (sys.executable, "-m", "buildbot", "serve", *arguments)
        environ = {"PATH": os.environ["PATH"], **self.world.environ, **environ}
        self._born = len(self.lines)
        self.process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE, env=environ)
        self._reading = asyncio.create_task(self._read(self.process))

    async def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self.kill_now()
        await self.ended()

    def kill_now(self) -> None:
        """End it as a power cut would."""
        self._send(signal.SIGKILL)

    async def restart(self) -> None:
        """Kill it and start it again."""
        await self.kill()
        await self.start()

    async def stop(self, by: signal.Signals = signal.SIGTERM, within: float = STOP_SECONDS) -> int:
        """Tell it to stop, which may take it so many seconds; its exit code."""
        assert self.process is not None
        self.process.send_signal(by)
        return await self.ended(within)

    async def ended(self, within: float | None = STOP_SECONDS) -> int:
        """Wait for its end, so many seconds at most; the exit code."""
        assert self.process is not None
        assert self._reading is not None
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await self._reading
        return code

    @property
    def is_running(self) -> bool:
        """Whether there is a process, be it frozen."""
        return not self._has_ended

    @property
    def is_listening(self) -> bool:
        """Whether it has come so far in this life."""
        # What keeps it from starting is told in plain words, not in JSON.
        this_life = [json.loads(line) for line in self.lines[self._born :] if line.startswith("{")]
        return self.is_running and any(line["event"] == "listening" for line in this_life)

    def freeze(self) -> None:
        """Let it stand still, as a paused machine does: its connections stay, its leases run out."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if no time had passed."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.is_running:
            self.process.send_signal(number)

    @property
    def _has_ended(self) -> bool:
        return self.process is None or self.process.returncode is not None

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.lines.append(line.decode().rstrip("\n"))


@asynccontextmanager
async def program(world: World, **environ: str) -> AsyncIterator[Program]:
    """The program, running and heard by the forge; killed at the end, and then every line it wrote is looked at."""
    configure(world)
    one = Program(world)
    await one.start(**environ)
    try:
        yield one
    finally:
        await one.kill()
    assert_keeps_its_secrets(one.lines, world.environ)
    assert all(line["event"] and line["level"] and line["timestamp"] for line in one.log)


_PORTS = itertools.count(20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))


def port_to_keep() -> int:
    """A port that stays free while nobody listens on it: not one of those that the system hands out to whoever asks."""
    for port in _PORTS:
        with closing(socket.socket()) as asking, suppress(OSError):
            asking.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no free port")


def configure(world: World) -> int:
    """Write a configuration with short leases and a port that stays the same over restarts; gives the port."""
    port = port_to_keep()
    world.setting.listen = f"127.0.0.1:{port}"
    world.setting.store = world.setting.store or SHORT_LEASE
    if world.setting.registry == QUICK:
        world.setting.registry = BRISK
    world.write_config()
    world.hear_pushes(f"http://127.0.0.1:{port}")
    return port


def assert_keeps_its_secrets(lines: list[str], environ: Mapping[str, str]) -> None:
    """No line holds a secret."""
    for name, secret in environ.items():
        assert not [line for line in lines if secret in line], f"the log shows {name}"
