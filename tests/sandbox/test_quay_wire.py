"""Over real sockets a lost answer is a broken connection, with both of uvicorn's HTTP implementations."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_faults import Fault

COLLECTION = "/api/v1/repository/acme/app/build/"


class _Server(uvicorn.Server):
    """A uvicorn that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.listens.set()


@pytest.fixture(params=["h11", "httptools"])
def quay(request: pytest.FixtureRequest) -> Iterator[Quay]:
    made = Quay()
    made.add_repository("acme/app")
    made.grant("acme", "alice", "admin")
    config = uvicorn.Config(made.app, port=0, http=request.param, log_level="error", lifespan="off")
    server = _Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listens.wait(10)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield made
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def client(quay: Quay) -> Iterator[httpx.Client]:
    token = quay.issue_token("alice")
    with httpx.Client(base_url=quay.url, headers={"Authorization": f"Bearer {token}"}) as made:
        yield made


def test_a_lost_answer_breaks_the_connection_of_a_build_that_was_made(quay: Quay, client: httpx.Client) -> None:
    quay.faults.on(Fault.LOSE_ANSWER, "requestRepoBuild", times=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.post(COLLECTION, json={"archive_url": "https://x/y"})
    builds = client.get(COLLECTION).json()["builds"]
    assert [it["archive_url"] for it in builds] == ["https://x/y"]


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.DOWN])
def test_a_request_that_never_arrives_breaks_it_too(quay: Quay, client: httpx.Client, fault: Fault) -> None:
    quay.faults.on(fault, times=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.post(COLLECTION, json={"archive_url": "https://x/y"})
    assert client.get(COLLECTION).json() == {"builds": []}


def test_a_client_that_will_not_wait_has_made_a_build(quay: Quay, client: httpx.Client) -> None:
    quay.faults.on(Fault.SLOW, "requestRepoBuild", times=1, seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.post(COLLECTION, json={"archive_url": "https://x/y"}, timeout=0.1)
    assert len(client.get(COLLECTION).json()["builds"]) == 1


def test_addresses_in_answers_are_those_that_were_asked(quay: Quay, client: httpx.Client) -> None:
    answer = client.get(COLLECTION.removesuffix("/"), params={"limit": 1})
    assert answer.headers["location"] == f"{quay.url}{COLLECTION}?limit=1"
    assert client.head(COLLECTION).status_code == 200
