"""How unkind one run of the simulation is, drawn from its seed: chances, limits, rules, courses of builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from buildbot.domain.lifecycle import Limits
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.domain.rule import Rule, Supersede
from buildbot.sandbox.quay_builds import Build as QuayBuild
from buildbot.sandbox.quay_courses import COURSES, PHASE, Attempt, Course, Step, slow
from buildbot.sandbox.quay_faults import Fault

SETTLE, REQUEST_TIMEOUT, LEASE = 30.0, 20.0, 10.0
LONGEST_STALL = 30.0
"""A process that stands still for less than lease and settle time together cannot send what nobody expects any more."""

CLAIMS, STATUSES = "claims", "commit_statuses WHERE stopped IS NULL"
"""What each of the two loops finds its work in."""

REQUEST, CANCEL = "requestRepoBuild", "cancelRepoBuild"
_WRITES = frozenset({REQUEST, CANCEL})


@dataclass(frozen=True)
class Sabotage:
    """What is taken from the engine, to show that the simulation would notice."""

    forgets_intent: bool = False
    hides_holders: bool = False
    never_settles: bool = False
    ignores_fencing: bool = False
    drops_strays: bool = False
    forgets_wakes: bool = False
    trusts_stale_posts: bool = False
    ignores_caps: bool = False


@dataclass(frozen=True)
class Mood:
    """How unkind this run is: chances for each call or boundary. `chaos_ends` in seconds: then all goes well."""

    crash: float
    stall: float
    lost: float
    refused: float
    unsent: float
    disk: float
    outage: float
    forge: float
    processes: int
    late_beyond_settle: bool
    tells_push_times: bool
    is_slow_to_show_commits: bool
    chaos_ends: float
    limits: Limits
    caps: Caps = ANY_NUMBER
    quay_takes: int | None = None
    quiet_period: timedelta = timedelta()


@dataclass(frozen=True)
class Mishap:
    """One fault of the sandbox's Quay to be felt by the next call."""

    fault: Fault
    seconds: float = 0.0
    times: int = 1


def draw_mood(rng: Random) -> Mood:
    """The mood of a run."""
    limits = Limits(
        poll_interval=timedelta(seconds=rng.choice([5, 15])),
        expired_grace=timedelta(minutes=rng.choice([3, 10])),
        waiting_timeout=timedelta(minutes=rng.choice([3, 10])),
        build_timeout=timedelta(minutes=rng.choice([10, 180])),
        give_up_after=timedelta(minutes=rng.choice([30, 1440, 1440])),
    )
    is_late = rng.random() < 0.15
    return Mood(
        crash=rng.choice([0, 0, 0.01, 0.05]),
        stall=rng.choice([0, 0, 0.01, 0.1]),
        lost=0.5 if is_late else rng.choice([0, 0.05, 0.3]),
        refused=rng.choice([0, 0.05]),
        unsent=rng.choice([0, 0.05, 0.3]),
        disk=rng.choice([0, 0, 0.02]),
        outage=rng.choice([0, 0, 0.005]),
        forge=rng.choice([0, 0.1, 0.4]),
        processes=rng.choice([1, 2]),
        late_beyond_settle=is_late,
        tells_push_times=rng.random() < 0.8,
        is_slow_to_show_commits=rng.random() < 0.3,
        chaos_ends=rng.choice([1800.0, 5400.0]),
        limits=limits,
    )


def with_order(rng: Random, mood: Mood) -> Mood:
    """The mood of a run in which builds may have to wait before they are asked for; drawn apart, so that a seed stays
    what it was."""
    return replace(
        mood,
        caps=rng.choice([Caps(), Caps(), Caps(1), Caps(2), Caps(0, 1), Caps(2, 1)]),
        quay_takes=rng.choice([None, None, None, 1, 2]),
        quiet_period=timedelta(seconds=rng.choice([0, 0, 10, 120])),
    )


