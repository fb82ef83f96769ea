"""What rules let one watch: exactly named repositories, each once, with the patterns of all rules that name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildbot.domain.push import RefKind
from buildbot.domain.watching import Watch, is_admitted, watches
from tests.domain.test_decision import API


def test_rules_of_one_source_are_watched_together_and_patterns_of_sources_not_at_all() -> None:
    nightly = replace(API, name="nightly", source="Acme/API", branches=("nightly",), tags=())
    anywhere = replace(API, name="any", source="acme/*")
    elsewhere = replace(API, name="other", forge="codeberg")
    assert watches([API, nightly, anywhere, elsewhere]) == (
        Watch("github", "acme/api", (("main",), ("nightly",)), (("v*",),)),
        Watch("codeberg", "acme/api", (("main",),), (("v*",),)),
    )


def test_names_that_differ_in_case_are_two_where_the_forge_says_so() -> None:
    one, other = replace(API, source_has_case=True), replace(API, source="Acme/api", source_has_case=True)
    assert [watch.full_name for watch in watches([one, other])] == ["acme/api", "Acme/api"]


@pytest.mark.parametrize(
    ("name", "admitted"), [("main", True), ("release/1", True), ("release/old", False), ("old", True), ("x", False)]
)
def test_a_ref_is_watched_if_any_rule_admits_it(name: str, admitted: bool) -> None:
    watch = Watch("github", "acme/api", (("main", "release/*", "!release/old"), ("old",)), ())
    assert is_admitted(watch.patterns(RefKind.BRANCH), name) is admitted
    assert not is_admitted(watch.patterns(RefKind.TAG), name)
