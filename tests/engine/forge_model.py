"""The forge of the simulation: commits that show a while after their push, and every status that it was sent.

The build that a status speaks of stands in its target URL, so the order of what was sent can be judged from outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from buildbot.domain.build import BuildId
from buildbot.domain.status import CommitStatus
from buildbot.ports import CallError, Refused, Vanished

PUBLIC_URL = "https://bot.test"
Key = tuple[str, str]
SAME_MOMENT = 0.01
"""Seconds in which an end that is saved may pass a pending that has been read already."""


def truly_touched(after: str) -> tuple[str, ...] | None:
    """What the forge tells of the paths that a push to this commit has changed, where the push itself does not."""
    return (None, ("src/a.py",), ("docs/a.md", "src/a.py"))[int(after, 16) % 3]


@dataclass
class ForgeModel:
    """Statuses by (commit, context in small letters), oldest first. `ended_at` says when a build ended in the store."""

    rng: Random
    now: Callable[[], float]
    refuses: float
    ended_at: Mapping[BuildId, float]
    commits: dict[str, str] = field(default_factory=dict)
    shows_at: dict[str, float] = field(default_factory=dict)
    statuses: dict[Key, list[CommitStatus]] = field(default_factory=dict)
    refused: set[Key] = field(default_factory=set)
    excused: Counter[BuildId] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    posts: int = 0

    def sent(self, status: CommitStatus) -> None:
        """A process begins to send this."""
        owner = self.owner_of(status)
        self.posts += 1
        if not status.state.is_final and self.ended_at.get(owner, self.now()) < self.now() - SAME_MOMENT:
            self.defects.append(f"pending was sent for {owner}, which had ended: {status.description}")

    def refusal(self, sha: str, context: str) -> CallError | None:
        """Why the forge does not take a status of this commit, if so."""
        key = (sha, context.lower())
        if self.now() < self.shows_at.get(sha, 0.0):
            return Vanished(f"No commit found for SHA: {sha}")
        if key in self.refused or self.rng.random() < self.refuses:
            self.refused.add(key)
            return Refused("This SHA and context has reached the maximum number of statuses.")
        return None

    def take(self, full_name: str, sha: str, context: str, status: CommitStatus) -> None:
        """The status is there."""
        del full_name
        self.statuses.setdefault((sha, context.lower()), []).append(status)

    def excuse(self, owner: BuildId) -> None:
        """A post that nobody could note down: it may come once more."""
        self.excused[owner] += 1

    def owner_of(self, status: CommitStatus) -> BuildId:
        """The build that the status speaks of."""
        return BuildId((status.target_url or "").rpartition("/")[2])

    def posts_of(self) -> Counter[BuildId]:
        """How many statuses each build has had, without those that were sent again for good reason."""
        had = Counter(self.owner_of(status) for sent in self.statuses.values() for status in sent)
        had.subtract(self.excused)
        return had
