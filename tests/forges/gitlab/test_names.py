"""Paths of projects at GitLab."""

from __future__ import annotations

import pytest

from buildbot.forges.gitlab.names import is_full_name, project_path
from buildbot.ports import Refused


@pytest.mark.parametrize("name", ["acme/api", "a/b/c/d/e", "_x/.hidden", "a.b-c_d/e", "/".join("g" * 21)])
def test_projects_lie_below_groups_of_any_depth(name: str) -> None:
    assert is_full_name(name)
    assert project_path(name) == "/projects/" + name.replace("/", "%2F")


WRONG = ["", "api", "/api", "acme/", "a//b", "../api", "acme/..", "acme/./x", "a b/c", "a/größe", "a/b\n", "a/-b"]
HOSTILE = ["a/{sha}", "a/b?x=1", "a/b#c", "a/b%2F", "/".join("g" * 22), "a/" + "n" * 256]


@pytest.mark.parametrize("name", [*WRONG, *HOSTILE])
def test_what_could_lead_elsewhere_is_no_path(name: str) -> None:
    assert not is_full_name(name)
    with pytest.raises(Refused, match="not the path of a GitLab project"):
        project_path(name)
