"""What is known of each kind of forge: every kind has its line, and repositories are named as it names them."""

from __future__ import annotations

import pytest

from buildbot.config.kinds import KINDS
from buildbot.config.model import ForgeKind
from buildbot.domain.pattern import is_literal
from buildbot.forges.bitbucket.names import is_full_name as is_bitbucket_name
from buildbot.forges.bitbucket_datacenter.names import is_full_name as is_data_center_name
from buildbot.forges.gitea.names import is_full_name as is_gitea_name
from buildbot.forges.github.names import is_full_name as is_github_name
from buildbot.forges.gitlab.names import is_full_name as is_gitlab_name

ADAPTERS = {
    ForgeKind.GITHUB: is_github_name,
    ForgeKind.GITLAB: is_gitlab_name,
    ForgeKind.GITEA: is_gitea_name,
    ForgeKind.FORGEJO: is_gitea_name,
    ForgeKind.BITBUCKET: is_bitbucket_name,
    ForgeKind.BITBUCKET_DATACENTER: is_data_center_name,
}
NAMES = (
    "acme/api",
    "Acme/a.b_c-d",
    "acme",
    "acme/",
    "/api",
    "a/b/c",
    "a/b/c/d",
    "~ada/api",
    "ACME/api",
    "a b/c",
    "a@b/c",
)


def test_every_kind_has_its_line() -> None:
    assert set(KINDS) == set(ADAPTERS) == set(ForgeKind)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ForgeKind)
def test_a_repository_is_called_what_the_adapter_takes_for_a_name(kind: ForgeKind, name: str) -> None:
    assert is_literal(name)
    assert (KINDS[kind].source.mistake(name) is None) == ADAPTERS[kind](name)


@pytest.mark.parametrize(
    ("kind", "pattern", "is_right"),
    [
        (ForgeKind.GITHUB, "acme/*", True),
        (ForgeKind.GITHUB, "**", True),
        (ForgeKind.GITHUB, "acme/*/api", False),
        (ForgeKind.GITLAB, "acme/**", True),
        (ForgeKind.GITLAB, "acme/*/api", True),
        (ForgeKind.GITLAB, "acme", False),
        (ForgeKind.BITBUCKET_DATACENTER, "~*/api", True),
        (ForgeKind.BITBUCKET_DATACENTER, "ACME/[a-c]*", True),
        (ForgeKind.BITBUCKET, "~ada/api", False),
    ],
)
def test_patterns_are_as_deep_as_names(kind: ForgeKind, pattern: str, is_right: bool) -> None:
    assert (KINDS[kind].source.mistake(pattern) is None) is is_right


def test_one_server_may_be_written_in_several_ways() -> None:
    github = KINDS[ForgeKind.GITHUB]
    assert {github.api_url(url) for url in ("https://github.com", "http://github.com", "https://github.com:443")} == {
        "https://api.github.com"
    }


def test_where_archives_never_work_directly_it_is_said_why() -> None:
    assert {kind for kind, about in KINDS.items() if about.not_direct} == {
        ForgeKind.GITEA,
        ForgeKind.BITBUCKET_DATACENTER,
    }
