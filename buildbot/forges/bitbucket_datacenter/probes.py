"""Questions to Bitbucket Data Center that change nothing, for `doctor`: those to Cloud, asked of the other API."""

from __future__ import annotations

from buildbot.forges.bitbucket.probes import has_repository, is_token_good, may_post_status

__all__ = ["has_repository", "is_token_good", "may_post_status"]
