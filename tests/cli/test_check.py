"""`buildbot check` says that all is well, or everything that is not."""

from __future__ import annotations

from tests.cli.world import RULES, Place


def test_a_good_configuration_is_counted(place: Place) -> None:
    result = place.run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{place.file}: fine (3 rules, 1 forge, 1 registry)\n"


def test_what_is_allowed_but_unwise_is_warned_of(place: Place) -> None:
    place.file.write_text(place.file.read_text().replace('"env:QUAY"', '"the token itself"'.replace(" ", "-")))
    result = place.run("check")
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "the secret itself stands in the file" in result.stderr
    assert "the-token-itself" not in result.output


def test_a_plural_is_one(place: Place) -> None:
    place.write(RULES.partition('[[rules]]\nname = "docs"')[0])
    assert "(1 rule, 1 forge, 1 registry)" in place.run("check").stdout
