"""What differs between two configurations, what of it needs a restart, and to whom the way is another now."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.bootstrap.changes import Ways, changed_ways, differences, needing_restart, without_restart
from buildbot.config import Config
from tests.config.files import ENVIRON, FORGE, GOOD, REGISTRY, RULE, good, rule

OTHER_REGISTRY = REGISTRY.replace("registries.quay", "registries.other")
NO_WAYS = Ways()
CASES = {
    "nothing": (GOOD, {}, (), NO_WAYS),
    "a comment": (GOOD + "# so\n", {}, (), NO_WAYS),
    "a new rule": (GOOD + rule(), {}, ("rule web",), NO_WAYS),
    "a rule's tags": (GOOD + 'image_tags = ["x"]\n', {}, ("rule api",), NO_WAYS),
    "a webhook secret": (GOOD, {"HOOK": "another"}, ("forges.github",), NO_WAYS),
    "a forge's token": (GOOD, {"TOKEN": "ghp_b"}, ("forges.github",), Ways(frozenset(), frozenset({"github"}))),
    "a forge's limit": (FORGE + "writes_per_minute = 9" + REGISTRY + RULE, {}, ("forges.github",), NO_WAYS),
    "a registry's token": (GOOD, {"QUAY": "b"}, ("registries.quay",), Ways(frozenset({"quay"}))),
    "a registry's limit": (FORGE + REGISTRY + "polls_per_second = 9" + RULE, {}, ("registries.quay",), NO_WAYS),
    "a registry's address": (
        FORGE + REGISTRY + 'url = "https://quay.example.com"' + RULE,
        {},
        ("registries.quay",),
        Ways(frozenset({"quay"})),
    ),
    "another registry's name": (
        FORGE + OTHER_REGISTRY + RULE,
        {},
        ("registries.other", "registries.quay", "rule api"),
        Ways(frozenset({"quay", "other"})),
    ),
    "whether it is reached": (
        '[server]\npublic_url = "https://b.example.com"' + GOOD,
        {},
        ("server", "rule api"),
        NO_WAYS,
    ),
    "how long things are kept": ('[store]\nretention = "9d"' + GOOD, {}, ("store",), NO_WAYS),
}


def reread(text: str, **environ: str) -> Config:
    return good(text, ENVIRON | environ)


@pytest.mark.parametrize(("text", "environ", "changed", "ways"), CASES.values(), ids=CASES.keys())
def test_a_change_is_named_and_found_to_change_a_way_or_none(
    text: str, environ: dict[str, str], changed: tuple[str, ...], ways: Ways
) -> None:
    before, after = good(GOOD), reread(text, **environ)
    assert differences(before, after) == changed
    assert changed_ways(before, after) == changed_ways(after, before) == ways
    assert bool(ways) == (ways != NO_WAYS)


def test_rules_in_another_order_are_a_change() -> None:
    assert differences(good(GOOD + rule()), good(FORGE + REGISTRY + rule() + RULE)) == ("the order of the rules",)


RESTARTS = {
    "server.listen": '[server]\nlisten = "0.0.0.0:80"\n',
    "store.url": f'[store]\nurl = "sqlite:///{Path("/elsewhere.db")}"\n',
    "store.lease": '[store]\nlease = "20s"\n',
}


@pytest.mark.parametrize(("key", "table"), RESTARTS.items(), ids=RESTARTS.keys())
def test_what_needs_a_restart_stays_and_everything_else_is_taken(key: str, table: str) -> None:
    running, wanted = good(GOOD), good(table + GOOD + rule())
    assert needing_restart(running, wanted) == (key,)
    taken = without_restart(running, wanted)
    assert needing_restart(running, taken) == ()
    assert differences(running, taken) == ("rule web",)


def test_the_rest_of_those_tables_is_taken() -> None:
    wanted = good('[server]\npublic_url = "https://b.example.com"\n[store]\nretention = "9d"\n' + GOOD)
    assert needing_restart(good(GOOD), wanted) == ()
    assert without_restart(good(GOOD), wanted) == wanted
