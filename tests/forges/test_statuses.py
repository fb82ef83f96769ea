"""Texts, names and addresses of statuses made to fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text


@given(text=st.text(alphabet=st.characters(exclude_categories=[])), limit=st.integers(1, 50))
def test_a_text_fits_and_can_be_encoded(text: str, limit: int) -> None:
    fitted = fitting_text(text, limit)
    assert len(fitted) <= limit
    fitted.encode()


def test_a_text_that_fits_is_left_alone() -> None:
    assert fitting_text("ß" * 140, 140) == "ß" * 140
    assert fitting_text("ß" * 141, 140) == "ß" * 139 + "…"


@given(names=st.lists(st.text(), min_size=2, max_size=2, unique_by=str.lower), limit=st.integers(30, 60))
def test_names_fit_and_different_ones_stay_different(names: list[str], limit: int) -> None:
    long = [f"{'quay/' * 20}{name}" for name in names]
    first, second = (fitting_name(name, limit) for name in long)
    assert len(first) <= limit
    assert (first != second) or "\x00" in "".join(names) or "\ufffd" in "".join(names)


def test_a_name_that_is_cut_is_cut_alike_each_time_and_whatever_its_case() -> None:
    name = "Quay/" + "x" * 300
    assert fitting_name(name, 255) == fitting_name(name, 255)
    assert fitting_name(name, 255)[-12:] == fitting_name(name.lower(), 255)[-12:]
    assert fitting_name("x" * 255, 255) == "x" * 255


@pytest.mark.parametrize("url", [None, "", "javascript:alert(1)", "ftp://x", "/builds/1"])
def test_only_http_addresses_are_addresses(url: str | None) -> None:
    assert fitting_address(url) is None
    assert fitting_address("https://b.test/1") == "https://b.test/1"