def mood_that_shows(sabotage: Sabotage, mood: Mood) -> Mood:
    """The mood, in which what was taken away would be missed soon."""
    if sabotage.drops_strays:
        return replace(mood, late_beyond_settle=True, lost=0.5, refused=0.8)
    if sabotage.ignores_caps:
        return replace(mood, caps=Caps(1))
    if sabotage.ignores_fencing:
        return replace(mood, stall=0.1, processes=2)
    return mood


def draw_rules(rng: Random, mood: Mood) -> tuple[Rule, ...]:
    """The rules of a run: one for everything, and some that share its image tags, its ref or its repository."""
    api = Rule(
        name="api",
        forge="github",
        source="acme/api",
        registry="quay",
        repository="acme/api",
        branches=("**",),
        tags=("**",),
        image_tags=("{ref}", "sha-{short_sha}"),
        supersede=rng.choice([None, None, Supersede.QUEUED, Supersede.KEEP]),
        quiet_period=mood.quiet_period,
    )
    latest = replace(api, name="edge", image_tags=("latest",), tags=(), supersede=rng.choice([None, Supersede.QUEUED]))
    rival = replace(api, name="rival", image_tags=("{ref}", "rival"))
    docs = replace(api, name="docs", repository="acme/docs", paths=("docs/**",), timeout=timedelta(minutes=20))
    return (api, *(rule for rule in (latest, rival, docs) if rng.random() < 0.4))


def draw_course(rng: Random, build: QuayBuild) -> Course:
    """What becomes of a build at Quay."""
    roll = rng.random()
    if roll < 0.01:
        return COURSES["hang"]
    if roll < 0.05:
        return COURSES["stuck-waiting"]
    if roll < 0.10:
        return _dies_pushing(build.tags)
    if roll < 0.45:
        return COURSES[rng.choice(["fail-build", "seterror", "no-archive", "transient-expired"])]
    if roll < 0.60:
        return COURSES[rng.choice(["third-attempt-succeeds", "second-attempt-succeeds"])]
    return slow(rng.choice([2.4, 20.0, 120.0, 400.0]))


def _dies_pushing(tags: Sequence[str]) -> Course:
    unpacking = COURSES["no-archive"].attempts[0].steps
    pushed = Step(6.0, f"{tags[0]}: digest: sha256:0 size: 1", writes_tag=tags[0])
    dies = Attempt((*unpacking, Step(3.0, "building", PHASE), Step(5.0, "pushing", PHASE), pushed), silent_at=6.5)
    return Course("dies-pushing", (dies, COURSES["success"].attempts[0]))


def draw_mishap(rng: Random, mood: Mood, operation: str) -> Mishap | None:
    """What goes wrong with a call, if anything."""
    roll = rng.random()
    if roll < mood.unsent / 2:
        kinds = [Fault.DOWN, Fault.NGINX_429, *([Fault.READ_ONLY] * 2 if operation in _WRITES else [])]
        return Mishap(rng.choice([*kinds, *([Fault.QUEUE_FULL] * 2 if operation == REQUEST else [])]))
    if roll > 1 - mood.lost:
        return _draw_loss(rng, mood)
    if operation == REQUEST and rng.random() < 0.03:
        return Mishap(Fault.REWRITE_TAGS)
    return None


def _draw_loss(rng: Random, mood: Mood) -> Mishap:
    match rng.randrange(5):
        case 0:
            return Mishap(Fault.LOSE_ANSWER, times=rng.choice([1, 3]))
        case 1:
            return Mishap(rng.choice([Fault.LOSE_REQUEST, Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.NONSENSE]))
        case 2:
            return Mishap(Fault.SLOW, rng.choice([5.0, REQUEST_TIMEOUT + 5]))
        case _:
            slowest = SETTLE * (4 if mood.late_beyond_settle else 0.9)
            return Mishap(Fault.LATE, rng.uniform(0, slowest))
