"""Names of commits, and names in addresses."""

from __future__ import annotations

import pytest

from buildbot.forges.names import is_sha, is_zeros, quoted, quoted_whole


@pytest.mark.parametrize(("text", "yes"), [("a" * 40, True), ("0" * 64, True), ("a" * 41, False), ("A" * 40, False)])
def test_an_object_id_is_40_or_64_lower_case_hex_digits(text: str, yes: bool) -> None:
    assert is_sha(text) is yes


@pytest.mark.parametrize(("sha", "none"), [("0" * 40, True), ("0" * 64, True), ("0" * 39 + "1", False)])
def test_zeros_mean_none(sha: str, none: bool) -> None:
    assert is_zeros(sha) is none


def test_every_part_of_a_path_is_encoded_and_slashes_stay() -> None:
    assert quoted("heads/fix/#7 größe?%2F&+@") == "heads/fix/%237%20gr%C3%B6%C3%9Fe%3F%252F%26%2B%40"


def test_a_name_that_is_one_part_of_an_address_has_no_slash_left() -> None:
    assert quoted_whole("group/sub/fix #7") == "group%2Fsub%2Ffix%20%237"
