"""What waits for a way that has changed waits no longer, once; everything else stays put off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildbot.domain.build import Build, BuildPhase
from buildbot.engine.hurrying import REMEMBERED_SECONDS, Hurry
from tests.domain.builds import NOW, a_build

LATER = NOW + timedelta(minutes=1)


def put_off(phase: BuildPhase = BuildPhase.PLANNED) -> Build:
    build = a_build()
    return replace(build, seen=replace(build.seen, phase=phase, due=LATER))


REGISTRY, FORGE = put_off().request.registry, put_off().source.forge


def hurried(*, registries: tuple[str, ...] = (), forges: tuple[str, ...] = ()) -> Hurry:
    hurry = Hurry()
    hurry.begin(registries, forges, 0.0)
    return hurry


@pytest.mark.parametrize("phase", [phase for phase in BuildPhase if not phase.is_final])
def test_a_changed_registry_hurries_builds_of_any_phase(phase: BuildPhase) -> None:
    build = put_off(phase)
    released = hurried(registries=(REGISTRY,)).released(build, 1.0)
    assert released == replace(build, seen=replace(build.seen, due=None))


@pytest.mark.parametrize("phase", [phase for phase in BuildPhase if not phase.is_final])
def test_a_changed_forge_hurries_builds_that_may_wait_for_it(phase: BuildPhase) -> None:
    build = put_off(phase)
    is_hurried = hurried(forges=(FORGE,)).released(build, 1.0).seen.due is None
    assert is_hurried == (phase in {BuildPhase.COMPARING, BuildPhase.PLANNED})


def test_each_build_is_hurried_once_for_each_change() -> None:
    hurry, build = hurried(registries=(REGISTRY,)), put_off()
    assert hurry.released(build, 1.0).seen.due is None
    assert hurry.released(build, 2.0).seen.due == LATER
    hurry.begin((), (FORGE,), 3.0)
    assert hurry.released(build, 4.0).seen.due is None


def test_what_has_not_changed_or_changed_long_ago_hurries_nobody() -> None:
    build = put_off()
    assert Hurry().released(build, 0.0) == build
    assert hurried(registries=("another",), forges=("another",)).released(build, 1.0) == build
    hurry = hurried(registries=(REGISTRY,))
    assert hurry.released(build, REMEMBERED_SECONDS) == build
    hurry.begin(("another",), (), REMEMBERED_SECONDS + 1)
    assert hurry.released(build, REMEMBERED_SECONDS + 1) == build
