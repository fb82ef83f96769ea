"""Two rules must not write one image tag from one push, nor report under one name on one commit."""

from __future__ import annotations

import pytest

from buildbot.config import conflicts
from buildbot.domain.rule import Rule
from tests.config.files import FORGE, REGISTRY, good, mistakes, rule


def _two(first: dict[str, str], second: dict[str, str], both: dict[str, str] | None = None) -> str:
    same = {"source": '"acme/mono"', "repository": '"acme/mono"', **(both or {})}
    return FORGE + REGISTRY + rule(**{**same, "name": '"one"', **first}) + rule(**{**same, "name": '"two"', **second})


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ({}, {}, "acme/mono:main from one push to refs/heads/main"),
        ({"image_tags": '["latest"]'}, {"image_tags": '["{branch}", "latest"]'}, "acme/mono:latest"),
        ({"branches": '["*"]'}, {"branches": '["release/*", "m*"]'}, "acme/mono:main from one push to refs/heads/main"),
        ({"branches": '["x*"]'}, {"branches": '["*y"]'}, "acme/mono:xy from one push to refs/heads/xy"),
        ({"branches": '["a/*"]'}, {"branches": '["a/b"]', "image_tags": '["a-{repo}", "a-b"]'}, "acme/mono:a-b"),
        ({"paths": '["a/**"]'}, {"paths": '["b/**"]'}, "acme/mono:main"),
        ({"source": '"acme/*"'}, {"source": '"ACME/Mono"'}, "acme/mono:main"),
        ({"source": '"*/mono"'}, {"source": '"acme/*"', "repository": '"{owner}/{repo}"'}, "acme/mono:main"),
        (
            {"image_tags": '["dev"]', "branches": '["**"]'},
            {"branches": '["**"]', "image_tags": '["{ref}"]'},
            "mono:dev",
        ),
        ({"tags": '["v*"]', "branches": ""}, {"tags": '["*"]', "image_tags": '["{tag}"]'}, "one push to refs/tags/v"),
        (
            {"tags": '["v*"]', "branches": "", "image_tags": '["{version}"]'},
            {"tags": '["v[0-9]*"]', "branches": "", "image_tags": '["{version}", "x"]'},
            "from one push to refs/tags/v",
        ),
        (
            {"image_tags": '["{default_branch?latest}"]'},
            {"image_tags": '["{default_branch?latest}"]'},
            "acme/mono:latest from one push to refs/heads/main, if that is the default branch",
        ),
    ],
)
def test_one_tag_from_two_rules_is_a_mistake(first: dict[str, str], second: dict[str, str], what: str) -> None:
    [mistake] = mistakes(_two(first, second))
    assert mistake.key.startswith('rules "two"')
    assert mistake.what.startswith('rules "one" and "two" would both write ')
    assert what in mistake.what


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"repository": '"acme/other"'}),
        ({}, {"source": '"acme/other"'}),
        ({}, {"branches": '["dev"]'}),
        ({"branches": '["*", "!main"]'}, {"branches": '["main"]', "image_tags": '["main"]'}),
        ({"image_tags": '["{ref}"]'}, {"image_tags": '["web-{ref}"]'}),
        ({"image_tags": '["{rule}"]'}, {"image_tags": '["{rule}"]'}),
        ({"repository": '"acme/{rule}"'}, {"repository": '"acme/{rule}"'}),
        ({"branches": "", "tags": '["v*"]'}, {"branches": '["v*"]'}),
        ({"source": '"a/*"'}, {"source": '"b/*"'}),
    ],
)
def test_rules_that_keep_apart_are_right(first: dict[str, str], second: dict[str, str]) -> None:
    config = good(_two(first, second))
    assert len(config.rules) == 2
    assert config.warnings == ()


