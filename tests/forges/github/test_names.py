"""Names of repositories at GitHub."""

from __future__ import annotations

import pytest

from buildbot.forges.github.names import is_full_name


@pytest.mark.parametrize("name", ["acme/api", "Octo-Cat/.github", "a_b/c.d-e_f", "x/" + "n" * 100])
def test_githubs_names_are_accepted(name: str) -> None:
    assert is_full_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "api", "/api", "acme/", "a/b/c", "../api", "acme/..", "acme/.", "a b/c", "a/größe", "a/b\n", "x/" + "n" * 101],
)
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_full_name(name)
