"""How Quay's builder gets at the source: which route each rule takes for each push."""

from __future__ import annotations

import pytest

from buildbot.domain.push import Archive, PushEvent, Source
from buildbot.domain.rule import ArchiveRoute, Planned, Rule, plan_builds

SHA = "1a2b3c4d" * 5
URL = "https://github.com/acme/api/archive/{sha}.tar.gz"


def request(
    route: ArchiveRoute,
    *,
    private: bool = False,
    is_direct: bool = True,
    can_relay: bool = True,
    revision_file: str | None = None,
    submodules: bool = False,
) -> tuple[str, str, str, bool, bool]:
    source = Source("github", "1", "acme/api", private=private, default_branch="main")
    push = PushEvent(source, "refs/heads/main", None, SHA, SHA, Archive(URL, "/api-{sha}", is_direct))
    rule = Rule(
        name="api",
        forge="github",
        source="acme/api",
        registry="quay",
        repository="acme/api",
        branches=("main",),
        context="services/api",
        archive=route,
        can_relay=can_relay,
        revision_file=revision_file,
        submodules=submodules,
    )
    (plan,) = plan_builds(push, [rule])
    assert isinstance(plan, Planned)
    asked = plan.request
    assert asked.submodules is submodules
    return asked.archive_url, asked.context, asked.dockerfile_path, asked.is_relayed, bool(asked.impossible)


DIRECT = (URL.format(sha=SHA), f"/api-{SHA}/services/api", f"/api-{SHA}/services/api/Dockerfile", False, False)
RELAYED = ("", "/services/api", "/services/api/Dockerfile", True, False)


@pytest.mark.parametrize("can_relay", [True, False])
def test_public_source_of_a_forge_whose_archives_work_goes_directly(can_relay: bool) -> None:
    assert request(ArchiveRoute.AUTO, can_relay=can_relay) == DIRECT


def test_private_source_goes_through_the_bot() -> None:
    assert request(ArchiveRoute.AUTO, private=True) == RELAYED


def test_archives_that_the_builder_misreads_go_through_the_bot() -> None:
    assert request(ArchiveRoute.AUTO, is_direct=False) == RELAYED


def test_a_revision_file_can_only_be_added_by_the_bot() -> None:
    assert request(ArchiveRoute.AUTO, revision_file=".revision") == RELAYED


def test_submodules_can_only_be_added_by_the_bot() -> None:
    assert request(ArchiveRoute.AUTO, submodules=True) == RELAYED


def test_what_a_rule_insists_on_is_done() -> None:
    assert request(ArchiveRoute.RELAY) == RELAYED
    assert request(ArchiveRoute.DIRECT, private=True) == DIRECT


@pytest.mark.parametrize(
    ("route", "options"),
    [
        (ArchiveRoute.RELAY, {}),
        (ArchiveRoute.AUTO, {"is_direct": False}),
        (ArchiveRoute.AUTO, {"revision_file": ".revision"}),
        (ArchiveRoute.AUTO, {"submodules": True}),
    ],
)
def test_a_build_is_impossible_where_the_bot_would_have_to_serve_and_cannot_be_reached(
    route: ArchiveRoute, options: dict[str, bool]
) -> None:
    assert request(route, can_relay=False, **options)[4]  # type: ignore[arg-type]  # each option is what its name says


def test_private_source_without_a_relay_is_out_of_reach() -> None:
    assert request(ArchiveRoute.AUTO, private=True, can_relay=False)[4]
