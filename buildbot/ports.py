"""The contracts between the engine and what it drives: a registry that builds, a forge that shows statuses.

Errors are split by what the caller must do next, never by status code or text:

    CallError
    ├── NotSent            it certainly did nothing: ask again later
    │   ├── Unreachable    no connection (DNS, connect, TLS, proxy's 502 before sending): probe, others wait
    │   ├── Throttled      429: wait until `retry_at`; `by_proxy` when it was the proxy in front, for all calls
    │   ├── Unavailable    503: this repository or registry takes nothing just now
    │   └── CredentialRefused   the credential as a whole: pause everything that uses it
    ├── Unanswered         it may have happened: timeout after sending, lost connection, 5xx, nonsense
    ├── Refused            it will never happen as asked; `reason` is in the other side's words
    └── Vanished           what the call was about does not exist
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from buildbot.domain.log import LogEntry
from buildbot.domain.push import Ignored, PushEvent
from buildbot.domain.status import CommitStatus


class CallError(Exception):
    """A call to a registry or forge that did not do what was asked. `str()` is one line for people, no secrets."""


class NotSent(CallError):
    """The call certainly had no effect; asking again later is safe."""


class Unreachable(NotSent):
    """No connection could be made at all."""


class Throttled(NotSent):
    """Too many calls. `retry_at` is when the other side said to come back (aware UTC), None if it did not say."""

    def __init__(self, reason: str, *, retry_at: datetime | None = None, by_proxy: bool = False) -> None:
        super().__init__(reason)
        self.retry_at = retry_at
        self.by_proxy = by_proxy


class Unavailable(NotSent):
    """The other side answered that it does not take this now."""


class CredentialRefused(NotSent):
    """The credential itself was refused: nothing that uses it will work until it changes."""


class Unanswered(CallError):
    """Nobody knows whether it happened: the answer was lost, or made no sense."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Refused(CallError):
    """Refused for good, in the other side's words."""


class Vanished(CallError):
    """The build, commit or repository that the call was about does not exist (or may not be seen)."""


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """One request to a registry: what requestRepoBuild is asked for. `archive_url` carries the build's mark."""

    repository: str
    archive_url: str
    image_tags: tuple[str, ...]
    context: str
    dockerfile_path: str
    pull_robot: str | None = None


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build as the registry shows it. `phase` is the registry's own word; `started` is by its clock, whole seconds.

    `archive_url` is None when the registry hides it (the token may not write): it proves nothing about marks.
    """

    id: str
    phase: str
    tags: tuple[str, ...]
    started: datetime | None
    archive_url: str | None


class Registry(Protocol):
    """The six build operations of Quay's API, each one call. All raise `CallError`s.

    `repository` is "namespace/name". Reads are idempotent and may be retried inside for a few seconds; the request
    and the cancel are sent exactly once per call.
    """

    async def request_repo_build(self, order: BuildOrder) -> BuildRecord:
        """Ask for a build. `Unanswered` means that it may exist: look for its mark before asking again."""

    async def cancel_repo_build(self, repository: str, build: str) -> None:
        """Take a build back; returning means that it is cancelled for good. `Refused`: it goes on to its own end."""

    async def get_repo_build(self, repository: str, build: str) -> BuildRecord:
        """One build, whole."""

    async def get_repo_build_status(self, repository: str, build: str) -> BuildRecord:
        """One build's phase (today the same object as `get_repo_build`)."""

    async def get_repo_builds(self, repository: str, since: datetime) -> tuple[BuildRecord, ...]:
        """All builds of a repository that were requested at `since` or later, newest first, without a limit."""

    async def get_repo_build_logs(self, repository: str, build: str, start: int = 0) -> tuple[LogEntry, ...]:
        """The log from entry `start` on, archived or live. Empty when there is none (or Quay's Redis is down)."""

    def build_page(self, repository: str, build: str) -> str:
        """The registry's own page of a build, for people."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook request: the forge's key, the delivery id and event it named, the decoded payload."""

    forge: str
    id: str
    event: str
    payload: Mapping[str, object]
    received_at: datetime


class BadPayload(Exception):
    """A verified payload that cannot be read; `str()` names the field that is missing or wrong."""


class Webhook(Protocol):
    """How one kind of forge signs, names and words its deliveries. Pure: headers and bytes in, values out.

    Header names are lower case. `signature` is checked over the raw bytes before anything is parsed.
    """

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A running signature check, to be fed the body as it streams in. Raises BadSignature at once when unsigned."""

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(delivery id, event) as the headers name them. Raises BadPayload when one is missing or not ASCII."""

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload, from JSON or from a form's `payload` field. Raises BadPayload."""

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """What the delivery says. Raises BadPayload naming the field."""


class BadSignature(Exception):
    """The delivery is unsigned, signed too weakly, or signed with none of our secrets."""


class Verifier(Protocol):
    """A signature check in progress: constant memory whatever the body's size."""

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes of the body."""

    def check(self) -> None:
        """Raise BadSignature unless one of the secrets made the signature; compares in constant time."""


class Forge(Protocol):
    """What the engine asks of a forge, by the repository's full name. All raise `CallError`s."""

    async def credential(self, full_name: str) -> str:
        """A stable name for whose write budget a status of this repository spends ("user:ci-bot", "installation:42").

        Never the token itself. Asks the forge once and remembers.
        """

    async def post_status(self, full_name: str, sha: str, context: str, status: CommitStatus) -> None:
        """Post a commit status. `Vanished`: the commit is not there (yet). `Refused`: never will be."""

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that an annotated tag object finally points to."""

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a branch or tag ref right now."""

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now: id, spelled name, default branch, whether it is private."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A source repository as the forge describes it today."""

    id: str
    full_name: str
    private: bool
    default_branch: str
    html_url: str
