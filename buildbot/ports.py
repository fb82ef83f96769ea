"""The contracts between the engine and what it drives: a registry that builds, a forge that shows statuses, a store.

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

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from buildbot.domain.build import Build, BuildId, BuildPhase, BuildRequest, Goal
from buildbot.domain.decision import Decision, Standing, Verdict
from buildbot.domain.lifecycle import InLine
from buildbot.domain.log import LogEntry
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source
from buildbot.domain.status import CommitStatus, Posted


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

    def archive(self, source: Source, commit: str) -> Archive:
        """Where a builder would fetch a repository's source, as every delivery of it would say."""


class BadSignature(Exception):
    """The delivery is unsigned, signed too weakly, or signed with none of our secrets."""


class Verifier(Protocol):
    """A signature check in progress: constant memory whatever the body's size."""

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes of the body."""

    def check(self) -> None:
        """Raise BadSignature unless one of the secrets made the signature; compares in constant time."""


@dataclass(frozen=True, slots=True)
class StatusTarget:
    """Where a commit status goes. `ref` is the full ref that was pushed; some forges want to be told."""

    full_name: str
    sha: str
    ref: str
    context: str


class Forge(Protocol):
    """What the engine asks of a forge, by the repository's full name. All raise `CallError`s."""

    async def credential(self, full_name: str) -> str:
        """A stable name for whose write budget a status of this repository spends ("user:ci-bot", "installation:42",
        or "token:github.com" for the one token that there is).

        Never the token itself. Where the forge has to be asked, it is asked once.
        """

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status. `Vanished`: the commit is not there (yet). `Refused`: never will be."""

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that an annotated tag object finally points to."""

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a branch or tag ref right now."""

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now: id, spelled name, default branch, whether it is private."""

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits, sorted; None when the forge cannot tell them all."""

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file is there at a commit. `Vanished`: the commit is not."""

    async def read_file(self, full_name: str, sha: str, path: str) -> bytes | None:
        """What a small file (up to a megabyte) holds at a commit; None where there is no such file. `Vanished`: the
        commit is not there."""

    async def gitlink(self, full_name: str, sha: str, path: str) -> str | None:
        """The commit of the submodule that a commit's tree has at a path; None where the tree has none there.

        `Vanished`: the commit is not there. `Refused`: this kind of forge does not tell.
        """

    async def root_names(self, full_name: str, sha: str) -> frozenset[str] | None:
        """What is at the root of a commit's tree, by which to tell whether its archive has a top directory around it;
        None, and no question, where it always has one. `Vanished`: the commit is not there."""

    def archive(self, full_name: str, sha: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The source at a commit as a tar.gz, in pieces as they come, with the bot's credential. It has one top
        directory, unless `root_names` says that it may not."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A source repository as the forge describes it today."""

    id: str
    full_name: str
    private: bool
    default_branch: str
    html_url: str


# ── what a forge is asked for when nothing has come ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListedRef:
    """A branch or tag as a forge lists it. `sha` is what its push tells as `after`: of an annotated tag the tag's
    object; `commit` is then None where the list does not tell the commit behind it."""

    name: str
    sha: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class RefList:
    """All branches or tags of a repository. `etag` stands for them when they are asked for again (None: cannot);
    not `is_whole`: there are more than may be read."""

    refs: tuple[ListedRef, ...]
    etag: str | None = None
    is_whole: bool = True


class RefReader(Protocol):
    """What a forge is asked when pushes may have been missed. All raise `CallError`s."""

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now."""

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that an annotated tag object finally points to."""


@dataclass(frozen=True, slots=True)
class HookLog:
    """The log of a webhook's deliveries: its place in the forge's API, and whose credential reads it ("": the App)."""

    place: str
    full_name: str


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One attempt at delivering a push. `guid` is the delivery id that the webhook's headers name; `told` says in the
    forge's words how it ended."""

    id: str
    guid: str
    is_delivered: bool
    told: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """What a log tells of pushes, the newest first, down to where it was read before; `mark` says where for the next
    time. `is_whole` is False where there was more than may be read at once.
    """

    attempts: tuple[LoggedAttempt, ...]
    mark: str | None
    is_whole: bool = True


class DeliveryLog(Protocol):
    """What a forge offers that keeps a log of deliveries and sends one again when asked. All raise `CallError`s.

    `resends_at_once`: how many it may be asked for together.
    """

    @property
    def resends_at_once(self) -> int:
        """How many deliveries it may be asked for at one look."""

    def owners(self, full_names: Sequence[str]) -> tuple[str, ...]:
        """Everything that may have a webhook for those repositories: themselves, their organisations, the App ("")."""

    async def hooks(self, owner: str, url: str) -> tuple[HookLog, ...]:
        """The webhooks of a repository, organisation or App that lead to `url`. `Refused` and `Vanished`: the
        credential may not list them."""

    async def attempts(self, hook: HookLog, mark: str | None) -> LogPage:
        """The log since `mark`, or as far back as the forge keeps it."""

    async def redeliver(self, hook: HookLog, attempt: str) -> None:
        """Ask for a delivery once more. `Refused` and `Vanished`: it never will be sent."""


@dataclass(frozen=True, slots=True)
class NotOffered:
    """The forge has no such thing; `reason` is one clause for people."""

    reason: str


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────


class StoreUnavailable(Exception):
    """The database did not take a write (disk full, locked, away). Nothing of it was recorded, unless the database was
    lost in the very moment of the commit: then all of it or nothing. Asking again is safe for everything but what a
    person asks for (`rebuild`, `commission`), who is told to look first."""


class ClaimLost(Exception):
    """Another instance has taken the repository over: what this one knows is stale, nothing was saved."""


class NoSuchBuild(Exception):
    """No build has this id; `str()` says so."""


class NoSuchDelivery(Exception):
    """No delivery has this id; `str()` says so."""


class NotPossible(Exception):
    """What a person asked for cannot be done; `str()` says why."""


Judge = Callable[[PushEvent, Standing], Verdict]
Wording = Callable[[Build], CommitStatus]


@dataclass(frozen=True, slots=True)
class Recording:
    """One delivery to be written down: who sent it, what was read in it, how to judge it, how to word a status.

    `judge` and `wording` are pure: the store calls them inside its transaction, with what stands there.
    """

    forge: str
    guid: str
    event: str
    received_at: datetime
    reading: tuple[PushEvent, ...] | Ignored
    judge: Judge
    wording: Wording


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was made of a delivery; `builds` are those that it planned or cancelled."""

    decision: Decision
    reason: str
    builds: tuple[Build, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """A build at the registry that carries a mark of ours and that no row follows: the late effect of a lost call."""

    quay_id: str
    build: BuildId
    image_tags: tuple[str, ...]
    phase: str
    found_at: datetime
    is_cancelled: bool = False
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One repository of a registry with all its unfinished builds (oldest first), leased to one instance.

    Only `claim_repositories` and `refresh` make one, every save shows it: `token` fences off an instance whose lease
    has run out.
    `is_taken_over`: another process held the repository last, so nothing that this one remembers about it counts.
    `typical` is how long builds of the repository usually run.
    """

    registry: str
    repository: str
    token: int
    wakes: int
    builds: tuple[Build, ...]
    strays: tuple[Stray, ...] = ()
    is_taken_over: bool = True
    typical: timedelta | None = None


@dataclass(frozen=True, slots=True)
class BuildChange:
    """A build with what was learned of it. `status` is what it wants now; `is_news`: worth asking whether to post it.

    `claims_status`: from now on there is a status that it may own. `is_admitted`: it has turned out to be wanted, so
    that it replaces what is older. `was` is the phase that was saved last: from PLANNED to REQUESTING, the change asks
    for a place in flight.
    """

    build: Build
    status: CommitStatus
    is_news: bool
    steps: tuple[str, ...] = ()
    claims_status: bool = False
    is_admitted: bool = False
    was: BuildPhase | None = None


@dataclass(frozen=True, slots=True)
class DueStatus:
    """A commit status that may be worth a call, leased to one instance by `token`."""

    id: int
    token: int
    version: int
    forge: str
    full_name: str
    sha: str
    ref: str
    context: str
    owner: BuildId
    wanted: CommitStatus
    wanted_at: datetime
    posted: Posted | None
    failures: int
    failing_since: datetime | None

    @property
    def target(self) -> StatusTarget:
        """Where it goes."""
        return StatusTarget(self.full_name, self.sha, self.ref, self.context)


@dataclass(frozen=True, slots=True)
class StatusProgress:
    """What became of a due status: sent (`posted`), to be looked at again (`due`), or given up (`stopped`, why).

    `delayed` says why it could not be sent yet, for people.
    """

    posted: Posted | None
    due: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    stopped: str | None = None
    delayed: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a build's history."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One commit status as it stands: what is wanted, what was last sent, why it was given up or is not sent yet."""

    context: str
    sha: str
    wanted: CommitStatus
    posted: Posted | None
    stopped: str | None
    delayed: str = ""


@dataclass(frozen=True, slots=True)
class BuildStory:
    """A build with everything a person may ask about it."""

    build: Build
    steps: tuple[Step, ...]
    status: StatusReport | None


@dataclass(frozen=True, slots=True)
class BuildFilter:
    """Which builds to list; None is "any". Newest first."""

    limit: int = 50
    source: str | None = None
    rule: str | None = None
    ref: str | None = None
    phase: str | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None is "any". Newest first. `failed`: the last build that a rule made of it ended
    badly, or a status of it was given up."""

    limit: int = 50
    forge: str | None = None
    decision: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """A delivery with everything a person may ask about it, and the builds it has led to, also by being replayed.

    `number` is the bot's own, `guid` the forge's name for it. `pushes` is what was read in it; None where an earlier
    release wrote down too little of them. `stopped` says of builds why their status was given up.
    """

    number: int
    forge: str
    guid: str
    event: str
    received_at: datetime
    pushes: tuple[PushEvent, ...] | None
    decision: str
    reason: str
    rules: tuple[tuple[str, str], ...]
    repeats: int
    builds: tuple[Build, ...] = ()
    stopped: Mapping[BuildId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replaying:
    """How to judge a delivery again: `judge` by all rules but the named ones, how to word statuses, and who asks."""

    judge: Callable[[PushEvent, Standing, Collection[str]], Verdict]
    wording: Wording
    by: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay led to: new builds, and for each rule what became of it."""

    builds: tuple[Build, ...] = ()
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Commission:
    """A build that a person asks for, without a push: of which source, ref and commit, by whom."""

    source: Source
    ref: str
    commit: str
    request: BuildRequest
    by: str


class Store(Protocol):
    """What survives. Every method is one transaction, durable when it returns; all raise StoreUnavailable."""

    async def record(self, recording: Recording) -> Recorded:
        """Write a delivery down with everything it leads to. The same delivery again changes nothing."""

    async def claim_repositories(
        self, owner: str, now: datetime, lease: timedelta, limit: int, room: Mapping[str, int] | None = None
    ) -> tuple[Claim, ...]:
        """Take repositories that are due and that nobody holds, the longest due first: as many of each registry as
        `room` says, and at most `limit` of all those that it does not name."""

    async def save(
        self, claim: Claim, changes: Sequence[BuildChange], now: datetime, caps: Caps = ANY_NUMBER
    ) -> Mapping[BuildId, InLine]:
        """Write down what was learned of builds, with the statuses they want. Raises ClaimLost.

        Of changes that ask for a place, those that find none under the caps, or behind a namespace whose queue is full,
        are not written; they, and whoever was refused by a full queue, are answered with where they stand in line.
        Whoever may be asked for next when a place has become free is due at once.
        """

    async def save_strays(self, claim: Claim, strays: Sequence[Stray]) -> None:
        """Write down what is known of strays. Raises ClaimLost."""

    async def release(self, claim: Claim, due: datetime | None, typical: timedelta | None = None) -> None:
        """Give the repository back, to be looked at again at `due` (None: when something is recorded for it)."""

    async def refresh(self, claim: Claim) -> Claim:
        """The same claim with the repository's unfinished builds and strays as they are by now, and no longer taken
        over: what was recorded meanwhile can go on with the rest. Raises ClaimLost."""

    async def renew(self, held: Collection[Claim], now: datetime, lease: timedelta) -> None:
        """Lengthen the leases of claims that are still being worked on. One that is not among them runs out: its
        holder never learned that it has it, or could not give it back."""

    async def give_up_claims(self, owner: str) -> None:
        """Give every repository back that this instance holds, due as it was: it is about to stop."""

    async def followed(self, builds: Collection[BuildId]) -> Mapping[BuildId, frozenset[str]]:
        """For those of the ids that are known: every build at the registry that the row follows or has followed, and
        every stray of it that is over, or was waited for in vain."""

    async def claim_statuses(
        self, now: datetime, lease: timedelta, limit: int, in_hand: Collection[int] = ()
    ) -> tuple[DueStatus, ...]:
        """Take statuses that are due, finals first, but none of those that the caller has in hand."""

    async def renew_statuses(self, held: Collection[DueStatus], now: datetime, lease: timedelta) -> None:
        """Lengthen the leases of statuses that are still being posted."""

    async def save_status(self, status: DueStatus, progress: StatusProgress) -> None:
        """Write down what became of a due status; a newer wish than the one it was leased with stays due."""

    async def hurry(self, registries: Collection[str], forges: Collection[str], now: datetime) -> None:
        """Make due now whatever waits for one of these registries or forges, since it can be reached otherwise from
        now on or is gone. Work under way does not put it off again."""

    async def list_builds(self, which: BuildFilter) -> tuple[Build, ...]:
        """Builds, newest first."""

    async def story(self, build: BuildId) -> BuildStory:
        """One build with its history. Raises NoSuchBuild."""

    async def cancel(self, build: BuildId, goal: Goal, now: datetime) -> Build:
        """Ask for a build to be cancelled. Raises NoSuchBuild, NotPossible when it has ended."""

    async def rebuild(self, build: BuildId, now: datetime, wording: Wording, *, move_tags: bool) -> Rebuilt:
        """The same request as a new build, last in the order. Raises NoSuchBuild, NotPossible."""

    async def commission(self, commission: Commission, now: datetime, wording: Wording) -> Build:
        """A build without a push."""

    async def list_deliveries(self, which: DeliveryFilter) -> tuple[DeliveryStory, ...]:
        """Deliveries, newest first."""

    async def delivery(self, name: str) -> DeliveryStory:
        """One delivery, by its number or the forge's id. Raises NoSuchDelivery."""

    async def replay(self, name: str, replaying: Replaying, now: datetime) -> Replayed:
        """Judge a delivery again by the rules of today, at its own place in the history. Raises NoSuchDelivery,
        NotPossible when it told of nothing that could be built."""

    async def counts(self) -> Counts:
        """How much is under way, for the metrics."""

    async def prune(self, before: datetime) -> int:
        """Forget builds that ended before this, with all that hangs on them; how many."""

    async def ping(self) -> None:
        """Prove that the store takes writes."""

    async def shared_key(self, name: str) -> bytes:
        """A random key that every instance shares, made when first asked for."""

    async def note(self, build: BuildId, what: str, now: datetime) -> None:
        """Add a line to a build's history."""

    async def attend(self, instance: str, now: datetime, patience: timedelta) -> int:
        """Say that an instance is there; how many are, not counting those that were not seen for so long."""

    async def leave(self, instance: str) -> None:
        """Say that an instance is about to be gone."""

    async def listen(self, on_news: Callable[[], None]) -> None:
        """Call `on_news` whenever any instance or command may have recorded something to do, until cancelled.

        Returns at once where the database cannot tell. Raises StoreUnavailable when it does not tell any more.
        """


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuild, and the image tags that newer builds have claimed since and that it leaves alone."""

    build: Build
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Unfinished builds by phase, statuses not yet delivered, and how long the oldest unfinished build has waited."""

    builds: Mapping[str, int]
    statuses: int
    oldest_seconds: float


# ── rounds: what goes and looks for pushes that never arrived ────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Turn:
    """A round that is this instance's to go until its lease ends. Only `begin_round` makes one, every save shows it."""

    name: str
    token: int


@dataclass(frozen=True, slots=True)
class Watched:
    """One subject of a round (a repository, a log): when it was looked at, and when it is to be again.

    `note` is what people should know and need not mend, `trouble` why the last look failed; "" where there is none.
    """

    subject: str
    looked_at: datetime
    due: datetime
    note: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """What came of a turn: how many subjects were looked at, what was found, in words, when the next turn is due."""

    due: datetime
    looked: int
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundReport:
    """How a round stands. `looked` counts the last turn's subjects, `found` everything since ever."""

    name: str
    started_at: datetime | None
    finished_at: datetime | None
    looked: int
    found: int
    found_at: datetime | None
    found_what: str
    notes: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


class RoundStore(Protocol):
    """What rounds ask of the store. Every method is one transaction; all raise StoreUnavailable."""

    async def begin_round(
        self, name: str, owner: str, now: datetime, lease: timedelta, *, at_once: bool = False
    ) -> Turn | None:
        """Take a round's turn if it is due (or `at_once`) and no instance has it; None otherwise."""

    async def renew_round(self, turn: Turn, until: datetime) -> None:
        """Lengthen the lease of a turn. Raises ClaimLost."""

    async def finish_round(self, turn: Turn, progress: RoundProgress, now: datetime) -> None:
        """Give a turn back. Raises ClaimLost."""

    async def save_watched(self, turn: Turn, seen: Watched, state: str) -> None:
        """Remember what was seen of a subject; `state` is the round's own. Raises ClaimLost."""

    async def watched(self, name: str) -> tuple[Watched, ...]:
        """Every subject that a round has looked at."""

    async def watched_state(self, name: str, subject: str) -> str | None:
        """What a round remembers of a subject; None for one that it has never looked at."""

    async def round_reports(self) -> tuple[RoundReport, ...]:
        """How every round stands, by name."""

    async def recorded_deliveries(self, forge: str, guids: Sequence[str]) -> frozenset[str]:
        """Those of the delivery ids that have been recorded."""

    async def recorded_heads(self, forge: str, repository_id: str) -> Mapping[str, str | None]:
        """What each ref of a repository points to by what was recorded; None for one that was deleted."""
