"""Names of repositories and commits, and paths in addresses."""

from __future__ import annotations

import pytest

from buildbot.forges.github.names import is_full_name, is_sha, is_zeros, quoted


@pytest.mark.parametrize("name", ["acme/api", "Octo-Cat/.github", "a_b/c.d-e_f", "x/" + "n" * 100])
def test_githubs_names_are_accepted(name: str) -> None:
    assert is_full_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "api", "/api", "acme/", "a/b/c", "../api", "acme/..", "acme/.", "a b/c", "a/größe", "a/b\n", "x/" + "n" * 101],
)
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_full_name(name)


@pytest.mark.parametrize(("text", "yes"), [("a" * 40, True), ("0" * 64, True), ("a" * 41, False), ("A" * 40, False)])
def test_an_object_id_is_40_or_64_lower_case_hex_digits(text: str, yes: bool) -> None:
    assert is_sha(text) is yes


@pytest.mark.parametrize(("sha", "none"), [("0" * 40, True), ("0" * 64, True), ("0" * 39 + "1", False)])
def test_zeros_mean_none(sha: str, none: bool) -> None:
    assert is_zeros(sha) is none


def test_every_part_of_a_path_is_encoded_and_slashes_stay() -> None:
    assert quoted("heads/fix/#7 größe?%2F&+@") == "heads/fix/%237%20gr%C3%B6%C3%9Fe%3F%252F%26%2B%40"
