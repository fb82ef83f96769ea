"""Health and metrics on a real store: alive, ready, degraded, and numbers that a Prometheus can read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from buildbot.domain.build import BuildPhase
from buildbot.domain.status import status_of
from buildbot.engine.pacing import Clock, Line
from buildbot.ports import Commission, CredentialRefused, RoundProgress, Unreachable, Watched
from buildbot.store.sql_store import SqlStore
from buildbot.telemetry import timed_call
from buildbot.web.app import create_app
from buildbot.web.health import Health
from tests.web.builds import COMMIT, REQUEST, SOURCE

pytestmark = pytest.mark.anyio

Labels = frozenset[tuple[str, str]]


@dataclass
class Ward:
    """The routes of health, the store they look at, and the lines to a Quay and a GitHub."""

    client: httpx.AsyncClient
    store: SqlStore
    file: Path
    quay: Line
    github: Line

    def execute(self, statement: str) -> None:
        """Change the database behind the bot's back."""
        with closing(sqlite3.connect(self.file)) as other:
            other.execute(statement)

    async def metrics(self) -> Mapping[str, Mapping[Labels, float]]:
        """Every sample by its name and labels, as a Prometheus reads it."""
        answer = await self.client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(answer.text):
            assert family.documentation, family.name
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return samples

    async def add_build(self, age: timedelta = timedelta()) -> None:
        """A planned build."""
        await self.store.commission(
            Commission(SOURCE, "refs/heads/main", COMMIT, REQUEST, "ada"), datetime.now(UTC) - age, status_of
        )


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    file = tmp_path / "buildbot.db"
    with SqlStore(f"sqlite:///{file}") as store:
        quay, github = Line("quay", Clock()), Line("github", Clock())
        app = create_app(Health(store, lambda: [quay, github]).routes(), _nothing)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test") as client:
            yield Ward(client, store, file, quay, github)


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


async def fails(line: Line, error: Exception) -> None:
    async def call() -> None:
        raise error

    with pytest.raises(type(error)):
        await line.call(call)


async def answers(line: Line) -> None:
    async def call() -> None:
        return

    await line.call(call)


async def gone(ward: Ward, name: str, trouble: str = "") -> None:
    now = datetime.now(UTC)
    turn = await ward.store.begin_round(name, "one", now, timedelta(seconds=10))
    assert turn is not None
    await ward.store.save_watched(turn, Watched("github:acme/api", now, now, "worth knowing", trouble), "{}")
    await ward.store.finish_round(turn, RoundProgress(now + timedelta(hours=1), 1, ("a push",)), now)


# ── alive and ready ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_nothing_wrong_it_is_alive_and_ready(ward: Ward) -> None:
    assert (await ward.client.get("/livez")).status_code == 200
    ready = await ward.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "degraded": {}, "rounds": {}})


@pytest.mark.parametrize("error", [Unreachable("nobody answers at quay.io"), CredentialRefused("the token is refused")])
async def test_a_registry_in_trouble_is_named_and_makes_nobody_unready(ward: Ward, error: Exception) -> None:
    await fails(ward.quay, error)
    ready = await ward.client.get("/readyz")
    assert ready.status_code == 200
    assert list(ready.json()["degraded"]) == ["quay"]
    assert str(error) in ready.json()["degraded"]["quay"]


async def test_a_registry_that_works_again_is_no_longer_named(ward: Ward) -> None:
    line = ward.github
    await fails(line, Unreachable("nobody answers at github.com"))
    assert line.closed() is not None
    line.clock = Clock(monotonic=lambda: math.inf)  # long after the next probe is due
    await answers(line)
    assert (await ward.client.get("/readyz")).json()["degraded"] == {}


async def test_a_store_that_takes_no_writes_is_not_ready_but_alive(ward: Ward) -> None:
    ward.execute("CREATE TRIGGER full BEFORE UPDATE ON counters BEGIN SELECT RAISE(ABORT, 'no space left'); END")
    ready = await ward.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert "no space left" in ready.json()["because"]
    assert (await ward.client.get("/livez")).status_code == 200
    ward.execute("DROP TRIGGER full")
    assert (await ward.client.get("/readyz")).status_code == 200


