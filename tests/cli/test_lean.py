"""Importing without: as if the library were not installed, and afterwards as if nothing had happened."""

from __future__ import annotations

import importlib
import sys

import pytest

from buildbot.cli.lean import without

SELDOM = "this"  # of the standard library, and nobody imports it


def test_what_is_left_out_cannot_be_imported_while_the_block_lasts_and_can_after_it() -> None:
    sys.modules.pop(SELDOM, None)
    with without(SELDOM), pytest.raises(ImportError):
        importlib.import_module(SELDOM)
    assert importlib.util.find_spec(SELDOM) is not None
    assert SELDOM not in sys.modules


def test_what_is_imported_already_stays() -> None:
    with without("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert "json" in sys.modules


def test_an_error_in_the_block_leaves_nothing_behind() -> None:
    sys.modules.pop(SELDOM, None)
    with pytest.raises(ZeroDivisionError), without(SELDOM):
        raise ZeroDivisionError
    assert SELDOM not in sys.modules
