"""`buildbot explain` tells what a push would build, and why not more, exactly as the bot would do it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildbot.cli.hypothetical import PLACEHOLDER_SHA
from buildbot.ports import BuildOrder
from tests.cli.world import SHA, Place
from tests.registry.quay_wire import Said, quay

MAIN = ("explain", "--source", "acme/api", "--ref", "refs/heads/main")


def reasons(document: Any) -> dict[str, tuple[bool, str]]:
    return {rule["rule"]: (rule["matched"], rule["reason"]) for rule in document["rules"]}


def test_a_push_is_explained_rule_by_rule(place: Place) -> None:
    result = place.run(*MAIN, environ={})
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "✓ api: branch main matches main" in lines
    assert any(line.startswith("✓ docs: branch main matches **; built unless the forge shows") for line in lines)
    assert "- web: its source is acme/web" in lines
    assert lines[-1] == "2 builds would be planned."
    assert any(line.strip().startswith("supersede    queued:") for line in lines)
    assert any("main is a branch, which has no {version}" in line for line in lines)


def test_what_was_assumed_is_told(place: Place) -> None:
    told = place.run(*MAIN).stdout
    assert "the commit is made up" in told
    assert "assumed: the default branch is main" in told
    assert "which paths changed is not known" in told
    known = place.run(*MAIN, "--sha", SHA, "--default-branch", "main", "--changed", "a").stdout
    assert not {word for word in ("made up", "assumed", "not known") if word in known}


def test_the_json_has_the_promised_keys(place: Place) -> None:
    document = place.document(*MAIN, "--sha", SHA)
    assert {"builds", "rules"} <= document.keys()
    assert {"rule", "matched", "reason"} == document["rules"][0].keys()
    api, docs = document["builds"]
    assert (api["rule"], api["repository"], api["status_context"]) == ("api", "acme/api", "quay/api")
    assert api["image_tags"] == ["main", "sha-1a2b3c4", "latest"]
    assert (api["supersede"], docs["supersede"]) == ("cancel", "queued")
    assert api["notes"] == ["image tag {version} left out: main is a branch, which has no {version}"]
    assert docs["request"] == {
        "archive_url": f"https://github.com/acme/api/archive/{SHA}.tar.gz",
        "docker_tags": ["main"],
        "tags": ["main"],
        "context": f"/api-{SHA}",
        "dockerfile_path": f"/api-{SHA}/docs/Dockerfile",
        "pull_robot": "acme+puller",
    }


@pytest.mark.anyio
async def test_the_request_is_what_quay_is_sent(place: Place) -> None:
    for build in place.document(*MAIN)["builds"]:
        request = build["request"]
        order = BuildOrder(
            repository=build["repository"],
            archive_url=request["archive_url"],
            image_tags=tuple(build["image_tags"]),
            context=request["context"],
            dockerfile_path=request["dockerfile_path"],
            pull_robot=request.get("pull_robot"),
        )
        answer = json.dumps({"id": "b", "phase": "waiting", "tags": build["image_tags"]})
        async with quay(Said(201, answer)) as (registry, wire):
            await registry.request_repo_build(order)
        assert json.loads(wire.asked[0].content) == request
        assert wire.asked[0].url.path == f"/api/v1/repository/{build['repository']}/build/"


def routes(place: Place, *more: str) -> list[str]:
    lines = [line.strip() for line in place.run(*MAIN, *more).stdout.splitlines()]
    return [line.removeprefix("source").strip() for line in lines if line.startswith("source ")]


def test_the_way_of_the_source_is_told(place: Place) -> None:
    assert routes(place) == ["from the forge, if it is public; else through the bot"] * 2
    through = "through the bot: https://builds.example.com/archives/…"
    assert routes(place, "--private") == [through] * 2
    (api, _) = place.document(*MAIN, "--private")["builds"]
    assert (api["archive"], api["request"]["context"]) == ("relay", "/")
    assert api["request"]["archive_url"] == "https://builds.example.com/archives/…"
    assert place.document(*MAIN)["builds"][0]["archive"] == "direct"


def test_without_an_address_of_the_bot_source_comes_from_the_forge_alone(place: Place) -> None:
    place.file.write_text(place.file.read_text().replace("public_url", "# public_url"))
    assert routes(place) == ["from the forge, if it is public"] * 2
    out_of_reach = "out of reach: private source has to go through the bot, and server.public_url is not set"
    assert routes(place, "--private") == [out_of_reach] * 2


@pytest.mark.parametrize(
    ("kind", "url", "request_url", "root"),
    [
        ("gitlab", "https://gitlab.com", f"https://gitlab.com/acme/api/-/archive/{SHA}/api-{SHA}.zip", f"/api-{SHA}"),
        ("forgejo", "https://x.test", f"https://x.test/api/v1/repos/acme/api/archive/{SHA}.tar.gz", "/api"),
        (
            "bitbucket",
            "https://bitbucket.org",
            f"https://bitbucket.org/acme/api/get/{SHA}.zip",
            f"/acme-api-{SHA[:12]}",
        ),
        ("gitea", "https://x.test", "https://builds.example.com/archives/…", "/"),
        ("bitbucket-datacenter", "https://x.test", "https://builds.example.com/archives/…", "/"),
    ],
)
def test_every_forge_is_explained(place: Place, kind: str, url: str, request_url: str, root: str) -> None:
    text = place.file.read_text().replace('kind = "github"', f'kind = "{kind}"').replace("https://github.com", url)
    place.file.write_text(text)
    (api, _) = place.document(*MAIN, "--sha", SHA)["builds"]
    assert (api["request"]["archive_url"], api["request"]["context"]) == (request_url, root)


def test_a_made_up_commit_is_one_that_can_be_read(place: Place) -> None:
    assert place.document(*MAIN)["push"]["commit"] == PLACEHOLDER_SHA


def test_nothing_to_build_ends_with_1_and_every_reason(place: Place) -> None:
    refused = place.document(
        "explain", "--source", "acme/api", "--ref", "refs/heads/release/old", "--changed", "src/a.py", code=1
    )
    assert refused["builds"] == []
    assert reasons(refused) == {
        "api": (False, "branch release/old is left out by !release/old"),
        "docs": (False, "none of the 1 changed paths matches docs/**"),
        "web": (False, "its source is acme/web"),
    }
    told = place.run("explain", "--source", "other/thing", "--ref", "refs/tags/v1")
    assert told.exit_code == 1
    assert told.stdout.splitlines()[-1] == "Nothing would be built."


def test_changed_paths_let_their_rule_through(place: Place) -> None:
    document = place.document(*MAIN, "--changed", "src/a.py", "--changed", "./docs/b.md")
    assert reasons(document)["docs"] == (True, "branch main matches **; docs/b.md changed")


@pytest.mark.parametrize(
    ("more", "has_latest"),
    [((), True), (("--default-branch", "trunk"), False), (("--default-branch", "main"), True)],
)
def test_latest_follows_the_default_branch(place: Place, more: tuple[str, ...], has_latest: bool) -> None:
    assert ("latest" in place.document(*MAIN, *more)["builds"][0]["image_tags"]) is has_latest


def test_a_pattern_of_nothing_but_noes_is_told_as_such(place: Place) -> None:
    place.write('\n[[rules]]\nname = "a"\nsource = "acme/api"\nbranches = ["!wip"]\nrepository = "acme/api"\n')
    assert reasons(place.document(*MAIN))["a"] == (True, "branch main is none of !wip")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--source", "acme/api", "--ref", "main"), "write refs/heads/main for the branch or refs/tags/main"),
        (("--source", "acme/api", "--ref", "v1.0"), "write refs/heads/v1.0 for the branch or refs/tags/v1.0"),
        (("--source", "acme/api", "--ref", ""), "write refs/heads/main for the branch"),
        (("--source", "acme/api", "--ref", "refs/pull/7/head"), "neither a branch (refs/heads/…) nor a tag"),
        (("--source", "acme/api", "--ref", "refs/heads/"), "neither a branch"),
        (("--source", "api", "--ref", "refs/heads/main"), "write owner/name, as in acme/api"),
        (("--source", "githu:acme/api", "--ref", "refs/heads/main"), "did you mean github?"),
        (("--source", "https://github.com/acme/api", "--ref", "refs/heads/main"), "there is no forge"),
        ((*MAIN[1:], "--sha", "1a2b3c4"), "is no whole commit id"),
    ],
)
def test_what_cannot_be_read_ends_with_2(place: Place, arguments: tuple[str, ...], told: str) -> None:
    result = place.run("explain", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_several_forges_want_to_be_named(place: Place) -> None:
    text = place.file.read_text().replace('source = "acme', 'source = "github:acme')
    table = text.partition("[forges.github]")[2].partition("[registries")[0].replace("github.com", "git.example.com")
    place.file.write_text(text + f"\n[forges.work]{table}")
    result = place.run(*MAIN)
    assert result.exit_code == 2
    assert "write github:acme/api or work:acme/api" in result.stderr
    elsewhere = place.document("explain", "--source", "work:acme/api", "--ref", "refs/heads/main", code=1)
    assert elsewhere["push"]["forge"] == "work"
    assert place.run("explain", "--source", "github:acme/api", "--ref", "refs/heads/main").exit_code == 0


def test_bytes_that_are_no_text_are_shown_as_a_sign(place: Place) -> None:
    result = place.run(*MAIN, "--changed", "docs/\udcff\x1b[31m.md")
    assert result.exit_code == 0
    assert "docs/\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m.md changed" in result.stdout
