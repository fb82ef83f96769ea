"""Deliveries that are recorded in one batch come to exactly what they come to one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from buildbot.domain.push import Ignored, PushEvent
from buildbot.domain.rule import Supersede
from buildbot.ports import Recorded, Recording
from buildbot.store.database import open_database
from buildbot.store.intake import record
from buildbot.store.tables import builds, claims, commit_statuses, deliveries, moves, plans, steps
from tests.store.world import API, DOCS, START, a_push, a_recording

RULES = (API, DOCS, replace(API, name="kept", supersede=Supersede.KEEP, status_context="kept", image_tags=("x-{ref}",)))
REFS = ("refs/heads/main", "refs/heads/topic", "refs/tags/v1")
COMMITS = (None, "a", "b", "c", "d")
UNTOLD = {"id", "build", "owner", "version", "wakes", "replaced_at"}
"""Columns that name rows by chance, count writes, or hold a time that is only good for forgetting."""


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """Two empty databases."""
    with ExitStack() as stack:
        opened = []
        for name in ("together", "alone"):
            writing, reading = open_database(f"sqlite:///{tmp_path / name}.db")
            stack.callback(reading.dispose)
            stack.callback(writing.dispose)
            opened.append(writing)
        yield opened[0], opened[1]


def some_deliveries(chance: random.Random, number: int) -> list[Recording]:
    """Pushes to few refs among few commits, often in a wrong order, some told twice, some of several refs."""
    recordings = []
    for at in range(number):
        pushes = tuple(_a_push(chance) for _ in range(chance.choice((1, 1, 1, 2))))
        reading: tuple[PushEvent, ...] | Ignored = Ignored("a ping") if chance.random() < 0.05 else pushes
        guid = f"delivery-{chance.choice((at, at, at, max(0, at - 2)))}"
        recordings.append(a_recording(reading, guid, RULES, START + timedelta(seconds=at)))
    return recordings


def _a_push(chance: random.Random) -> PushEvent:
    before, after = chance.sample(COMMITS, 2)
    seconds = chance.choice((None, *range(12)))
    return replace(
        a_push(before, after, chance.choice(REFS)),
        pushed_at=None if seconds is None else START + timedelta(seconds=seconds),
        changed_paths=chance.choice((None, ("src/x",), ("docs/x",))),
        forced=chance.choice((None, False)),
        is_swept=chance.random() < 0.1,
    )


def told(recorded: Sequence[Recorded]) -> list[Any]:
    """What was answered, but for what is different by chance."""
    return [
        (
            one.decision,
            one.reason,
            one.rules,
            [(build.seq, build.ref, build.goal, build.request) for build in one.builds],
        )
        for one in recorded
    ]


def rows(connection: Connection) -> dict[str, list[Any]]:
    """All that is written, with builds named by their places in the order."""
    places = {row.id: row.seq for row in connection.execute(select(builds.c.id, builds.c.seq))}
    found: dict[str, list[Any]] = {}
    for table in (deliveries, moves, plans, builds, steps, claims, commit_statuses):
        known = [column.name for column in table.columns if column.name not in UNTOLD]
        found[table.name] = sorted(
            repr(([row[name] for name in known], places.get(row.get("build") or row.get("owner"))))
            for row in map(dict, connection.execute(select(table)).mappings())
        )
    return found


@pytest.mark.parametrize("seed", range(40))
def test_a_batch_is_recorded_as_if_each_had_come_alone(engines: tuple[Engine, Engine], seed: int) -> None:
    chance = random.Random(seed)
    recordings = some_deliveries(chance, 24)
    together, alone = engines
    answers: list[list[Any]] = [[], []]
    while recordings:
        size = chance.randint(1, 9)
        batch, recordings = recordings[:size], recordings[size:]
        with together.begin() as connection:
            answers[0] += told(record(connection, batch))
        for one in batch:
            with alone.begin() as connection:
                answers[1] += told(record(connection, [one]))
    assert answers[0] == answers[1]
    with together.connect() as one_by_batch, alone.connect() as one_by_one:
        assert rows(one_by_batch) == rows(one_by_one)
