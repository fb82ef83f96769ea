"""Programs that are measured, each in a process of its own: started, waited for, looked at, ended.

What they use is read where Linux tells it (`/proc`); elsewhere these figures are left out.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20.0
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Command:
    """How a program is started on a port: `arguments` follow the Python interpreter. `ready`: what it answers first."""

    name: str
    arguments: Sequence[str]
    port: int
    ready: str
    log: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs. `ready_after`: seconds from its start until it first answered."""

    name: str
    port: int
    ready_after: float
    process: Process

    @property
    def resident_bytes(self) -> int:
        """The memory that it occupies now; 0 where nobody tells."""
        return _status(self.process.pid, "VmRSS")

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used so far; 0 where nobody tells."""
        told = _read(Path(f"/proc/{self.process.pid}/stat"))
        fields = told.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    async def kill(self) -> None:
        """End it as a power cut would."""
        await _ended(self.process)


@asynccontextmanager
async def running(command: Command) -> AsyncIterator[Program]:
    """Run a program while the block lasts. Raises RuntimeError with its log when it does not start."""
    program = await started(command)
    try:
        yield program
    finally:
        await _ended(program.process)


async def started(command: Command) -> Program:
    """Start a program and wait until it answers."""
    began = time.perf_counter()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **command.environ}
    with command.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command.arguments), stdin=DEVNULL, stdout=log, stderr=log, env=environ, cwd=ROOT
        )
    while not await _answers(command):
        late = time.perf_counter() - began > START_SECONDS
        if late or process.returncode is not None:
            await _ended(process)
            raise RuntimeError(f"{command.name} does not start:\n{command.log.read_text()[-2000:]}")
        await asyncio.sleep(0.005)
    return Program(command.name, command.port, time.perf_counter() - began, process)


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _answers(command: Command) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", command.port)
    except OSError:
        return False
    try:
        writer.write(f"GET {command.ready} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


async def _ended(process: Process) -> None:
    # Without a word: what it has under way is of no interest, and finishing it would take seconds.
    if process.returncode is None:
        process.kill()
    await process.wait()


def _status(pid: int, key: str) -> int:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
