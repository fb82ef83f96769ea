"""What doctor's questions find out, in the same words for every forge."""

from __future__ import annotations

import pytest

from buildbot.forges.probes import Finding, ProbeResult, described, found
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Refused,
    Repository,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (CredentialRefused("wrong"), ProbeResult.BAD_CREDENTIAL),
        (Refused("never"), ProbeResult.NO),
        (Vanished("gone"), ProbeResult.NO),
        (Throttled("slow"), ProbeResult.UNTOLD),
        (Unavailable("busy"), ProbeResult.UNTOLD),
        (Unreachable("away"), ProbeResult.UNTOLD),
        (Unanswered("lost"), ProbeResult.UNTOLD),
    ],
)
async def test_an_error_is_a_finding_as_well(error: CallError, result: ProbeResult) -> None:
    async def ask() -> Finding:
        raise error

    assert await found(ask) == Finding(result, str(error))


@pytest.mark.parametrize(
    ("name", "private", "words"),
    [
        ("acme/api", False, "acme/api is there: public, default branch main"),
        ("Acme/API", True, "acme/api is there: private, default branch main"),
        ("acme/new", True, "acme/api is there, now called acme/new: private, default branch main"),
    ],
)
def test_a_repository_is_described_under_the_name_it_was_asked_for(name: str, private: bool, words: str) -> None:
    now = Repository("7", name, private, "main", "https://git.test/x")
    assert described("acme/api", now) == Finding(ProbeResult.YES, words)
