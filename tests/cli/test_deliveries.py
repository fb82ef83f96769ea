"""`buildbot deliveries` on a store that was filled by its port: what is listed, what is told, what a replay does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from buildbot.domain.build import BuildPhase
from buildbot.domain.decision import Verdict, judge
from buildbot.domain.push import Archive, PushEvent, Source
from buildbot.domain.rule import Rule
from buildbot.domain.status import status_of
from buildbot.ports import Recorded, Recording
from tests.cli.world import NOW, SHA, Place

RULE = Rule("api", "github", "acme/api", "quay", "acme/api", branches=("main",), image_tags=("{ref}",))
PUSH = PushEvent(
    Source("github", "7", "acme/api"),
    "refs/heads/main",
    "0" * 39 + "1",
    SHA,
    SHA,
    Archive("https://github.com/acme/api/archive/{sha}.tar.gz", "api-{sha}"),
    changed_paths=("src/a.py",),
    pusher="ada",
)


def deliver(place: Place, guid: str = "d-1", push: PushEvent = PUSH, rule: Rule = RULE) -> Recorded:
    """A delivery, as `serve` records it."""
    judged = partial(judge, rules=[rule])
    recording = Recording("github", guid, "push", NOW, (push,), judged, status_of)
    return place.store(lambda store: store.record(recording))


def test_without_a_database_there_are_no_deliveries(place: Place) -> None:
    result = place.run("deliveries", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"nothing was ever recorded in {place.database}" in result.stderr
    assert place.document("deliveries", "list") == []
    assert place.run("deliveries", "replay", "1").exit_code == 1
    assert not place.database.exists()


def test_in_a_pipe_a_list_is_a_line_each(place: Place) -> None:
    deliver(place)
    deliver(place, "d-2", replace(PUSH, ref="refs/heads/dev"))
    head, second, first = (line.split("\t") for line in place.run("deliveries", "list").stdout.splitlines())
    assert head == ["NUMBER", "RECEIVED", "FORGE", "EVENT", "DECISION", "WHAT", "BUILDS"]
    assert (second[0], second[4:]) == ("2", ["ignored", f"acme/api dev {SHA[:7]}", ""])
    assert (first[0], first[4:]) == ("1", ["planned", f"acme/api main {SHA[:7]}", "1 planned"])


def test_a_list_is_narrowed(place: Place) -> None:
    (build,) = deliver(place).builds
    deliver(place, "d-2", replace(PUSH, ref="refs/heads/dev"))
    place.see(build, BuildPhase.ERRORED)
    assert [one["number"] for one in place.document("deliveries", "list", "--failed")] == [1]
    assert [one["number"] for one in place.document("deliveries", "list", "--decision", "ignored")] == [2]
    assert place.document("deliveries", "list", "--forge", "gitlab") == []
    assert place.run("deliveries", "list", "--decision", "lost").exit_code == 2


def test_one_delivery_is_told_whole(place: Place) -> None:
    (build,) = deliver(place).builds
    deliver(place)
    told = place.run("deliveries", "show", "d-1").stdout
    for words in (
        "1  planned",
        "1 build planned",
        "UTC from github: push d-1",
        "and 1 time more, which changed nothing",
        f"acme/api main {SHA[:7]}",
        "changed: 1 paths",
        "pushed by ada",
        "api: planned",
        f"{build.id}  api  asking Quay to build acme/api:main",
    ):
        assert words in told
    document = place.document("deliveries", "show", "1")
    assert (document["id"], document["pushes"][0]["changed_paths"]) == ("d-1", ["src/a.py"])
    assert [one["id"] for one in document["builds"]] == [build.id]


def test_hostile_names_do_not_reach_the_terminal(place: Place) -> None:
    deliver(place, push=replace(PUSH, ref="refs/heads/\x1b[31mred", pusher="a\x1b]0;b\nc"))
    assert "\x1b" not in place.run("deliveries", "list").stdout
    assert "\x1b" not in place.run("deliveries", "show", "1").stdout


@pytest.mark.parametrize("command", ["show", "replay"])
def test_an_unknown_delivery_is_one_line(place: Place, command: str) -> None:
    deliver(place)
    result = place.run("deliveries", command, "nine")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no delivery has the id 'nine'" in result.stderr


def test_a_replay_builds_what_the_mended_configuration_wants(place: Place) -> None:
    deliver(place, rule=replace(RULE, source="acme/misspelt"))
    result = place.run("deliveries", "replay", "1", "--by", "ada")
    (build,) = [one for one in place.document("builds", "list") if one["rule"] == "api"]
    assert f"api: planned {build['id']}\n" in result.stdout
    assert build["ref"] == "refs/heads/main"
    again = place.document("deliveries", "replay", "1")
    assert again["builds"] == []
    assert {"rule": "api", "what": f"nothing to do: {build['id']} is planned"} in again["rules"]


def test_a_replay_of_nothing_says_so(place: Place) -> None:
    place.store(lambda store: store.record(Recording("github", "p", "ping", NOW, (), judge_nothing, status_of)))
    result = place.run("deliveries", "replay", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "delivery 1 told of no push" in result.stderr


def judge_nothing(*_: object) -> Verdict:
    raise AssertionError("there is nothing to judge")
