"""Allowances, used up to their last bit and no further."""

from __future__ import annotations

import pytest

from buildbot.archives.errors import TooLarge
from buildbot.archives.limits import Allowance


def test_an_allowance_can_be_used_up_and_not_be_exceeded() -> None:
    bytes_left = Allowance(10, "bytes")
    bytes_left.take(4)
    bytes_left.foresee(6)
    with pytest.raises(TooLarge, match="the archive is too large: more than 10 bytes, the most allowed"):
        bytes_left.foresee(7)
    bytes_left.take(6)
    bytes_left.take(0)
    with pytest.raises(TooLarge):
        bytes_left.take(1)
