"""Which lists of paths may be believed."""

from __future__ import annotations

import pytest

from buildbot.forges.paths import spelled_out


def test_paths_are_sorted_and_each_told_once() -> None:
    assert spelled_out(["b", "a", "b", "größe #1"]) == ("a", "b", "größe #1")
    assert spelled_out([]) == ()


@pytest.mark.parametrize("path", ["a\ufffdb", "a\nb", "a\x00", "\ud800", '"gr\\303\\266\\303\\237e"'])
def test_a_path_that_is_not_spelled_as_it_is_makes_the_list_unknown(path: str) -> None:
    assert spelled_out(["a", path]) is None
