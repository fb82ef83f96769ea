"""Rules: which pushes become builds, of what, and why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import BuildRequest, Comparison, GoalKind
from buildbot.domain.push import Archive, PushEvent, RefKind, Source
from buildbot.domain.rule import (
    STATUS_CONTEXT_LENGTH,
    Gap,
    Planned,
    Rule,
    RulePlan,
    RulesBySource,
    Skipped,
    Supersede,
    plan_builds,
    planned,
)

SHA = "0123456789abcdef0123456789abcdef01234567"
RULE = Rule("api", "github", "acme/api", registry="quay", repository="acme/api", branches=("main",), tags=("v*",))
SOURCE = Source("github", "42", "acme/api", default_branch="main")
PUSH = PushEvent(
    SOURCE,
    ref="refs/heads/main",
    before="b" * 40,
    after=SHA,
    commit=SHA,
    archive=Archive("https://github.com/acme/api/archive/{sha}.tar.gz", "api-{sha}"),
)


def _plan(push: PushEvent = PUSH, rule: Rule = RULE, gap: Gap | None = None) -> RulePlan:
    (plan,) = plan_builds(push, [rule], gap)
    return plan


def _request(push: PushEvent = PUSH, rule: Rule = RULE) -> BuildRequest:
    plan = _plan(push, rule)
    assert isinstance(plan, Planned), plan
    return plan.request


def _reason(push: PushEvent = PUSH, rule: Rule = RULE) -> str:
    plan = _plan(push, rule)
    assert isinstance(plan, Skipped), plan
    return plan.reason


def test_a_push_becomes_the_request_that_the_rule_describes() -> None:
    rule = replace(RULE, image_tags=("{ref}", "sha-{short_sha}"), pull_robot="acme+puller", timeout=timedelta(hours=1))
    assert _plan(rule=rule) == Planned(
        rule,
        BuildRequest(
            rule="api",
            registry="quay",
            repository="acme/api",
            image_tags=("main", "sha-0123456"),
            archive_url=f"https://github.com/acme/api/archive/{SHA}.tar.gz",
            context=f"/api-{SHA}",
            dockerfile_path=f"/api-{SHA}/Dockerfile",
            status_context="quay/api",
            pull_robot="acme+puller",
            timeout=timedelta(hours=1),
            dockerfile="Dockerfile",
            is_dockerfile_in_doubt=True,
        ),
    )


@pytest.mark.parametrize(
    ("context", "dockerfile", "root", "expected"),
    [
        ("", None, "top", ("/top", "/top/Dockerfile")),
        ("docker", None, "top", ("/top/docker", "/top/docker/Dockerfile")),
        ("docker", "docker/x/Prod", "top", ("/top/docker", "/top/docker/x/Prod")),
        ("", "x/Dockerfile", "/top/", ("/top", "/top/x/Dockerfile")),
        ("", None, "", ("/", "/Dockerfile")),
        ("docker", None, "", ("/docker", "/docker/Dockerfile")),
    ],
)
def test_paths_are_absolute_below_the_archives_own_folder(
    context: str, dockerfile: str | None, root: str, expected: tuple[str, str]
) -> None:
    request = _request(
        replace(PUSH, archive=Archive("https://x", root)), replace(RULE, context=context, dockerfile=dockerfile)
    )
    assert (request.context, request.dockerfile_path) == expected


def test_an_unknown_commit_leaves_the_request_to_be_finished() -> None:
    rule = replace(RULE, image_tags=("{tag}", "{short_sha}"))
    request = _request(replace(PUSH, ref="refs/tags/v1", commit=None), rule)
    assert request.image_tags == ("v1", "{short_sha}")
    assert request.context == "/api-{sha}"
    assert request.for_commit(SHA) == _request(replace(PUSH, ref="refs/tags/v1"), rule)


@pytest.mark.parametrize(
    ("source", "full_name", "covers"),
    [
        ("acme/api", "acme/api", True),
        ("acme/api", "Acme/API", True),
        ("ACME/api", "acme/api", True),
        ("acme/*", "acme/web", True),
        ("*/*", "other/web", True),
        ("acme/a?i", "acme/api", True),
        ("acme/api", "acme/api2", False),
        ("acme/*", "acmes/api", False),
    ],
)
def test_a_rule_covers_the_sources_that_it_names(source: str, full_name: str, covers: bool) -> None:
    plan = _plan(replace(PUSH, source=replace(SOURCE, full_name=full_name)), replace(RULE, source=source))
    assert isinstance(plan, Planned) == covers
    assert covers or plan == Skipped(replace(RULE, source=source), f"its source is {source}", covers_source=False)


def test_another_forge_is_another_source() -> None:
    assert not RULE.covers(replace(SOURCE, forge="ghe"))


def test_where_a_forge_heeds_case_the_rule_does_too() -> None:
    assert not replace(RULE, source_has_case=True).covers(replace(SOURCE, full_name="Acme/api"))


@pytest.mark.parametrize(
    ("change", "rule", "reason"),
    [
        ({"ref": "refs/heads/dev"}, {}, "branch dev does not match main"),
        ({"ref": "refs/tags/x"}, {"tags": ("v*", "!v0*")}, "tag x does not match v*, !v0*"),
        ({"ref": "refs/tags/v0.1"}, {"tags": ("v*", "!v0*")}, "tag v0.1 is left out by !v0*"),
        ({"ref": "refs/tags/main"}, {"tags": ()}, "it builds no tags"),
        ({}, {"branches": ()}, "it builds no branches"),
        ({"message": "Fix\n\n[skip ci]"}, {}, "the commit message says [skip ci]"),
        ({"message": "[CI Skip] x"}, {}, "the commit message says [ci skip]"),
        (
            {"forced": False, "changed_paths": ("a.md", "docs/x")},
            {"paths": ("src/**",)},
            "none of the 2 changed paths matches src/**",
        ),
        (
            {"forced": False, "changed_paths": ("src/a.md",)},
            {"paths": ("src/**", "!**/*.md")},
            "matches src/**, !**/*.md",
        ),
        ({"forced": False, "changed_paths": ()}, {"paths": ("src/**",)}, "none of the 0 changed paths"),
        ({}, {"image_tags": ("{tag}",)}, "no image tag is left for main: image tag {tag} left out: main is a branch"),
        ({}, {"repository": "acme/{tag}"}, "repository 'acme/{tag}': main is a branch, which has no {tag}"),
        ({"ref": "refs/heads/-x"}, {"branches": ("*",), "repository": "acme/{branch}"}, "is no repository name"),
        ({}, {"status_context": "quay/{tag}"}, "status_context 'quay/{tag}': main is a branch"),
    ],
)
def test_a_push_that_a_rule_does_not_build_is_told_why(
    change: dict[str, object], rule: dict[str, object], reason: str
) -> None:
    assert reason in _reason(replace(PUSH, **change), replace(RULE, **rule))  # type: ignore[arg-type]


SRC = replace(RULE, paths=("src/**",))


@pytest.mark.parametrize(("forced", "gap"), [(False, None), (None, None), (True, None), (False, Gap())])
def test_a_listed_path_that_matches_is_proof_whatever_else_happened(forced: bool | None, gap: Gap | None) -> None:
    plan = _plan(replace(PUSH, changed_paths=("README.md", "src/x.py"), forced=forced), SRC, gap)
    assert isinstance(plan, Planned)
    assert plan.request.comparison is None


def test_a_submodule_that_is_listed_may_have_changed_anything_inside() -> None:
    push = replace(PUSH, changed_paths=("vendor/lib",), forced=False)
    rule = replace(RULE, paths=("vendor/lib/src/**",))
    assert isinstance(_plan(push, rule), Skipped)
    assert isinstance(_plan(push, replace(rule, submodules=True, can_relay=True)), Planned)


@pytest.mark.parametrize(
    ("change", "gap", "base"),
    [
        ({}, None, "b" * 40),
        ({"changed_paths": ("README.md",)}, None, "b" * 40),
        ({"changed_paths": ("README.md",), "forced": True}, None, "b" * 40),
        ({"changed_paths": ("README.md",), "forced": False}, Gap({"api": "a" * 40, "web": "c" * 40}), "a" * 40),
        ({"ref": "refs/heads/new", "before": None}, None, None),
    ],
    ids=["untold", "perhaps forced", "forced", "after a gap", "a new branch"],
)
def test_what_the_push_does_not_prove_is_to_be_compared(
    change: dict[str, object], gap: Gap | None, base: str | None
) -> None:
    plan = _plan(replace(PUSH, **change), replace(SRC, branches=("**",)), gap)  # type: ignore[arg-type]
    assert isinstance(plan, Planned)
    assert plan.request.comparison == Comparison(("src/**",), base, GoalKind.CANCEL)


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"changed_paths": ("README.md",), "forced": False}, Gap()),
        ({"before": None}, None),
        ({"ref": "refs/tags/v1", "before": None}, None),
        ({"ref": "refs/tags/v1"}, None),
    ],
    ids=["nothing planned before the gap", "the default branch is new", "a tag", "a moved tag"],
)
def test_where_there_is_nothing_to_compare_with_it_is_built(change: dict[str, object], gap: Gap | None) -> None:
    plan = _plan(replace(PUSH, **change), SRC, gap)  # type: ignore[arg-type]  # each change is a field of the push
    assert isinstance(plan, Planned)
    assert plan.request.comparison is None


@pytest.mark.parametrize(
    ("change", "gap", "in_doubt"),
    [
        ({"changed_paths": ("src/x.py",)}, None, False),
        ({"changed_paths": ("src/x.py",)}, Gap(), True),
        ({"changed_paths": ("Dockerfile",)}, None, True),
        ({}, None, True),
        ({"before": None}, None, False),
    ],
    ids=["other files", "a gap", "itself", "untold", "a new branch"],
)
def test_the_dockerfile_is_in_doubt_where_the_push_may_have_removed_it(
    change: dict[str, object], gap: Gap | None, in_doubt: bool
) -> None:
    plan = _plan(replace(PUSH, **change), gap=gap)  # type: ignore[arg-type]  # each change is a field of the push
    assert isinstance(plan, Planned)
    assert (plan.request.dockerfile, plan.request.is_dockerfile_in_doubt) == ("Dockerfile", in_doubt)


def test_an_image_tag_that_a_push_cannot_fill_is_left_out_and_noted() -> None:
    plan = _plan(rule=replace(RULE, image_tags=("{ref}", "{version}", "{default_branch?latest}")))
    assert isinstance(plan, Planned)
    assert plan.request.image_tags == ("main", "latest")
    assert plan.notes == ("image tag {version} left out: main is a branch, which has no {version}",)


def test_image_tags_that_become_one_are_asked_for_once() -> None:
    push = replace(PUSH, ref="refs/heads/a/b")
    rule = replace(RULE, branches=("**",), image_tags=("{ref}", "a-b", "{branch}", "x"))
    assert _request(push, rule).image_tags == ("a-b", "x")


def test_the_repository_is_filled_and_lower_case() -> None:
    push = replace(PUSH, source=replace(SOURCE, full_name="Acme/API"))
    assert _request(push, replace(RULE, repository="{owner}/{repo}")).repository == "acme/api"


def test_a_long_status_context_is_cut_to_what_a_forge_takes() -> None:
    push = replace(PUSH, ref="refs/heads/" + "x" * 300)
    request = _request(push, replace(RULE, branches=("**",), status_context="quay/{branch}"))
    assert len(request.status_context) == STATUS_CONTEXT_LENGTH


def test_each_rule_is_answered_in_its_order() -> None:
    rules = [replace(RULE, name=name, branches=branches) for name, branches in (("a", ("dev",)), ("b", ("main",)))]
    plans = plan_builds(PUSH, rules)
    assert [plan.rule.name for plan in plans] == ["a", "b"]
    assert [plan.rule.name for plan in planned(plans)] == ["b"]


def test_rules_that_write_one_image_tag_from_one_push_are_warned_of() -> None:
    other = replace(RULE, name="web", image_tags=("x", "{branch}"))
    apart = replace(RULE, name="doc", repository="acme/doc")
    elsewhere = replace(RULE, name="own", registry="own")
    plans = planned(plan_builds(PUSH, [RULE, other, apart, elsewhere]))
    assert [bool(plan.warning) for plan in plans] == [True, True, False, False]
    assert "web" in plans[0].warning
    assert "api" in plans[1].warning


@pytest.mark.parametrize(
    ("configured", "kind", "expected"),
    [
        (None, RefKind.BRANCH, Supersede.CANCEL),
        (None, RefKind.TAG, Supersede.KEEP),
        (Supersede.QUEUED, RefKind.BRANCH, Supersede.QUEUED),
        (Supersede.CANCEL, RefKind.TAG, Supersede.CANCEL),
    ],
)
def test_branches_cancel_and_tags_keep_unless_told_otherwise(
    configured: Supersede | None, kind: RefKind, expected: Supersede
) -> None:
    assert replace(RULE, supersede=configured).supersede_for(kind) is expected


_NAMES = st.text(min_size=1, max_size=150).filter(str.strip)


@given(st.sampled_from(["refs/heads/", "refs/tags/"]), _NAMES, st.sampled_from([SHA, None]))
def test_whatever_the_ref_a_request_is_legal_once_its_commit_is_known(
    prefix: str, name: str, commit: str | None
) -> None:
    rule = replace(RULE, branches=("**",), tags=("**",), image_tags=("{ref}", "{ref}-{sha}", "{version}"))
    plan = _plan(replace(PUSH, ref=prefix + name, commit=commit), rule)
    if isinstance(plan, Planned):
        request = plan.request.for_commit(SHA)
        assert all(0 < len(tag) <= 127 and tag[0] not in ".-" for tag in request.image_tags)
        assert len(set(request.image_tags)) == len(request.image_tags)
        assert request.dockerfile_path.startswith(f"{request.context}/")


@pytest.mark.parametrize(("ref", "quiet"), [("refs/heads/main", timedelta(minutes=1)), ("refs/tags/v1", timedelta())])
def test_branches_are_waited_for_to_be_quiet_and_git_tags_are_not(ref: str, quiet: timedelta) -> None:
    rule = replace(RULE, quiet_period=timedelta(minutes=1))
    assert _request(replace(PUSH, ref=ref), rule).quiet_period == quiet


@given(
    named=st.lists(
        st.tuples(
            st.sampled_from(("acme/api", "Acme/API", "acme/*", "**", "acme/web", "other/api")),
            st.sampled_from(("github", "gitlab")),
            st.booleans(),
        ),
        max_size=6,
    ),
    full_name=st.sampled_from(("acme/api", "ACME/api", "acme/web", "nobody/none")),
)
def test_rules_found_by_their_source_are_those_that_cover_it(
    named: list[tuple[str, str, bool]], full_name: str
) -> None:
    rules = [
        replace(RULE, name=str(at), source=source, forge=forge, source_has_case=has_case)
        for at, (source, forge, has_case) in enumerate(named)
    ]
    source = replace(SOURCE, full_name=full_name)
    assert list(RulesBySource(rules).covering(source)) == [rule for rule in rules if rule.covers(source)]
