"""What is read alike in every forge's push, and how a mistake is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildbot.forges.fields import Fields
from buildbot.forges.push_fields import (
    LARGEST_ID,
    LONGEST_REF,
    end_of_move,
    object_id,
    ref_in,
    repository_number,
    web_address,
)
from buildbot.ports import BadPayload
from tests.forges.wire import SHA


def refused(read: Callable[[Fields], object], value: object) -> str:
    with pytest.raises(BadPayload) as caught:
        read(Fields({"it": value}, "push."))
    return str(caught.value)


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/heads/fix/#7-größe&+@", "refs/tags/v1.2", "refs/pull/1"])
def test_a_ref_is_any_name_that_git_allows(ref: str) -> None:
    assert ref_in(Fields({"ref": ref})) == ref


CHARACTERS = ["a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}"]
SHAPES = ["refs/heads/", "a..b", "a//b", "a/.b", "a.lock", "a.lock/b", "a.", "x" * (LONGEST_REF + 1)]


@pytest.mark.parametrize("ref", [*CHARACTERS, *SHAPES])
def test_what_git_does_not_allow_is_no_ref(ref: str) -> None:
    assert refused(lambda fields: ref_in(fields, "it"), ref) == "push.it is not a name that git allows"


def test_zeros_are_an_object_id_and_mean_nothing() -> None:
    for zeros in ("0" * 40, "0" * 64):
        assert object_id(Fields({"it": zeros}), "it") == zeros
        assert end_of_move(Fields({"it": zeros}), "it") is None
    assert end_of_move(Fields({"it": SHA}), "it") == SHA


@pytest.mark.parametrize("sha", [SHA[:7], SHA.upper(), SHA + "0", "HEAD", "g" * 40])
def test_an_object_id_is_whole_and_lower_case(sha: str) -> None:
    assert "is not an object id" in refused(lambda fields: object_id(fields, "it"), sha)


def test_a_repositorys_number_is_one() -> None:
    assert repository_number(Fields({"id": 7})) == "7"
    assert repository_number(Fields({"id": LARGEST_ID})) == str(LARGEST_ID)
    for number in (0, -1, LARGEST_ID + 1):
        assert "not a repository's number" in refused(lambda fields: repository_number(fields, "it"), number)
    assert "not an integer" in refused(lambda fields: repository_number(fields, "it"), "7")


def test_an_address_is_http_or_none() -> None:
    assert web_address(Fields({"it": "https://git.test/x"}), "it") == "https://git.test/x"
    assert web_address(Fields({}), "it") is None
    assert "not an http(s) address" in refused(lambda fields: web_address(fields, "it"), "javascript:alert(1)")
