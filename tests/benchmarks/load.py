"""The load: a process of its own that sends prepared requests over kept connections and notes when each is answered.

Everything is signed and written out before the clock starts, and answers are only looked at as far as needed, so that
what is measured is the program at the other end. `python -m tests.benchmarks.load` takes an `Order` as JSON on standard
input and gives a `Result` on standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from tests.benchmarks.pushes import Scheme, requests_of

STOPS_AFTER = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send where. `rate` a second, each at its time; None: as fast as the answers come (a closed loop)."""

    port: int
    path: str
    scheme: Scheme
    count: int
    first: int = 0
    connections: int = 32
    rate: float | None = None


@dataclass(slots=True)
class Result:
    """How it went: the answers' status codes, and each answer's time in seconds (open loop: from when it was due).

    `sent` has the wall's time at which each push was sent (or due), in the order of their numbers.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    sent: list[float] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """Answers that took the push."""
        return sum(count for status, count in self.statuses.items() if status.startswith("2"))

    @property
    def rate(self) -> float:
        """Accepted pushes a second."""
        return self.accepted / self.seconds


class Connection(asyncio.Protocol):
    """One connection: a request at a time, and the answer's status with the moment its last byte came."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answered: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the server hung up: {exc}"))

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the status of its answer."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _content_length(bytes(self._buffer[:end]).lower())
        if len(self._buffer) >= end + 4 + length and self._answered is not None:
            status = int(self._buffer[9:12])
            self._buffer.clear()
            if not self._answered.done():
                self._answered.set_result(status)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError("an answer without Content-Length: this load speaks to servers that send it")
    return int(head[at + 15 :].split(b"\r\n", 1)[0])


class Load:
    """One order being carried out."""

    def __init__(self, order: Order) -> None:
        host = f"127.0.0.1:{order.port}"
        self._order = order
        self._requests = list(requests_of(order.scheme, order.count, order.path, host, order.first))
        self._sent = [0.0] * order.count
        self._statuses: Counter[int] = Counter()
        self._latencies: list[float] = []

    async def run(self) -> Result:
        """Connect, then send everything."""
        connections = [await self._connect() for _ in range(self._order.connections)]
        began = time.perf_counter()
        async with asyncio.timeout(STOPS_AFTER):
            await (self._closed(connections) if self._order.rate is None else self._open(connections, self._order.rate))
        seconds = time.perf_counter() - began
        for one in connections:
            one.close()
        statuses = {str(status): count for status, count in self._statuses.items()}
        return Result(seconds, self._latencies, statuses, self._sent)

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._order.port)
        return connection

    async def _closed(self, connections: list[Connection]) -> None:
        left = iter(enumerate(self._requests))
        await asyncio.gather(*(self._one_after_another(one, left) for one in connections))

    async def _one_after_another(self, connection: Connection, left: Iterator[tuple[int, bytes]]) -> None:
        for number, request in left:
            await self._ask(connection, number, request, time.perf_counter())

    async def _open(self, connections: list[Connection], rate: float) -> None:
        free, began = deque(connections), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(len(self._requests)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                connection = free.popleft() if free else await self._connect()
                group.create_task(self._ask_and_return(connection, number, due, free))

    async def _ask_and_return(self, connection: Connection, number: int, due: float, free: deque[Connection]) -> None:
        await self._ask(connection, number, self._requests[number], due)
        free.append(connection)

    async def _ask(self, connection: Connection, number: int, request: bytes, since: float) -> None:
        self._sent[number] = time.time() - (time.perf_counter() - since)
        self._statuses[await connection.ask(request)] += 1
        self._latencies.append(time.perf_counter() - since)


def carried_out(order: Order) -> Result:
    """Carry an order out in this process."""
    return uvloop.run(Load(order).run())


async def sent(order: Order) -> Result:
    """Carry an order out in a process of its own. Raises RuntimeError with what it said if that fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complained = await process.communicate(json.dumps(asdict(order)).encode())
    if process.returncode:
        raise RuntimeError(f"the load broke off:\n{complained.decode(errors='replace')}")
    return Result(**json.loads(told))


def main() -> None:
    """Read an order, carry it out, tell the result."""
    asked: dict[str, Any] = json.load(sys.stdin)
    order = Order(**{**asked, "scheme": Scheme(**asked["scheme"])})
    json.dump(asdict(carried_out(order)), sys.stdout)


if __name__ == "__main__":
    main()
