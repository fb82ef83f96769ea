"""Templates: what a push fills in, and what becomes of a text that is to be an image tag or a repository's name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.image import (
    PLACEHOLDERS,
    TAG_LENGTH,
    VERSION_PATTERNS,
    Unfilled,
    facts_of,
    fill,
    image_tag,
    least_length,
    literal_text,
    placeholders,
    repository_name,
    with_placeholders_as,
)
from buildbot.domain.pattern import matches
from buildbot.domain.push import Source

SHA = "0123456789abcdef0123456789abcdef01234567"
SOURCE = Source("github", "42", "Acme/API", default_branch="main")


def _filled(template: str, ref: str, commit: str | None = SHA) -> str | Unfilled:
    return fill(template, facts_of(SOURCE, ref, commit, "api"))


@pytest.mark.parametrize(
    ("template", "ref", "text"),
    [
        ("{ref}", "refs/heads/feature/x", "feature/x"),
        ("{ref}", "refs/tags/v1", "v1"),
        ("{branch}", "refs/heads/main", "main"),
        ("{tag}", "refs/tags/nightly", "nightly"),
        ("sha-{short_sha}", "refs/heads/main", "sha-0123456"),
        ("{sha}", "refs/heads/main", SHA),
        ("{owner}/{repo}-{rule}", "refs/heads/main", "Acme/API-api"),
        ("{default_branch}", "refs/heads/main", "main"),
        ("{default_branch?latest}", "refs/heads/main", "latest"),
        ("{tag?release}-{tag}", "refs/tags/x", "release-x"),
        ("x{branch?}", "refs/heads/main", "x"),
        ("{version}", "refs/tags/v1.2.3", "1.2.3"),
        ("{version}", "refs/tags/api/v1.2.3", "1.2.3"),
        ("{version}", "refs/tags/1.2.3-rc.1+build.5", "1.2.3-rc.1+build.5"),
        ("{major} {minor} {patch}", "refs/tags/v10.20.30+build", "10 20 30"),
        ("no placeholder", "refs/heads/main", "no placeholder"),
    ],
)
def test_a_push_fills_a_template(template: str, ref: str, text: str) -> None:
    assert _filled(template, ref) == text


@pytest.mark.parametrize(
    ("template", "ref", "why"),
    [
        ("{tag}", "refs/heads/main", "main is a branch, which has no {tag}"),
        ("{version}", "refs/heads/v1.2.3", "v1.2.3 is a branch, which has no {version}"),
        ("{branch}", "refs/tags/v1", "v1 is a tag, which has no {branch}"),
        ("{default_branch?latest}", "refs/heads/dev", "dev is not the default branch"),
        ("{default_branch?latest}", "refs/tags/main", "main is not the default branch"),
        ("{version}", "refs/tags/v1.2", "v1.2 is not a semantic version (like v1.2.3)"),
        ("{version}", "refs/tags/v01.2.3", "v01.2.3 is not a semantic version (like v1.2.3)"),
        ("{version}", "refs/tags/V1.2.3", "V1.2.3 is not a semantic version (like v1.2.3)"),
        ("{version}", "refs/tags/v1.2.\u0663", "v1.2.\u0663 is not a semantic version (like v1.2.3)"),
        ("{version}-{major}", "refs/tags/v2.0.0-rc.1", "v2.0.0-rc.1 is a pre-release"),
    ],
)
def test_what_a_push_cannot_fill_is_told_with_the_reason(template: str, ref: str, why: str) -> None:
    assert _filled(template, ref) == Unfilled(why)


def test_an_unknown_commit_leaves_its_placeholders_standing() -> None:
    assert _filled("{ref}-{sha}-{short_sha}", "refs/tags/v1", None) == "v1-{sha}-{short_sha}"


@pytest.mark.parametrize("name", sorted(PLACEHOLDERS))
def test_every_placeholder_can_be_filled_by_some_push(name: str) -> None:
    assert any(isinstance(_filled(f"{{{name}}}", ref), str) for ref in ("refs/heads/main", "refs/tags/v1.2.3"))


@pytest.mark.parametrize("template", ["{", "}", "{ref", "ref}", "{{ref}}", "{a{b}}", "{ref}}", "{x?{y}}"])
def test_a_stray_brace_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"has a stray [{}]; placeholders are written"):
        placeholders(template)


def test_the_parts_of_a_template_can_be_told_apart() -> None:
    template = "a{ref}b{default_branch?latest}{sha}"
    assert placeholders(template) == ("ref", "default_branch", "sha")
    assert literal_text(template) == "ablatest"
    assert with_placeholders_as(template, "*") == "a*blatest*"
    assert least_length(template) == len("a.blatest") + 40
    assert least_length("{short_sha}{rule}") == 8


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("main", "main"),
        ("feature/login", "feature-login"),
        ("v1.0+b5", "v1.0_b5"),
        ("größe", "gr--e"),
        ("/.-x", "x"),
        ("_x", "_x"),
        ("a b\n", "a-b-"),
        ("v1-{sha}", "v1-{sha}"),
        ("{x}-{short_sha}", "x--{short_sha}"),
        ("x" * 127, "x" * 127),
    ],
)
def test_a_text_becomes_a_legal_tag(text: str, tag: str) -> None:
    assert image_tag(text) == tag


@pytest.mark.parametrize("text", ["", "-", "...", "/", "日本"])
def test_a_text_without_a_first_character_is_no_tag(text: str) -> None:
    assert isinstance(image_tag(text), Unfilled)


def test_a_long_tag_is_cut_and_stays_itself() -> None:
    one, other = image_tag("x" * 128), image_tag("x" * 127 + "y")
    assert isinstance(one, str)
    assert isinstance(other, str)
    assert len(one) == len(other) == TAG_LENGTH
    assert one != other
    assert one == image_tag("x" * 128)


@pytest.mark.parametrize(("others", "fits"), [(87, True), (88, False)])
def test_a_tag_of_an_unknown_commit_is_measured_as_long_as_it_will_be(others: int, fits: bool) -> None:
    tag = image_tag("x" * others + "{sha}")
    assert isinstance(tag, str) == fits
    assert not fits or len(str(tag).replace("{sha}", SHA)) == TAG_LENGTH


@given(st.text(max_size=200))
def test_every_tag_obeys_the_grammar(text: str) -> None:
    tag = image_tag(text.replace("{", ""))
    assert isinstance(tag, Unfilled) or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}", tag)


@given(st.text("ab/.-", max_size=200).map(lambda text: f"x{text}"))
def test_a_legal_tag_is_left_as_it_is(text: str) -> None:
    tag = image_tag(text)
    assert isinstance(tag, str)
    assert image_tag(tag) == tag


@pytest.mark.parametrize(
    ("text", "name"),
    [("acme/api", "acme/api"), ("Acme/API", "acme/api"), ("acme/nested/deep.app_1-x", "acme/nested/deep.app_1-x")],
)
def test_a_repository_name_is_lower_case(text: str, name: str) -> None:
    assert repository_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["acme", "acme/", "/api", "acme//api", "acme/.github", "acme/-x", "acme/a b", "acme/é", "a/" + "x" * 254, ""],
)
def test_a_repository_name_is_never_mended(text: str) -> None:
    assert isinstance(repository_name(text), Unfilled)


@given(st.from_regex(r"\A([a-z]+/)?v?(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(-rc\.[0-9])?\Z"))
def test_whatever_is_a_version_fits_the_patterns_for_versions(tag: str) -> None:
    assert isinstance(_filled("{version}", f"refs/tags/{tag}"), str)
    assert matches(VERSION_PATTERNS, tag)


def test_an_unknown_default_branch_is_not_taken_for_another_one() -> None:
    unknown = facts_of(Source("bitbucket", "1", "acme/api"), "refs/heads/main", None, "api")
    assert fill("{default_branch?latest}", unknown) == Unfilled("the push does not tell which branch is the default")
