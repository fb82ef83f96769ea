"""Fields of somebody else's JSON: types are exact, null is absent, errors name the place."""

from __future__ import annotations

import pytest

from buildbot.forges.fields import Fields, is_clean, shown, storable
from buildbot.ports import BadPayload

OBJECT: dict[str, object] = {
    "n": 7,
    "yes": True,
    "real": 1.5,
    "text": "hello",
    "null": None,
    "empty": "",
    "odd": "a\x00b\ud800",
    "inner": {"n": "seven", "list": [{"n": 1}, {"n": True}], "mixed": [{}, 1]},
    "names": ["a", "b"],
}


def test_what_is_there_is_read() -> None:
    fields = Fields(OBJECT)
    assert (fields.number("n"), fields.flag("yes"), fields.name("text")) == (7, True, "hello")
    assert fields.maybe_raws("names") == ["a", "b"]
    each = fields.within("inner").maybe_each("list")
    assert each is not None
    assert [one.maybe_within("n") is None for one in [Fields({})]] == [True]
    assert each[0].number("n") == 1


@pytest.mark.parametrize("key", ["null", "absent"])
def test_null_and_absent_are_none_where_they_may_be(key: str) -> None:
    fields = Fields(OBJECT)
    found = [
        fields.maybe_number(key),
        fields.maybe_flag(key),
        fields.maybe_name(key),
        fields.maybe_text(key),
        fields.maybe_raw(key),
        fields.maybe_within(key),
        fields.maybe_each(key),
        fields.maybe_raws(key),
    ]
    assert found == [None] * 8


def said(error: pytest.ExceptionInfo[BadPayload]) -> str:
    return str(error.value)


def test_mistakes_deep_inside_are_named_by_the_whole_path() -> None:
    inner = Fields(OBJECT).within("inner")
    with pytest.raises(BadPayload) as error:
        inner.number("n")
    assert said(error) == "inner.n is not an integer"
    with pytest.raises(BadPayload) as error:
        (inner.maybe_each("list") or [])[1].number("n")
    assert said(error) == "inner.list.1.n is not an integer"
    with pytest.raises(BadPayload) as error:
        inner.maybe_each("mixed")
    assert said(error) == "inner.mixed.1 is not an object"


def test_missing_and_null_are_told_apart() -> None:
    with pytest.raises(BadPayload) as error:
        Fields(OBJECT).name("absent")
    assert said(error) == "absent is missing"
    with pytest.raises(BadPayload) as error:
        Fields(OBJECT).name("null")
    assert said(error) == "null is null"


def test_false_and_zero_and_an_empty_object_are_there() -> None:
    fields = Fields({"no": False, "zero": 0, "nothing": {}})
    assert fields.flag("no") is False
    assert fields.number("zero") == 0
    assert fields.within("nothing").maybe_raw("x") is None


@pytest.mark.parametrize("key", ["empty", "odd"])
def test_a_name_is_neither_empty_nor_odd(key: str) -> None:
    with pytest.raises(BadPayload):
        Fields(OBJECT).name(key)


def test_free_text_is_made_storable_and_raw_text_is_left_alone() -> None:
    assert Fields(OBJECT).maybe_text("odd") == "a\ufffdb\ufffd"
    assert Fields(OBJECT).maybe_raw("odd") == "a\x00b\ud800"


def test_storable_keeps_every_character_that_can_be_stored() -> None:
    assert storable("größe \U0001f600\n\t") == "größe \U0001f600\n\t"


@pytest.mark.parametrize(
    ("text", "clean"), [("größe \U0001f600", True), ("a\n", False), ("\x7f", False), ("\udfff", False)]
)
def test_control_characters_and_lone_surrogates_are_not_clean(text: str, clean: bool) -> None:
    assert is_clean(text) is clean


def test_hostile_text_is_shown_quoted_in_ascii_and_short() -> None:
    assert shown("a\n\ud800ß") == r"'a\n\ud800\xdf'"
    assert shown("x" * 500) == "'" + "x" * 80 + r"\u2026'"