def test_a_tag_that_only_some_default_branch_makes_double_is_a_warning() -> None:
    text = _two(
        {"branches": '["**"]', "image_tags": '["{default_branch?latest}"]'},
        {"branches": '["main"]', "image_tags": '["latest"]'},
    )
    [warning] = good(text).warnings
    assert warning.key == 'rules "two".image_tags'
    assert warning.what.endswith("refs/heads/main, if that is the default branch")


def test_different_forges_and_registries_keep_rules_apart() -> None:
    forges = FORGE + FORGE.replace("github]", "ghe]")
    registries = REGISTRY + REGISTRY.replace("quay]", "own]")
    same = {"repository": '"quay:acme/mono"', "status_context": '"quay/x"'}
    apart = rule(name='"one"', source='"github:a/b"', **same) + rule(name='"two"', source='"ghe:a/b"', **same)
    assert len(good(forges + registries + apart).rules) == 2
    places = [{"repository": f'"{key}:acme/mono"', "source": '"ghe:a/b"'} for key in ("quay", "own")]
    apart = rule(name='"one"', **places[0]) + rule(name='"two"', **places[1])
    assert len(good(forges + registries + apart).rules) == 2


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("ci/build", "ci/build", "ci/build"),
        ("CI/Build", "ci/build", "CI/Build"),
        ("quay/{rule}", "quay/one", "quay/one"),
        ("quay/{branch}", "quay/{ref}", "quay/main"),
        ("quay/{repo}", "quay/mono", "quay/mono"),
        ("quay/{short_sha}", "quay/{short_sha}", "quay/0123456"),
    ],
)
def test_one_status_context_of_two_rules_is_a_mistake(first: str, second: str, shared: str) -> None:
    text = _two({"status_context": f'"{first}"'}, {"status_context": f'"{second}"', "repository": '"acme/other"'})
    [mistake] = mistakes(text)
    assert mistake.key == 'rules "two".status_context'
    assert mistake.what.startswith(f'rules "one" and "two" would both report as "{shared}" on one commit of acme/mono')


@pytest.mark.parametrize(
    ("first", "second"),
    [("quay/{rule}", "quay/{rule}"), ("quay/{branch}", "quay/x-{branch}"), ("a", "b"), ("quay/{rule}", "quay/three")],
)
def test_status_contexts_that_differ_are_right(first: str, second: str) -> None:
    text = _two({"status_context": f'"{first}"'}, {"status_context": f'"{second}"', "repository": '"acme/other"'})
    assert len(good(text).rules) == 2


def test_a_branch_and_a_tag_can_be_of_one_commit() -> None:
    text = _two(
        {"status_context": '"ci/build"'},
        {"status_context": '"ci/build"', "branches": "", "tags": '["v*"]', "repository": '"acme/other"'},
    )
    assert [mistake.key for mistake in mistakes(text)] == ['rules "two".status_context']


def test_a_monorepo_of_many_rules_is_checked_at_once() -> None:
    rules = "".join(
        rule(name=f'"r{n}"', source='"acme/mono"', repository=f'"acme/r{n}"', branches='["*", "!x*"]', tags='["v*"]')
        for n in range(60)
    )
    assert len(good(FORGE + REGISTRY + rules).rules) == 60


def _rules_of(*sources: str) -> dict[int, Rule]:
    texts = [
        rule(name=f'"r{at}"', source=f'"{one}"', repository=f'"acme/r{at}"', status_context='"r/{rule}"')
        for at, one in enumerate(sources)
    ]
    return dict(enumerate(good(FORGE + REGISTRY + "".join(texts)).rules))


def test_only_rules_whose_sources_may_be_one_are_compared() -> None:
    rules = _rules_of("acme/a", "acme/b", "*/a", "ACME/a", "acme/c")
    assert conflicts._pairs(rules) == [(0, 2), (0, 3), (1, 2), (2, 3), (2, 4)]


def test_hundreds_of_rules_for_as_many_sources_are_no_thousands_of_pairs() -> None:
    assert conflicts._pairs(_rules_of(*(f"acme/{number}" for number in range(300)))) == []
