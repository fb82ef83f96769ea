"""How Gitea spells repositories, and what could lead elsewhere."""

from __future__ import annotations

import pytest

from buildbot.forges.gitea.names import is_full_name, repository_path
from buildbot.ports import Refused


@pytest.mark.parametrize("name", ["acme/api", "Acme/.profile", "a/b.git", "a_b/c-d", "a/" + "x" * 100])
def test_a_repositorys_name_is_its_place_in_the_api(name: str) -> None:
    assert is_full_name(name)
    assert repository_path(name) == f"/repos/{name}"


@pytest.mark.parametrize("name", ["", "acme", "a/b/c", "a/..", "./b", "a/b?c", "a/b c", "a/größe", "a/b\n", "a/{sha}"])
def test_what_could_lead_elsewhere_is_refused(name: str) -> None:
    assert not is_full_name(name)
    with pytest.raises(Refused, match="owner/name"):
        repository_path(name)
