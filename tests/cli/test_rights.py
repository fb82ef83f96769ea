"""What a credential needs is told for every kind of forge."""

from __future__ import annotations

import pytest

from buildbot.cli.rights import EVENTS, MAY_POST, NEW_CREDENTIAL
from buildbot.config import ForgeKind


@pytest.mark.parametrize("kind", ForgeKind)
def test_every_kind_of_forge_has_its_words(kind: ForgeKind) -> None:
    assert NEW_CREDENTIAL[kind].startswith("create a")
    assert NEW_CREDENTIAL[kind].endswith("where `token` points")
    assert "push" in EVENTS[kind]
    assert MAY_POST[kind].startswith("give the ")
