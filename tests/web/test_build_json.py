"""A build as JSON keeps its keys, its nulls and its text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from buildbot.domain.build import BuildId, BuildPhase, CancelReason, Delete, DeleteState, Goal, GoalKind, WaitingLine
from buildbot.web.build_json import build_as_json
from tests.web.builds import BEGINNING, COMMIT, ID, NOW, build, digest_of, story

P = BuildPhase
KEYS = {
    *("id", "rule", "registry", "repository", "image_tags", "context", "dockerfile_path", "pull_robot"),
    *("status_context", "rebuild_of", "warning", "forge", "source", "source_url", "ref", "commit", "message", "pusher"),
    *("compare_url", "phase", "is_final", "description", "because", "created_at", "finished_at", "goal", "cancel"),
    *("attempt", "quay_id", "quay_phase", "quay_attempt", "page_url", "registry_url", "status", "steps"),
    *("failed_step", "log_tail", "found_by", "line"),
}


@pytest.mark.parametrize("phase", list(P))
def test_every_build_has_every_key(phase: P) -> None:
    told = build_as_json(replace(story(build(phase)), status=None))
    assert set(told) == KEYS
    assert told["status"] is None
    assert (told["phase"], told["is_final"]) == (phase.value, phase.is_final)
    assert (told["finished_at"] is None) is not phase.is_final


def test_a_build_in_line_says_for_what_and_in_which_place() -> None:
    waiting = build()
    waiting = replace(waiting, seen=replace(waiting.seen, line=WaitingLine.PLACE, place=3))
    assert build_as_json(story(waiting))["line"] == {"for": "place", "place": 3}


def test_a_build_is_told_whole() -> None:
    goal = Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "9f8e7d6")
    delete = Delete(CancelReason.SUPERSEDED, "9f8e7d6", NOW, state=DeleteState.REFUSED, refusal="it is pushing")
    told = json.loads(json.dumps(build_as_json(story(build(goal=goal, delete=delete), "planned"))))
    assert (told["id"], told["source"], told["ref"], told["commit"]) == (ID, "acme/api", "refs/heads/main", COMMIT)
    assert told["image_tags"] == ["main", "sha-1a2b3c4"]
    assert told["created_at"] == BEGINNING.isoformat()
    assert told["goal"] == {"kind": "cancel", "reason": "superseded", "detail": "9f8e7d6"}
    assert (told["cancel"]["state"], told["cancel"]["refusal"]) == ("refused", "it is pushing")
    assert told["steps"] == [{"at": "2026-03-01T12:00:00+00:00", "what": "planned"}]
    assert told["description"].startswith("building acme/api:main")


def test_a_status_tells_what_is_wanted_what_was_posted_and_why_it_stopped() -> None:
    made = story(build(P.SUCCEEDED), stopped="no permission")
    assert build_as_json(made)["status"] == {
        "context": "quay/api",
        "sha": COMMIT,
        "wanted": {
            "state": "success",
            "description": "Built acme/api:main, sha-1a2b3c4",
            "target_url": "https://builds.example/builds/1",
        },
        "posted": {
            "state": "success",
            "description": "Built acme/api:main, sha-1a2b3c4",
            "target_url": "https://builds.example/builds/1",
            "at": "2026-03-01T12:05:00+00:00",
            "is_of_this_build": True,
        },
        "stopped": "no permission",
        "delayed": "",
    }


def test_another_builds_id_is_not_given_away_with_the_status() -> None:
    made = story(build(P.SUCCEEDED))
    assert made.status is not None
    assert made.status.posted is not None
    status = replace(made.status, posted=replace(made.status.posted, owner=BuildId("another")))
    told = build_as_json(replace(made, status=status))
    assert '"is_of_this_build": false' in json.dumps(told)
    assert "another" not in json.dumps(told)


def test_the_log_is_what_is_known_now_and_else_what_was_stored() -> None:
    failed = story(build(P.FAILED, log=digest_of("the end")))
    assert (build_as_json(failed)["log_tail"], build_as_json(failed)["failed_step"]) == (["the end"], "3/7: RUN make")
    assert build_as_json(failed, log_tail=("live",))["log_tail"] == ["live"]
    assert build_as_json(failed, log_tail=())["log_tail"] == []
    assert build_as_json(story(build()))["log_tail"] is None


def test_addresses_are_those_that_were_given() -> None:
    told = build_as_json(story(build()), page_url="https://b/1", registry_url="https://q/1")
    assert (told["page_url"], told["registry_url"]) == ("https://b/1", "https://q/1")
