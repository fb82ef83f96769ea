"""Everything the sandbox GitHub remembers, shared by the acts of users (`github`), the API and the archives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from buildbot.sandbox.git_repository import Repository
from buildbot.sandbox.github_accounts import Accounts
from buildbot.sandbox.github_hooks import Hook, Hookshot
from buildbot.sandbox.github_payloads import Site


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


@dataclass(slots=True)
class RateLimits:
    """GitHub's primary limit, counted per caller and hour, and its secondary one, which comes when told to."""

    limit: int = 5000
    used: dict[str, int] = field(default_factory=dict)
    resets_at: datetime | None = None
    secondary_calls: int = 0
    secondary_status: int = 403
    retry_after: int | None = None

    def spend(self, caller: str, now: datetime) -> dict[str, str]:
        """Count one call; the headers that GitHub puts on the answer. An hour that is over starts a new one."""
        if self.resets_at is None or now >= self.resets_at:
            self.used.clear()
            self.resets_at = now + timedelta(hours=1)
        self.used[caller] = self.used.get(caller, 0) + 1
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(self.limit - self.used[caller], 0)),
            "x-ratelimit-reset": str(int(self.resets_at.timestamp())),
            "x-ratelimit-used": str(min(self.used[caller], self.limit)),
            "x-ratelimit-resource": "core",
        }

    def give_back(self, caller: str) -> dict[str, str]:
        """The caller's last call did not count; the headers that say so."""
        self.used[caller] -= 1
        used = str(min(self.used[caller], self.limit))
        return {"x-ratelimit-remaining": str(max(self.limit - self.used[caller], 0)), "x-ratelimit-used": used}

    def use_up(self, caller: str, now: datetime) -> None:
        """The caller has made all the calls of this hour."""
        self.spend(caller, now)
        self.used[caller] = self.limit

    def is_exceeded(self, caller: str) -> bool:
        """The caller's last call was one too many."""
        return self.used.get(caller, 0) > self.limit

    def takes_secondary(self) -> bool:
        """This call meets the secondary limit; each yes uses up one of `secondary_calls`."""
        self.secondary_calls = max(self.secondary_calls, 0)
        if not self.secondary_calls:
            return False
        self.secondary_calls -= 1
        return True


@dataclass(slots=True)
class State:
    """The sandbox's memory. `names` leads from lower-case names, also former ones, to repositories' ids.

    `errors_as_text` chooses between the two forms in which GitHub explains a 422: the text of github.com today, or the
    list of objects that older Enterprise Servers send.
    """

    site: Site
    now: Callable[[], datetime]
    hookshot: Hookshot
    accounts: Accounts = field(default_factory=Accounts)
    limits: RateLimits = field(default_factory=RateLimits)
    repositories: dict[int, Repository] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    errors_as_text: bool = True
    archive_passes: dict[tuple[str, str], datetime] = field(default_factory=dict)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(500_001))

    def find(self, full_name: str) -> Repository | None:
        """The repository that has, or once had, this name; GitHub compares names without case."""
        return self.repositories.get(self.names.get(full_name.lower(), 0))
