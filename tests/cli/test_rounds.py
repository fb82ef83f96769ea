"""`buildbot rounds`: when missed pushes were last looked for, for people and for programs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from buildbot.ports import RoundProgress, Store, Watched
from buildbot.store.sql_store import SqlStore
from tests.cli.world import Place


async def gone(store: Store) -> None:
    """A sweep two minutes ago that found a push, and a redelivery that has not come to its end."""
    assert isinstance(store, SqlStore)
    then = datetime.now(UTC) - timedelta(minutes=2)
    turn = await store.begin_round("sweep", "one", then, timedelta(seconds=10))
    assert turn is not None
    seen = Watched("github:acme/api", then, then, "not \x1b[31mall\x1b[0m", "GitHub is away")
    await store.save_watched(turn, seen, "{}")
    await store.finish_round(turn, RoundProgress(then, 3, ("acme/api main at 1a2b3c4",)), then)
    await store.begin_round("redelivery", "one", then, timedelta(seconds=10))


def test_rounds_are_told_with_what_they_found(place: Place) -> None:
    place.store(gone)
    result = place.run("rounds")
    assert result.exit_code == 0
    told = re.sub(r"2 m( \d+ s)? ago", "2 m ago", result.stdout)
    assert told.splitlines() == [
        "redelivery  last run never, nothing looked at yet",
        "  found nothing so far",
        "sweep  last run 2 m ago, 3 looked at",
        "  found 1 so far, the last 2 m ago: acme/api main at 1a2b3c4",
        "  note: not \N{REPLACEMENT CHARACTER}[31mall\N{REPLACEMENT CHARACTER}[0m",
        "  trouble: GitHub is away",
    ]


def test_programs_get_the_same_as_from_readyz(place: Place) -> None:
    place.store(gone)
    document = place.document("rounds")
    assert set(document) == {"sweep", "redelivery"}
    assert (document["sweep"]["found"], document["sweep"]["troubles"]) == (1, ["GitHub is away"])
    assert document["redelivery"]["finished_at"] is None


def test_before_anything_was_recorded_there_are_none(place: Place) -> None:
    assert place.document("rounds") == {}
    result = place.run("rounds")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no round has been gone yet" in result.stderr
    assert not place.database.exists()
