"""A build: what is wanted, and what was last seen of it.

Two writers share a build's row and never touch the same column: `goal` is written by intake and by people, everything
in `Seen` by the holder of the repository's claim. A value here is a snapshot; `lifecycle.py` holds the theory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from buildbot.domain.push import SWEEP, RefKind, Source, kind_of, name_of, short

BuildId = NewType("BuildId", str)

COMMIT_PLACEHOLDERS = ("{sha}", "{short_sha}")
ATTEMPT_DIGITS = 9


class BuildPhase(StrEnum):
    """Where a build stands, in the bot's words (Quay's own word is `Seen.quay_phase`).

    COMPARING: whether the push concerns the rule at all is still to be asked of the forge; until then it supersedes
    nothing and owns no commit status. SKIPPED: it does not.
    """

    COMPARING = "comparing"
    PLANNED = "planned"
    REQUESTING = "requesting"
    WAITING = "waiting"
    BUILDING = "building"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self in FINAL_PHASES


FINAL_PHASES = frozenset(
    {BuildPhase.SUCCEEDED, BuildPhase.FAILED, BuildPhase.ERRORED, BuildPhase.CANCELLED, BuildPhase.SKIPPED}
)


class GoalKind(StrEnum):
    """What is wanted of a build. `CANCEL_QUEUED` drops it only while it has not begun to build."""

    BUILD = "build"
    CANCEL = "cancel"
    CANCEL_QUEUED = "cancel-queued"


class CancelReason(StrEnum):
    """Why a build is taken back; decides what a `cancelled` read from Quay means."""

    SUPERSEDED = "superseded"
    DELETED = "deleted"
    PERSON = "person"
    TIMED_OUT = "timed-out"
    WRONG_TAGS = "wrong-tags"
    STARVED = "starved"


class WaitingLine(StrEnum):
    """What a build that could be asked for stands in line for: a place under the caps of the configuration, or for
    Quay's own queue of the namespace to take builds again."""

    PLACE = "place"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted. `detail` finishes the sentence: the newer commit, the deleted ref, the person."""

    kind: GoalKind = GoalKind.BUILD
    reason: CancelReason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What decides whether a push concerns a rule: do the paths changed since `base` match `paths`?

    `base` None is where the branch left the default branch. `supersedes`: what becomes of the older builds once this
    one is wanted; None leaves them alone.
    """

    paths: tuple[str, ...]
    base: str | None
    supersedes: GoalKind | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a rule asks of the registry for one push; kept whatever the configuration says later.

    `repository` is "namespace/name". `context` and `dockerfile_path` are absolute inside the archive, context a prefix
    of the path: anything else makes Quay replace the context silently. While the commit of an annotated tag is
    unknown, the strings may still hold `{sha}` and `{short_sha}`; `for_commit` fills them in.

    `is_relayed`: the bot serves the archive itself, with the repository's root as its root; `archive_url` is then "",
    since the URL belongs to the build. `impossible` says why no builder could ever get at the source. `submodules`: the
    archive holds them too. The build is not asked for before its push is `quiet_period` old.

    `dockerfile` is the Dockerfile's path in the source repository; `is_dockerfile_in_doubt`: the push may have removed
    it. `comparison` is what has to be asked of the forge before it is known whether the build is wanted at all.
    """

    rule: str
    registry: str
    repository: str
    image_tags: tuple[str, ...]
    archive_url: str
    context: str
    dockerfile_path: str
    status_context: str
    pull_robot: str | None = None
    timeout: timedelta | None = None
    is_relayed: bool = False
    quiet_period: timedelta = timedelta()
    revision_file: str | None = None
    impossible: str = ""
    dockerfile: str = ""
    is_dockerfile_in_doubt: bool = False
    comparison: Comparison | None = None
    submodules: bool = False

    def for_commit(self, sha: str) -> BuildRequest:
        """The same request with `{sha}` and `{short_sha}` filled in; image tags that become equal are one."""

        def fill(text: str) -> str:
            return text.replace("{sha}", sha).replace("{short_sha}", short(sha))

        return replace(
            self,
            image_tags=tuple(dict.fromkeys(fill(tag) for tag in self.image_tags)),
            archive_url=fill(self.archive_url),
            context=fill(self.context),
            dockerfile_path=fill(self.dockerfile_path),
            status_context=fill(self.status_context),
        )


class DeleteState(StrEnum):
    """What is known of our DELETE: saved as SENT before the call, so that a crash reads as "never answered"."""

    SENT = "sent"
    UNANSWERED = "unanswered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delete:
    """A DELETE of ours: why, when first sent, how often, and how Quay answered."""

    reason: CancelReason
    detail: str
    sent_at: datetime
    tries: int = 1
    state: DeleteState = DeleteState.SENT
    refusal: str = ""
    read_since: bool = False


@dataclass(frozen=True, slots=True)
class LogDigest:
    """What a build's log tells: read once when it matters, kept for the status and the page.

    `attempts` counts `build-scheduled` entries, `failed_step` is like "3/7: RUN make", `last_line` the last line of
    output after it, `tail` the last lines of the log as plain text, hostile as it came.
    """

    attempts: int = 0
    failed_step: str = ""
    last_line: str = ""
    has_output: bool = False
    tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the claim's holder learned last. Times are aware UTC by the bot's clock, except `quay_started`.

    `wanted_because` says why it is built, where the forge was asked what changed; `is_checked`: the source has been
    looked at, as far as it can be. `unaccepted_since` runs while Quay has not accepted the build; `ran` is the time
    since first acceptance that counts towards the build's timeout (not behind another active build), as of
    `observed_at`; `idle_since` is since when Quay says `waiting` although nothing of the repository runs. `ended` names
    Quay's builds of earlier attempts that are over. `due` is the earliest time for the next call. `is_held`:
    what a build waits for is the bot's own doing (quiet, an older build, a cap), so that `unaccepted_since` does not
    run. `line` and `place` (1: next) say where it stands in line.
    """

    phase: BuildPhase = BuildPhase.PLANNED
    wanted_because: str = ""
    is_checked: bool = False
    because: str = ""
    attempt: int = 0
    asked_at: datetime | None = None
    looked_at: datetime | None = None
    unaccepted_since: datetime | None = None
    is_held: bool = False
    line: WaitingLine | None = None
    place: int = 0
    quay_id: str | None = None
    quay_phase: str = ""
    quay_phase_since: datetime | None = None
    quay_started: datetime | None = None
    quay_attempt: int = 1
    accepted_at: datetime | None = None
    observed_at: datetime | None = None
    ran: timedelta = timedelta()
    behind: bool = False
    ahead: int = 0
    building_since: datetime | None = None
    idle_since: datetime | None = None
    expired_since: datetime | None = None
    wrong_tags: str = ""
    delete: Delete | None = None
    ended: tuple[str, ...] = ()
    vanished: int = 0
    failures: int = 0
    silent_since: datetime | None = None
    log: LogDigest | None = None
    log_failures: int = 0
    due: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """One build request of one push, with an id that cannot be guessed and its place in the order of pushes (`seq`).

    `position` is the place of its push in the history of the ref; `warning` is what its status should say besides.
    """

    id: BuildId
    seq: int
    source: Source
    ref: str
    commit: str | None
    tag_object: str | None
    request: BuildRequest
    created_at: datetime
    goal: Goal = field(default_factory=Goal)
    seen: Seen = field(default_factory=Seen)
    message: str | None = None
    pusher: str | None = None
    compare_url: str | None = None
    delivery: str | None = None
    rebuild_of: BuildId | None = None
    position: float = 0.0
    warning: str = ""

    @property
    def is_swept(self) -> bool:
        """Found by the sweep: no delivery told of its push."""
        return (self.delivery or "").startswith(f"{SWEEP}:")

    @property
    def is_final(self) -> bool:
        return self.seen.phase.is_final

    @property
    def kind(self) -> RefKind:
        return kind_of(self.ref)

    @property
    def ref_name(self) -> str:
        return name_of(self.ref)

    @property
    def mark(self) -> str:
        """The mark of the attempt asked last: what finds it again in Quay's list after a lost answer."""
        return mark_of(self.id, self.seen.attempt)


def mark_of(build: BuildId, attempt: int) -> str:
    """`<build id>.<attempt>`: travels in the archive URL's fragment, which no HTTP client sends to the forge."""
    return f"{build}.{attempt}"


def read_mark(archive_url: str | None) -> tuple[BuildId, int] | None:
    """The (build id, attempt) that an archive URL carries in its fragment, or None if it is not a mark."""
    fragment = (archive_url or "").partition("#")[2]
    build, dot, attempt = fragment.rpartition(".")
    is_number = attempt.isascii() and attempt.isdigit() and len(attempt) <= ATTEMPT_DIGITS
    if not dot or not build or not is_number:
        return None
    return BuildId(build), int(attempt)