async def test_a_configuration_that_is_not_taken_over_is_named_and_makes_nobody_unready(ward: Ward) -> None:
    app = create_app(
        Health(ward.store, lambda: [ward.quay], lambda: "the new version has 1 mistake").routes(), _nothing
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test") as client:
        ready = await client.get("/readyz")
    told = {"status": "ready", "degraded": {"configuration": "the new version has 1 mistake"}, "rounds": {}}
    assert (ready.status_code, ready.json()) == (200, told)


async def test_health_answers_a_monitor_that_asks_for_the_head_alone(ward: Ward) -> None:
    assert (await ward.client.head("/livez")).status_code == 200
    assert (await ward.client.head("/readyz")).status_code == 200
    assert (await ward.client.post("/livez")).status_code == 405


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_comes_by_is_told_what_this_is(ward: Ward) -> None:
    front = await ward.client.get("/")
    assert (front.status_code, front.json()["see"]) == (200, ["/readyz", "/livez", "/metrics"])


async def test_unfinished_builds_are_counted_by_phase_with_the_age_of_the_oldest(ward: Ward) -> None:
    before = await ward.metrics()
    assert before["buildbot_oldest_build_seconds"] == {frozenset(): 0.0}
    assert set(before["buildbot_builds"].values()) == {0.0}
    await ward.add_build(age=timedelta(minutes=5))
    assert (await ward.metrics())["buildbot_statuses_due"][frozenset()] == 1
    await ward.add_build()
    after = await ward.metrics()
    assert after["buildbot_builds"][frozenset({("phase", BuildPhase.PLANNED.value)})] == 2
    assert 300 <= after["buildbot_oldest_build_seconds"][frozenset()] < 310


async def test_a_phase_without_builds_is_zero_and_not_gone(ward: Ward) -> None:
    phases = {dict(labels)["phase"] for labels in (await ward.metrics())["buildbot_builds"]}
    assert phases == {phase.value for phase in BuildPhase if not phase.is_final}


async def test_calls_are_counted_and_timed_by_operation_and_outcome(ward: Ward) -> None:
    with timed_call("quay-of-this-test", "requestRepoBuild"):
        pass
    with pytest.raises(Unreachable), timed_call("quay-of-this-test", "requestRepoBuild"):
        raise Unreachable("away")
    metrics = await ward.metrics()
    labels = {("to", "quay-of-this-test"), ("operation", "requestRepoBuild")}
    for outcome in ("ok", "Unreachable"):
        assert metrics["buildbot_calls_total"][frozenset(labels | {("outcome", outcome)})] == 1
    assert metrics["buildbot_call_seconds_count"][frozenset(labels)] == 2


async def test_metrics_are_given_while_the_store_cannot_be_read_without_made_up_numbers(ward: Ward) -> None:
    await ward.add_build()
    ward.execute("ALTER TABLE builds RENAME TO gone")
    metrics = await ward.metrics()
    assert metrics["buildbot_store_up"] == {frozenset(): 0.0}
    gauges = ("buildbot_builds", "buildbot_oldest_build_seconds", "buildbot_statuses_due")
    assert all(math.isnan(value) for name in gauges for value in metrics[name].values())
    ward.execute("ALTER TABLE gone RENAME TO builds")
    metrics = await ward.metrics()
    assert metrics["buildbot_store_up"] == {frozenset(): 1.0}
    assert metrics["buildbot_builds"][frozenset({("phase", BuildPhase.PLANNED.value)})] == 1


async def test_rounds_are_told_with_what_they_found_and_do_not_degrade(ward: Ward) -> None:
    await gone(ward, "sweep")
    ready = (await ward.client.get("/readyz")).json()
    assert ready["degraded"] == {}
    sweep = ready["rounds"]["sweep"]
    assert (sweep["looked"], sweep["found"], sweep["found_what"]) == (1, 1, "a push")
    assert (sweep["notes"], sweep["troubles"]) == (["worth knowing"], [])


async def test_a_round_in_trouble_is_named_and_makes_nobody_unready(ward: Ward) -> None:
    await gone(ward, "sweep", "GitHub does not answer")
    ready = await ward.client.get("/readyz")
    assert (ready.status_code, ready.json()["degraded"]) == (200, {"sweep": "GitHub does not answer"})


async def test_how_long_ago_a_round_was_gone_is_a_metric(ward: Ward) -> None:
    await gone(ward, "redelivery")
    age = (await ward.metrics())["buildbot_round_age_seconds"][frozenset({("round", "redelivery")})]
    assert 0 <= age < 60
