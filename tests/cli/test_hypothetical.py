"""A made-up push is what the forge's own delivery would have been read as."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.cli.hypothetical import PLACEHOLDER_SHA, archive_at, hypothetical_push, likely_default_branch
from buildbot.config import read
from buildbot.domain.push import PushEvent, Source
from buildbot.forges.github.webhook import GitHubWebhook
from tests.config.files import ENVIRON, GOOD, forge


@pytest.mark.parametrize("url", ["https://github.com", "https://git.example.com/hub"])
@pytest.mark.parametrize("full_name", ["acme/api", "Acme/a.b_c-d"])
def test_the_archive_is_where_the_webhook_reader_says(url: str, full_name: str) -> None:
    config = read(forge(url=f'"{url}"', token='"env:TOKEN"'), ENVIRON, base=Path("/nowhere")).forges["github"]
    delivered = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": PLACEHOLDER_SHA,
        "repository": {"id": 7, "full_name": full_name, "private": False},
        "head_commit": None,
    }
    events = GitHubWebhook(forge="github", url=url).read("push", delivered)
    assert isinstance(events, tuple)
    assert archive_at(config, Source("github", "7", full_name)) == events[0].archive


def test_nothing_but_the_paths_is_left_unknown() -> None:
    config = read(GOOD, ENVIRON, base=Path("/nowhere")).forges["github"]
    push = hypothetical_push(config, Source("github", "", "acme/api"), "refs/heads/x", PLACEHOLDER_SHA, None)
    assert isinstance(push, PushEvent)
    assert (push.commit, push.after, push.changed_paths) == (PLACEHOLDER_SHA, PLACEHOLDER_SHA, None)


@pytest.mark.parametrize(
    ("ref", "branch"), [("refs/heads/master", "master"), ("refs/heads/x", "main"), ("refs/tags/master", "main")]
)
def test_who_pushes_to_master_has_no_main(ref: str, branch: str) -> None:
    assert likely_default_branch(ref) == branch
