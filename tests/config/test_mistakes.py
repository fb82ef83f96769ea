"""Mistakes name their place, and suggestions what was meant."""

from __future__ import annotations

import pytest

from buildbot.config.mistakes import Mistake, Place, Report, did_you_mean, nearest, shown

DOCUMENT = {"rules": [{"name": "api"}, {}, 5, {"name": 5}], "forges": {"github": {}}}
POSITIONS = {("rules", 0): (3, 1), ("rules", 0, "tags"): (5, 1), ("rules", 0, "tags", 1): (5, 15)}


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (Mistake("c.toml", 14, 1, "store.url", "is empty"), "c.toml:14: store.url: is empty"),
        (Mistake("c.toml", 3, 7, "", "is not TOML"), "c.toml:3:7: is not TOML"),
        (Mistake("c.toml", 0, 0, "", "cannot be read"), "c.toml: cannot be read"),
        (Mistake("c.toml", 0, 0, "forges", "there is none"), "c.toml: forges: there is none"),
    ],
)
def test_a_mistake_is_one_line(mistake: Mistake, text: str) -> None:
    assert str(mistake) == text


@pytest.mark.parametrize(
    ("place", "line", "key"),
    [
        (("rules", 0, "tags", 1), 5, 'rules "api".tags[1]'),
        (("rules", 0, "tags", 2), 5, 'rules "api".tags[2]'),
        (("rules", 0, "absent"), 3, 'rules "api".absent'),
        (("rules", 1, "name"), 0, "rules[1].name"),
        (("rules", 2), 0, "rules[2]"),
        (("rules", 3, "name"), 0, "rules[3].name"),
        (("forges", "a b", "url"), 0, 'forges."a b".url'),
        (("forges",), 0, "forges"),
    ],
)
def test_a_place_has_the_nearest_line_and_a_name(place: Place, line: int, key: str) -> None:
    report = Report("c.toml", DOCUMENT, POSITIONS)
    report.mistake(place, "is wrong")
    assert [(mistake.line, mistake.key) for mistake in report.mistakes] == [(line, key)]


def test_mistakes_and_warnings_are_kept_apart_and_in_order() -> None:
    report = Report("c.toml", DOCUMENT, POSITIONS)
    report.mistake(("rules", 0, "tags"), "second")
    report.mistake(("rules", 0), "first")
    report.warn(("rules", 0), "beware")
    assert [mistake.what for mistake in report.mistakes] == ["first", "second"]
    assert [mistake.what for mistake in report.warnings] == ["beware"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("imagetags", "image_tags"),
        ("image-tags", "image_tags"),
        ("Branch", "branches"),
        ("dockerfile_path", "dockerfile"),
        ("zzz", None),
        ("x" * 10_000, None),
    ],
)
def test_the_nearest_word_is_found(word: str, meant: str | None) -> None:
    assert nearest(word, ["image_tags", "branches", "dockerfile", "tags"]) == meant


def test_without_a_near_word_all_words_are_listed() -> None:
    assert did_you_mean("zzz", {"b", "a", "c"}) == "; there is a, b and c"
    assert did_you_mean("zzz", {"a"}) == "; there is a"
    assert did_you_mean("zzz", ()) == ""
    assert did_you_mean("tag", ("tags",)) == "; did you mean tags?"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a", '"a"'),
        ('a"b', '"a\\"b"'),
        ("a\nb", '"a\\nb"'),
        ("\x7f", '"\\u007f"'),
        ("é", '"é"'),
        ("\u2028", '"\\u2028"'),
    ],
)
def test_a_text_is_shown_on_one_line(text: str, quoted: str) -> None:
    assert shown(text) == quoted


def test_a_long_text_is_shortened() -> None:
    assert shown("x" * 1000) == '"' + "x" * 79 + '…"'
