"""Every forge's payloads are read as the golden beside each says. A further forge is a line of `WEBHOOKS`."""

from __future__ import annotations

import pytest

from buildbot.forges.bitbucket.webhook import BitbucketWebhook
from buildbot.forges.bitbucket_datacenter.webhook import BitbucketDataCenterWebhook
from buildbot.forges.gitea.webhook import GiteaWebhook
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.forges.gitlab.webhook import GitLabWebhook
from buildbot.ports import Webhook
from tests.forges.golden import HERE, PAYLOAD_SUFFIXES, Pair, folder, pairs, read_pair

WEBHOOKS: dict[str, Webhook] = {
    "github": GitHubWebhook(forge="github", url="https://github.com"),
    "gitlab": GitLabWebhook(forge="gitlab", url="https://gitlab.com"),
    "gitea": GiteaWebhook(forge="gitea", url="https://git.example.com"),
    "bitbucket": BitbucketWebhook(forge="bitbucket", url="https://bitbucket.org"),
    "bitbucket_datacenter": BitbucketDataCenterWebhook(forge="bitbucket-datacenter", url="https://git.example.com"),
}
PAIRS = [pair for forge in WEBHOOKS for pair in pairs(forge)]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_payload_is_read_as_its_golden_says(pair: Pair) -> None:
    read, expected = read_pair(WEBHOOKS[pair.forge], pair), pair.expected
    assert read == {key: expected[key] for key in read}
    if expected["kind"] == "ping" and expected["repository"]:
        assert expected["repository"] in read["reason"]


@pytest.mark.parametrize("forge", WEBHOOKS)
def test_every_payload_has_its_golden_and_every_golden_its_payload(forge: str) -> None:
    payloads = {path.name for path in folder(forge).iterdir() if path.suffix in PAYLOAD_SUFFIXES}
    assert {pair.golden.name.removesuffix(".golden") for pair in pairs(forge)} == payloads
    assert len(payloads) >= 5


def test_every_forge_with_payloads_is_held_to_them() -> None:
    assert {path.parent.name for path in HERE.glob("*/payloads")} == set(WEBHOOKS)
