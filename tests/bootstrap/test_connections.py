"""Which connection a call takes, against a server that counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from buildbot.bootstrap import open_client
from buildbot.bootstrap.connections import Connections

pytestmark = pytest.mark.anyio
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Server:
    """Answers every request with `{}` once its gate is open; notes on which connection each came."""

    port: int = 0
    opened: int = 0
    used: list[int] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    hangs_up: bool = False
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open.add(writer)
        try:
            await self._answer(self.opened, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            self.used.append(number)
            await self.gate.wait()
            writer.write(ANSWER)
            await writer.drain()
            if self.hangs_up:
                return

    async def until_used(self, times: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(5):
            while len(self.used) < times:  # noqa: ASYNC110  sockets have no event to wait for
                await asyncio.sleep(0.001)

    async def until_open(self, connections: int) -> None:
        """Wait until so many connections are open."""
        async with asyncio.timeout(5):
            while len(self.open) != connections:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server whose gate is open."""
    server = Server()
    server.gate.set()
    async with await asyncio.start_server(server.serve, "127.0.0.1") as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
        await server.until_open(0)


async def test_calls_one_after_another_share_a_connection() -> None:
    async with serving() as server, open_client() as client:
        for _ in range(3):
            assert (await client.get(server.url)).json() == {}
        assert server.used == [1, 1, 1]
        await client.aclose()


async def test_calls_at_once_have_one_each_and_leave_them_to_those_that_follow() -> None:
    async with serving() as server, open_client() as client:
        server.gate.clear()
        together = [asyncio.create_task(client.get(server.url)) for _ in range(5)]
        await server.until_used(5)
        server.gate.set()
        await asyncio.gather(*together)
        await asyncio.gather(*(client.get(server.url) for _ in range(5)))
        assert (sorted(server.used[:5]), server.opened) == ([1, 2, 3, 4, 5], 5)
        await client.aclose()


async def test_connections_that_have_grown_cold_are_closed() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Connections(kept_seconds=0.0)) as client:
        await asyncio.gather(*(client.get(server.url) for _ in range(3)))
        await client.get(server.url)
        await server.until_open(1)
        await client.aclose()


async def test_who_comes_when_all_are_in_use_waits_for_one() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Connections(most=2)) as client:
        server.gate.clear()
        calls = [asyncio.create_task(client.get(server.url)) for _ in range(5)]
        await server.until_used(2)
        server.gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 5
        assert server.opened == 2
        await client.aclose()


async def test_who_waits_too_long_for_a_connection_has_sent_nothing() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Connections(most=1)) as client:
        server.gate.clear()
        first = asyncio.create_task(client.get(server.url))
        await server.until_used(1)
        with pytest.raises(httpx.PoolTimeout):
            await client.get(server.url, timeout=httpx.Timeout(5.0, pool=0.01))
        server.gate.set()
        await first
        assert len(server.used) == 1
        await client.aclose()


async def test_a_host_that_does_not_answer_takes_no_place_from_another() -> None:
    async with serving() as dead, serving() as live, httpx.AsyncClient(transport=Connections(most=1)) as client:
        dead.gate.clear()
        stuck = asyncio.create_task(client.get(dead.url))
        await dead.until_used(1)
        assert (await client.get(live.url)).status_code == 200
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        dead.gate.set()
        await client.aclose()


async def test_a_connection_that_the_server_has_closed_is_replaced_without_a_word() -> None:
    async with serving() as server, open_client() as client:
        server.hangs_up = True
        for _ in range(3):
            assert (await client.get(server.url)).status_code == 200
            await server.until_open(0)
        assert server.used == [1, 2, 3]


async def test_a_call_that_is_given_up_leaves_its_place_and_not_its_connection() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Connections(most=1)) as client:
        server.gate.clear()
        call = asyncio.create_task(client.get(server.url))
        await server.until_used(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        server.gate.set()
        assert (await client.get(server.url)).status_code == 200
        assert server.used == [1, 2]
        await client.aclose()


async def test_a_server_that_is_not_there_takes_no_place() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Connections(most=1)) as client:
        for _ in range(3):
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
        assert (await client.get(server.url)).status_code == 200
        await client.aclose()


async def test_an_answer_that_nobody_reads_to_its_end_closes_its_connection() -> None:
    async with serving() as server, open_client() as client:
        async with client.stream("GET", server.url):
            pass
        await server.until_open(0)


async def test_what_is_in_use_when_the_client_is_closed_is_closed_when_it_is_given_back() -> None:
    async with serving() as server, open_client() as client:
        request = client.build_request("GET", server.url)
        answer = await client.send(request, stream=True)
        await client.aclose()
        await answer.aread()
        await answer.aclose()
        await server.until_open(0)


async def test_a_proxy_of_the_environment_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_client() as client:
            assert (await client.get("http://quay.test/api")).status_code == 200
        assert proxy.heads[0].startswith(b"GET http://quay.test/api HTTP/1.1")
