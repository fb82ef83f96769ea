"""The lifecycle by table: every phase under every goal, every outcome, every limit on both sides of its border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from buildbot.domain.build import (
    FINAL_PHASES,
    Build,
    BuildPhase,
    CancelReason,
    Comparison,
    Delete,
    DeleteState,
    Goal,
    GoalKind,
    LogDigest,
    Seen,
    WaitingLine,
)
from buildbot.domain.lifecycle import (
    CANCELLABLE,
    RETRYING,
    TRANSITIONS,
    WORKING,
    Absent,
    Accepted,
    Action,
    Blocked,
    CancelBuild,
    CancelDone,
    CheckSource,
    CommitKnown,
    ComparePaths,
    Drop,
    Failed,
    Failure,
    FindBuild,
    GiveUp,
    Hold,
    Holder,
    InLine,
    Limits,
    Outcome,
    PathsCompared,
    PhaseRead,
    PollBuild,
    QueueFull,
    Quiet,
    RequestBuild,
    ResolveCommit,
    Rest,
    Scene,
    SourceChecked,
    Wait,
    begin,
    cancelled_in_words,
    decide,
    diagram,
    end,
    evolve,
    in_words,
    overlap,
    reason_in_log,
)
from tests.domain.builds import (
    NOW,
    QUEUED_ONLY,
    REQUEST,
    SUPERSEDED,
    a_build,
    accepted,
    ago,
    in_,
    planned,
    requesting,
)

P = BuildPhase
LIMITS = Limits()
SCENE = Scene(NOW, LIMITS)
SETTLED = Scene(NOW, LIMITS, settled=True)
OLDER = Holder(("main",), "build b0")
HELD = Scene(NOW, LIMITS, (OLDER,))
CANCEL = CancelBuild(CancelReason.SUPERSEDED, "9f8e7d6")
TIMED_OUT = CancelBuild(CancelReason.TIMED_OUT, "3 h")
STARVED = CancelBuild(CancelReason.STARVED, "10 m")
UNCANCELLABLE = ("pushing", "internalerror", "expired", "cannot_load", "checking-cache")
GOALS = (Goal(), SUPERSEDED, QUEUED_ONLY)
OUTPUT = LogDigest(attempts=3, failed_step="3/7: RUN make", last_line="make: *** [all] Error 2", has_output=True)
SILENT_LOG = LogDigest(attempts=3)


def sent(reason: CancelReason = CancelReason.SUPERSEDED, detail: str = "9f8e7d6", **changes: object) -> Delete:
    delete = Delete(reason, detail, ago(seconds=30))
    return replace(delete, **changes)  # type: ignore[arg-type]  # the names are checked when it runs


# ── decide: planned ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seen", "scene", "action"),
    [
        (planned(), SCENE, RequestBuild()),
        (planned(), HELD, Hold(OLDER)),
        (planned(), Scene(NOW, LIMITS, (Holder(("dev",), "build b0"),)), RequestBuild()),
        (planned(due=in_(seconds=1)), SCENE, Wait(in_(seconds=1))),
        (planned(due=NOW), SCENE, RequestBuild()),
        (planned(attempt=1), SCENE, FindBuild()),
        (planned(attempt=1), HELD, Hold(OLDER)),
        (planned(attempt=1, looked_at=ago(seconds=5)), SCENE, RequestBuild()),
        (planned(attempt=1, looked_at=ago(seconds=6)), SCENE, FindBuild()),
    ],
)
def test_a_planned_build_is_asked_for_once_nothing_stands_in_its_way(seen: Seen, scene: Scene, action: Action) -> None:
    assert decide(a_build(seen), scene) == action


@pytest.mark.parametrize("scene", [SCENE, HELD])
def test_a_tag_whose_commit_is_unknown_is_resolved_first(scene: Scene) -> None:
    assert decide(replace(a_build(), commit=None), scene) == ResolveCommit()


@pytest.mark.parametrize("goal", [SUPERSEDED, QUEUED_ONLY])
@pytest.mark.parametrize("seen", [planned(), planned(attempt=2), planned(due=in_(hours=1)), planned(ran=timedelta(9))])
def test_a_planned_build_that_is_not_wanted_is_dropped_without_a_call(goal: Goal, seen: Seen) -> None:
    assert decide(a_build(seen, goal=goal), HELD) == Drop(CancelReason.SUPERSEDED, "9f8e7d6")


def test_a_planned_build_is_given_up_at_give_up_after_counted_from_its_creation() -> None:
    build = replace(a_build(planned(because="503: read-only")), created_at=ago(hours=24))
    assert decide(build, SCENE) == GiveUp("Quay did not take the build for 24 h: 503: read-only")
    assert decide(replace(build, created_at=ago(hours=23.9)), SCENE) == RequestBuild()


def test_a_build_that_just_waited_for_its_tag_starts_its_patience_anew() -> None:
    build = replace(a_build(planned(unaccepted_since=ago(minutes=1))), created_at=ago(hours=30))
    assert decide(build, SCENE) == RequestBuild()


def test_a_commit_that_the_forge_never_tells_is_not_blamed_on_quay() -> None:
    build = replace(a_build(planned(because="502")), commit=None, created_at=ago(hours=24))
    assert decide(build, SCENE) == GiveUp("the forge did not tell the tag's commit for 24 h: 502")


def test_a_push_recorded_just_before_the_bot_was_away_for_days_is_built_all_the_same() -> None:
    assert decide(replace(a_build(), created_at=ago(hours=72)), SCENE) == RequestBuild()


def test_a_build_that_used_up_its_time_in_the_queue_is_not_asked_for_again() -> None:
    assert decide(a_build(planned(ran=timedelta(hours=3))), SCENE) == GiveUp("timed out after 3 h in Quay's queue")


# ── decide: requesting ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize(
    ("seen", "scene", "action"),
    [
        (requesting(), SCENE, Wait(None)),
        (requesting(due=in_(hours=1)), SCENE, Wait(None)),
        (requesting(), SETTLED, FindBuild()),
        (requesting(due=NOW), SETTLED, FindBuild()),
        (requesting(due=in_(seconds=9)), SETTLED, Wait(in_(seconds=9))),
        (
            requesting(unaccepted_since=ago(hours=24), because="no answer"),
            SETTLED,
            GiveUp("Quay never said whether it took the build for 24 h: no answer"),
        ),
    ],
)
def test_a_build_in_doubt_is_looked_for_once_quay_settled_whatever_is_wanted(
    goal: Goal, seen: Seen, scene: Scene, action: Action
) -> None:
    assert decide(a_build(seen, goal=goal), scene) == action


# ── decide: accepted ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("phase", [*sorted(CANCELLABLE), *UNCANCELLABLE])
def test_an_accepted_build_that_is_wanted_is_polled_when_due(phase: str) -> None:
    assert decide(a_build(accepted(phase, due=NOW)), SCENE) == PollBuild()
    assert decide(a_build(accepted(phase, due=in_(seconds=5))), SCENE) == Wait(in_(seconds=5))


@pytest.mark.parametrize("phase", sorted(CANCELLABLE))
def test_a_cancel_goes_out_at_once_where_it_ends_the_build_for_good(phase: str) -> None:
    assert decide(a_build(accepted(phase, due=in_(seconds=5)), goal=SUPERSEDED), SCENE) == CANCEL


@pytest.mark.parametrize("phase", sorted(CANCELLABLE))
def test_a_cancel_is_preceded_by_a_read_when_the_last_one_is_old(phase: str) -> None:
    old = accepted(phase, due=in_(seconds=5), observed_at=ago(seconds=6))
    assert decide(a_build(old, goal=SUPERSEDED), SCENE) == PollBuild()


@pytest.mark.parametrize("phase", UNCANCELLABLE)
def test_no_cancel_goes_out_where_quay_would_refuse_it_and_destroy_the_queue_item(phase: str) -> None:
    assert decide(a_build(accepted(phase, due=NOW), goal=SUPERSEDED), SCENE) == PollBuild()
    assert decide(a_build(accepted(phase, due=in_(seconds=5)), goal=SUPERSEDED), SCENE) == Wait(in_(seconds=5))


@pytest.mark.parametrize(
    ("phase", "action"),
    [("waiting", CANCEL), *((phase, PollBuild()) for phase in sorted(CANCELLABLE - {"waiting"}))],
)
def test_a_build_superseded_only_while_queued_is_left_alone_once_it_builds(phase: str, action: Action) -> None:
    assert decide(a_build(accepted(phase), goal=QUEUED_ONLY), SCENE) == action


@pytest.mark.parametrize(
    ("delete", "action"),
    [
        (sent(), PollBuild()),
        (sent(read_since=True), CANCEL),
        (sent(state=DeleteState.UNANSWERED), PollBuild()),
        (sent(state=DeleteState.UNANSWERED, read_since=True), CANCEL),
        (sent(state=DeleteState.UNANSWERED, read_since=True, tries=2), PollBuild()),
        (sent(state=DeleteState.REFUSED), PollBuild()),
        (sent(state=DeleteState.REFUSED, read_since=True), PollBuild()),
    ],
)
def test_one_more_cancel_goes_out_only_if_the_first_was_never_answered_and_the_phase_was_read_since(
    delete: Delete, action: Action
) -> None:
    assert decide(a_build(accepted("building", delete=delete), goal=SUPERSEDED), SCENE) == action


@pytest.mark.parametrize("trouble", [{"failures": 1}, {"silent_since": ago(minutes=1)}])
def test_a_cancel_that_could_not_be_sent_waits_for_its_time(trouble: dict[str, object]) -> None:
    troubled = a_build(accepted("building", due=in_(seconds=8), **trouble), goal=SUPERSEDED)
    assert decide(troubled, SCENE) == Wait(in_(seconds=8))
    assert decide(troubled, replace(SCENE, now=in_(seconds=8))) == PollBuild()


def test_wrong_tags_are_cancelled_whatever_is_wanted() -> None:
    wrong = "Quay took latest instead of main"
    for goal in GOALS:
        build = a_build(accepted("waiting", wrong_tags=wrong, due=in_(seconds=5)), goal=goal)
        assert decide(build, SCENE) == CancelBuild(CancelReason.WRONG_TAGS, wrong)


# ── decide: limits ───────────────────────────────────────────────────────────────────────────────────────────────────

TIMEOUT = LIMITS.build_timeout
LATE = TIMEOUT + timedelta(minutes=10)
GAVE_UP = GiveUp("timed out after 3 h, and Quay did not let it be cancelled")


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        (accepted("building", ran=TIMEOUT - timedelta(seconds=1)), PollBuild()),
        (accepted("building", ran=TIMEOUT), TIMED_OUT),
        (accepted("waiting", ran=TIMEOUT), TIMED_OUT),
        (accepted("pushing", ran=TIMEOUT), PollBuild()),
        (accepted("pushing", ran=LATE), GAVE_UP),
        (accepted("building", ran=LATE), TIMED_OUT),
        (accepted("building", ran=LATE, failures=1), GAVE_UP),
        (accepted("building", ran=LATE, delete=sent(state=DeleteState.REFUSED)), GAVE_UP),
        (
            accepted(
                "building",
                ran=TIMEOUT,
                delete=Delete(CancelReason.TIMED_OUT, "3 h", ago(minutes=10), state=DeleteState.REFUSED),
            ),
            GAVE_UP,
        ),
        (
            accepted(
                "building",
                ran=TIMEOUT,
                delete=Delete(CancelReason.TIMED_OUT, "3 h", ago(minutes=9), state=DeleteState.REFUSED),
            ),
            PollBuild(),
        ),
        (accepted("waiting", idle_since=ago(minutes=10)), STARVED),
        (accepted("waiting", idle_since=ago(minutes=9.9)), PollBuild()),
        (accepted("waiting", idle_since=None, quay_phase_since=ago(hours=2)), PollBuild()),
        (accepted("building", silent_since=ago(hours=23.9), because="no answer"), PollBuild()),
        (
            accepted("building", silent_since=ago(hours=24), because="no answer"),
            GiveUp("Quay has not told the build's phase for 24 h: no answer"),
        ),
    ],
)
def test_every_limit_ends_a_build_on_its_border_and_not_before(seen: Seen, action: Action) -> None:
    assert decide(a_build(seen), SCENE) == action


def test_a_rule_may_set_its_own_timeout() -> None:
    build = a_build(accepted("building", ran=timedelta(minutes=20)))
    own = replace(build, request=replace(REQUEST, timeout=timedelta(minutes=20)))
    assert decide(own, SCENE) == CancelBuild(CancelReason.TIMED_OUT, "20 m")
    assert decide(build, SCENE) == PollBuild()


@pytest.mark.parametrize("phase", sorted(FINAL_PHASES))
@pytest.mark.parametrize("goal", GOALS)
def test_a_final_build_rests_whatever_is_wanted(phase: BuildPhase, goal: Goal) -> None:
    assert decide(a_build(Seen(phase=phase), goal=goal), SETTLED) == Rest()


# ── begin ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_written_down_as_the_next_attempt_with_a_mark_of_its_own() -> None:
    begun = begin(a_build(planned(attempt=1, looked_at=NOW, because="waits", due=NOW)), RequestBuild(), NOW)
    assert begun.seen == planned(phase=P.REQUESTING, attempt=2, asked_at=NOW)
    assert begun.mark == "b1.2"


def test_a_cancel_is_written_down_with_its_reason_before_it_is_sent() -> None:
    begun = begin(a_build(accepted("building", due=in_(seconds=9))), CANCEL, NOW)
    assert begun.seen.delete == Delete(CancelReason.SUPERSEDED, "9f8e7d6", NOW)
    assert begun.seen.due is None, "after a crash the phase is read at once"


def test_a_second_cancel_remembers_when_the_first_of_its_reason_went_out() -> None:
    first = a_build(accepted("building", delete=sent(state=DeleteState.UNANSWERED, read_since=True)))
    assert begin(first, CANCEL, NOW).seen.delete == sent(tries=2)
    other = begin(first, TIMED_OUT, NOW).seen.delete
    assert other == Delete(CancelReason.TIMED_OUT, "3 h", NOW, tries=2)


@pytest.mark.parametrize("action", [Rest(), Wait(None), Hold(OLDER), ResolveCommit(), FindBuild(), PollBuild()])
def test_what_has_no_effect_needs_no_intent(action: Action) -> None:
    build = a_build(accepted())
    assert begin(build, action, NOW) is build


# ── evolve: requests ─────────────────────────────────────────────────────────────────────────────────────────────────


def asked(**changes: object) -> Build:
    return begin(a_build(planned(**changes)), RequestBuild(), NOW)


def taken(phase: str = "waiting", tags: tuple[str, ...] = REQUEST.image_tags) -> Accepted:
    return Accepted("q1", NOW, tags, PhaseRead(phase))


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("waiting", P.WAITING),
        *((word, P.BUILDING) for word in sorted(WORKING)),
        ("internalerror", P.BUILDING),
        ("expired", P.BUILDING),
        ("complete", P.SUCCEEDED),
        ("cancelled", P.CANCELLED),
        ("cannot_load", P.WAITING),
        ("starting", P.WAITING),
    ],
)
@pytest.mark.parametrize("before", [planned(attempt=1), requesting()])
def test_an_accepted_build_stands_where_the_answer_says(before: Seen, word: str, phase: BuildPhase) -> None:
    after = evolve(a_build(before), FindBuild(), taken(word), SCENE)
    assert (after.seen.phase, after.seen.quay_id) == (phase, "q1")


def test_acceptance_starts_every_clock_of_the_attempt_anew_but_not_the_builds_own() -> None:
    earlier = {"ran": timedelta(hours=1), "accepted_at": ago(hours=2), "log": OUTPUT, "log_failures": 2}
    stale = {"expired_since": ago(hours=1), "idle_since": ago(hours=1), "behind": True, "quay_attempt": 3}
    after = evolve(asked(**earlier, **stale), RequestBuild(), taken(), SCENE).seen
    assert (after.ran, after.accepted_at) == (timedelta(hours=1), ago(hours=2))
    assert (after.log, after.log_failures, after.expired_since, after.idle_since) == (None, 0, None, NOW)
    assert (after.behind, after.quay_attempt, after.failures, after.unaccepted_since) == (False, 1, 0, None)


@pytest.mark.parametrize("tags", [("sha-1a2b3c4", "main"), ("main", "main", "sha-1a2b3c4")])
def test_tags_are_compared_as_sets(tags: tuple[str, ...]) -> None:
    assert evolve(asked(), RequestBuild(), taken(tags=tags), SCENE).seen.wrong_tags == ""


def test_other_tags_than_asked_lead_to_a_cancel_and_an_error() -> None:
    build = evolve(asked(), RequestBuild(), taken(tags=("latest",)), SCENE)
    action = decide(build, SCENE)
    assert action == CancelBuild(CancelReason.WRONG_TAGS, "Quay took latest instead of main, sha-1a2b3c4")
    after = evolve(begin(build, action, NOW), action, CancelDone(), SCENE)
    assert (after.seen.phase, after.seen.because) == (P.ERRORED, build.seen.wrong_tags)


def test_wrong_tags_that_were_pushed_before_the_cancel_are_an_error_too() -> None:
    build = a_build(accepted("pushing", wrong_tags="Quay took latest instead of main"))
    after = evolve(build, PollBuild(), PhaseRead("complete"), SCENE).seen
    assert after.phase is P.ERRORED
    assert after.because.startswith("Quay took latest instead of main, and pushed it")


@pytest.mark.parametrize("attempt", [0, 1, 4])
def test_a_request_that_was_never_sent_gives_its_attempt_back(attempt: int) -> None:
    after = evolve(asked(attempt=attempt), RequestBuild(), Failed(Failure.NOT_SENT, "503"), SCENE).seen
    assert (after.phase, after.attempt, after.because) == (P.PLANNED, attempt, "503")
    assert (after.failures, after.due) == (1, in_(seconds=1))


def test_a_request_without_an_answer_stays_in_doubt() -> None:
    after = evolve(asked(), RequestBuild(), Failed(Failure.UNANSWERED, "no answer"), SCENE).seen
    assert (after.phase, after.attempt, after.because) == (P.REQUESTING, 1, "no answer")


@pytest.mark.parametrize("kind", [Failure.REFUSED, Failure.VANISHED])
def test_a_refused_request_is_an_error_in_quays_words(kind: Failure) -> None:
    after = evolve(asked(), RequestBuild(), Failed(kind, "404: no such repository"), SCENE).seen
    assert (after.phase, after.because, after.finished_at) == (P.ERRORED, "404: no such repository", NOW)


def test_a_build_that_is_absent_after_a_crash_is_asked_for_at_once() -> None:
    after = evolve(a_build(requesting()), FindBuild(), Absent(), SETTLED)
    assert after.seen.phase is P.PLANNED
    assert decide(after, SCENE) == RequestBuild()


def test_a_request_lost_again_and_again_is_repeated_ever_more_slowly_and_never_without_a_look() -> None:
    after = evolve(a_build(requesting(failures=4)), FindBuild(), Absent(), SETTLED)
    assert decide(after, SCENE) == Wait(in_(seconds=8))
    then = replace(SCENE, now=in_(seconds=8))
    assert decide(after, then) == FindBuild()
    assert decide(evolve(after, FindBuild(), Absent(), then), then) == RequestBuild()


def test_a_retry_time_named_by_the_other_side_is_kept() -> None:
    named = Failed(Failure.NOT_SENT, "429", retry_at=in_(minutes=7))
    assert evolve(asked(), RequestBuild(), named, SCENE).seen.due == in_(minutes=7)


# ── evolve: blocked ──────────────────────────────────────────────────────────────────────────────────────────────────

BLOCKED = Blocked("Quay refuses the token", in_(minutes=1))


@pytest.mark.parametrize("attempt", [0, 2])
def test_a_blocked_request_is_as_if_it_had_never_been_begun(attempt: int) -> None:
    before = a_build(planned(attempt=attempt, failures=3))
    after = evolve(begin(before, RequestBuild(), NOW), RequestBuild(), BLOCKED, SCENE).seen
    assert (after.phase, after.attempt, after.failures) == (P.PLANNED, attempt, 3)
    assert (after.because, after.due, after.silent_since) == ("Quay refuses the token", in_(minutes=1), None)


@pytest.mark.parametrize("before", [None, sent(state=DeleteState.UNANSWERED, read_since=True)])
def test_a_blocked_cancel_gives_its_try_back_and_waits(before: Delete | None) -> None:
    build = a_build(accepted("building", delete=before), goal=SUPERSEDED)
    after = evolve(begin(build, CANCEL, NOW), CANCEL, BLOCKED, SCENE)
    assert after.seen.delete == before
    assert decide(after, SCENE) == Wait(in_(minutes=1))


@pytest.mark.parametrize(
    ("seen", "action", "silent_since"),
    [
        (accepted("building"), PollBuild(), NOW),
        (accepted("waiting", silent_since=ago(hours=1)), PollBuild(), ago(hours=1)),
        (requesting(), FindBuild(), None),
        (planned(attempt=1), FindBuild(), None),
        (planned(), ResolveCommit(), None),
    ],
)
def test_a_blocked_look_keeps_the_phase_and_says_why(seen: Seen, action: Action, silent_since: object) -> None:
    after = evolve(a_build(replace(seen, failures=2)), action, BLOCKED, SCENE).seen
    assert (after.phase, after.failures, after.due) == (seen.phase, 2, in_(minutes=1))
    assert (after.because, after.silent_since) == ("Quay refuses the token", silent_since)


# ── evolve: reads ────────────────────────────────────────────────────────────────────────────────────────────────────


def read(seen: Seen, word: str, *, private: bool = False, scene: Scene = SCENE, **found: object) -> Seen:
    answer = replace(PhaseRead(word), **found)  # type: ignore[arg-type]  # the names are checked when it runs
    return evolve(a_build(seen, private=private), PollBuild(), answer, scene).seen


@pytest.mark.parametrize("before", ["waiting", *sorted(WORKING), "internalerror"])
@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("waiting", P.WAITING),
        *((word, P.BUILDING) for word in sorted(WORKING)),
        ("internalerror", P.BUILDING),
        ("expired", P.BUILDING),
        ("complete", P.SUCCEEDED),
        ("cancelled", P.CANCELLED),
    ],
)
def test_every_word_of_quays_leads_where_the_table_says(before: str, word: str, phase: BuildPhase) -> None:
    assert read(accepted(before), word).phase is phase


@pytest.mark.parametrize("word", ["cannot_load", "starting", "", "no such word"])
@pytest.mark.parametrize("before", ["waiting", "building", "internalerror"])
def test_a_word_that_tells_nothing_changes_no_phase(before: str, word: str) -> None:
    seen = accepted(before)
    assert read(seen, word).phase is seen.phase


def test_cannot_load_is_silence_and_no_observation() -> None:
    seen = accepted("building", observed_at=ago(seconds=40), ran=timedelta(seconds=5))
    after = read(seen, "cannot_load")
    assert (after.silent_since, after.observed_at, after.ran) == (NOW, ago(seconds=40), timedelta(seconds=5))
    assert read(after, "building").silent_since is None


@pytest.mark.parametrize("log", [OUTPUT, SILENT_LOG, LogDigest()])
def test_an_error_is_a_failure_with_the_reason_from_the_log(log: LogDigest) -> None:
    after = read(accepted("building"), "error", log=log)
    assert (after.phase, after.because) == (P.FAILED, reason_in_log(log))


@pytest.mark.parametrize("word", ["error", "expired"])
def test_a_log_that_cannot_be_read_is_tried_three_times(word: str) -> None:
    seen = accepted("building", expired_since=ago(hours=1) if word == "expired" else None)
    for tries in (1, 2, 3):
        seen = read(seen, word)
        assert (seen.phase, seen.log_failures) == (P.BUILDING, tries)
    after = read(seen, word)
    assert (after.phase, after.because) == (P.FAILED, "Quay gave no reason and its log could not be read")


def test_expired_is_believed_when_it_lasts() -> None:
    one_attempt = LogDigest(attempts=1, has_output=True)
    young = accepted("expired", expired_since=ago(minutes=9.9))
    old = accepted("expired", expired_since=ago(minutes=10))
    assert read(young, "expired", log=one_attempt).phase is P.BUILDING
    assert read(old, "expired", log=one_attempt).phase is P.FAILED


def test_expired_is_believed_when_read_again_after_the_log_showed_three_attempts() -> None:
    first = read(accepted("internalerror"), "expired", log=OUTPUT)
    assert (first.phase, first.due) == (P.BUILDING, NOW), "read again at once"
    assert read(first, "expired", log=OUTPUT).phase is P.FAILED
    assert read(first, "build-scheduled").phase is P.BUILDING


def test_expired_that_ends_starts_its_clock_anew() -> None:
    lasting = accepted("expired", expired_since=ago(minutes=9))
    again = read(read(lasting, "build-scheduled"), "expired", log=LogDigest(attempts=2))
    assert again.expired_since == NOW


@pytest.mark.parametrize(
    ("private", "because"),
    [
        (False, "Quay's builder could not use the source archive"),
        (
            True,
            (
                "Quay's builder could not use the source archive: private source needs the archive relay: "
                "set server.public_url"
            ),
        ),
    ],
)
def test_an_expired_build_that_left_no_log_could_not_use_the_source(private: bool, because: str) -> None:
    after = read(accepted("expired", log=SILENT_LOG), "expired", log=SILENT_LOG, private=private)
    assert (after.phase, after.because) == (P.ERRORED, because)


@pytest.mark.parametrize(
    ("before", "word", "attempt"),
    [
        ("waiting", "building", 1),
        ("unpacking", "building", 1),
        ("building", "building", 1),
        ("building", "internalerror", 1),
        ("internalerror", "build-scheduled", 2),
        ("expired", "unpacking", 2),
        ("building", "unpacking", 2),
        ("building", "waiting", 1),
    ],
)
def test_quays_own_attempts_are_counted_even_when_the_failure_between_was_missed(
    before: str, word: str, attempt: int
) -> None:
    assert read(accepted(before), word).quay_attempt == attempt


def test_an_outage_between_two_attempts_loses_no_count() -> None:
    assert read(read(accepted("internalerror"), "cannot_load"), "building").quay_attempt == 2


@pytest.mark.parametrize(
    ("before", "word", "active", "counted"),
    [
        ("building", "building", 1, True),
        ("waiting", "waiting", 0, True),
        ("waiting", "waiting", 1, False),
        ("internalerror", "internalerror", 0, True),
    ],
)
def test_time_behind_another_active_build_does_not_count(before: str, word: str, active: int, counted: bool) -> None:
    seen = accepted(before, observed_at=ago(seconds=30), ran=timedelta(minutes=1))
    after = read(seen, word, active=active)
    assert after.ran == timedelta(minutes=1) + timedelta(seconds=30 if counted else 0)


def test_a_build_behind_another_stays_so_until_a_list_says_otherwise() -> None:
    behind = accepted("waiting", behind=True, observed_at=ago(seconds=30))
    assert read(behind, "waiting").behind
    freed = read(behind, "waiting", active=0)
    assert (freed.behind, freed.idle_since, freed.ran) == (False, NOW, timedelta())


def test_what_passed_while_nobody_looked_stops_at_the_timeout_so_that_a_cancel_is_tried_first() -> None:
    slept = accepted("building", observed_at=ago(hours=9), ran=timedelta(minutes=1))
    after = read(slept, "building")
    assert after.ran == TIMEOUT
    assert decide(a_build(after), SCENE) == TIMED_OUT


def test_idle_time_in_the_queue_is_counted_only_while_nothing_else_runs() -> None:
    idle = read(accepted("waiting", idle_since=ago(minutes=3)), "waiting", active=0)
    assert idle.idle_since == ago(minutes=3)
    assert read(idle, "waiting", active=1).idle_since is None
    assert read(idle, "building").idle_since is None


def test_a_build_whose_cancel_is_wanted_is_watched_closely() -> None:
    seen = accepted("internalerror")
    close = evolve(a_build(seen, goal=SUPERSEDED), PollBuild(), PhaseRead("internalerror"), SCENE)
    assert close.seen.due == NOW + LIMITS.poll_interval
    due = read(seen, "internalerror").due
    assert due is not None
    assert due > NOW + LIMITS.poll_interval


# ── evolve: cancels ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("delete", "phase", "because"),
    [
        (None, P.CANCELLED, "cancelled in Quay"),
        (sent(), P.CANCELLED, "superseded by 9f8e7d6"),
        (sent(state=DeleteState.UNANSWERED), P.CANCELLED, "superseded by 9f8e7d6"),
        (sent(CancelReason.DELETED, "branch main"), P.CANCELLED, "branch main was deleted"),
        (sent(CancelReason.PERSON, "ada"), P.CANCELLED, "cancelled by ada"),
        (sent(CancelReason.TIMED_OUT, "3 h"), P.ERRORED, "timed out after 3 h"),
        (sent(CancelReason.WRONG_TAGS, "Quay took latest"), P.ERRORED, "Quay took latest"),
        (sent(CancelReason.STARVED, "10 m"), P.PLANNED, "Quay forgot the build in its queue, asking again"),
        (sent(state=DeleteState.REFUSED), P.CANCELLED, "cancelled in Quay"),
        (sent(state=DeleteState.REFUSED, tries=2), P.CANCELLED, "superseded by 9f8e7d6"),
        (
            sent(CancelReason.STARVED, "10 m", state=DeleteState.REFUSED, tries=2),
            P.PLANNED,
            "Quay forgot the build in its queue, asking again",
        ),
    ],
)
def test_a_cancelled_build_ends_by_the_reason_of_our_delete(
    delete: Delete | None, phase: BuildPhase, because: str
) -> None:
    after = read(accepted("waiting", delete=delete), "cancelled")
    assert (after.phase, after.because) == (phase, because)


def test_a_starved_build_is_asked_for_again_as_the_next_attempt_and_never_adopts_what_is_over() -> None:
    idle = accepted("waiting", idle_since=ago(minutes=10), ran=timedelta(minutes=10))
    build = begin(a_build(idle), STARVED, NOW)
    after = evolve(build, STARVED, CancelDone(), SCENE)
    assert (after.seen.ended, after.seen.quay_id, after.seen.delete) == (("q1",), None, None)
    assert (after.seen.unaccepted_since, after.seen.ran) == (NOW, timedelta(minutes=10))
    assert decide(after, SCENE) == FindBuild()
    assert decide(evolve(after, FindBuild(), Absent(), SCENE), SCENE) == RequestBuild()


def test_a_cancel_without_an_answer_is_followed_by_a_read_and_perhaps_one_more() -> None:
    build = begin(a_build(accepted("building"), goal=SUPERSEDED), CANCEL, NOW)
    doubtful = evolve(build, CANCEL, Failed(Failure.UNANSWERED, "500"), SCENE)
    assert decide(doubtful, SCENE) == PollBuild()
    still = evolve(doubtful, PollBuild(), PhaseRead("building"), SCENE)
    assert decide(still, SCENE) == CANCEL


@pytest.mark.parametrize("kind", [Failure.REFUSED, Failure.VANISHED])
def test_a_refused_cancel_is_final_and_the_build_is_watched_to_its_true_end(kind: Failure) -> None:
    build = begin(a_build(accepted("building"), goal=SUPERSEDED), CANCEL, NOW)
    refused = evolve(build, CANCEL, Failed(kind, "400: is running"), SCENE)
    assert refused.seen.delete == Delete(
        CancelReason.SUPERSEDED, "9f8e7d6", NOW, state=DeleteState.REFUSED, refusal="400: is running"
    )
    assert decide(refused, SCENE) == PollBuild()
    still = evolve(refused, PollBuild(), PhaseRead("building"), SCENE)
    assert isinstance(decide(still, SCENE), Wait)
    assert evolve(still, PollBuild(), PhaseRead("complete"), SCENE).seen.phase is P.SUCCEEDED


def test_a_cancel_that_was_never_sent_is_tried_again_after_its_back_off() -> None:
    build = begin(a_build(accepted("building"), goal=SUPERSEDED), CANCEL, NOW)
    after = evolve(build, CANCEL, Failed(Failure.NOT_SENT, "503"), SCENE)
    assert (after.seen.delete, after.seen.failures) == (None, 1)
    assert decide(after, SCENE) == Wait(in_(seconds=1))
    assert decide(after, replace(SCENE, now=in_(seconds=1))) == CANCEL


# ── evolve: looks that fail, and what makes no call ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [Failure.NOT_SENT, Failure.UNANSWERED, Failure.REFUSED])
def test_a_poll_without_an_answer_is_silence(kind: Failure) -> None:
    after = evolve(a_build(accepted("building", failures=1)), PollBuild(), Failed(kind, "no answer"), SCENE).seen
    assert (after.phase, after.silent_since, after.failures) == (P.BUILDING, NOW, 2)
    assert after.due == in_(seconds=2)


def test_a_build_that_quay_no_longer_knows_is_an_error_the_second_time() -> None:
    gone = Failed(Failure.VANISHED, "404")
    once = evolve(a_build(accepted("building")), PollBuild(), gone, SCENE)
    assert (once.seen.phase, once.seen.vanished) == (P.BUILDING, 1)
    assert evolve(once, PollBuild(), gone, SCENE).seen.phase is P.ERRORED
    back = evolve(once, PollBuild(), PhaseRead("building"), SCENE)
    assert evolve(back, PollBuild(), gone, SCENE).seen.phase is P.BUILDING


@pytest.mark.parametrize("kind", list(Failure))
def test_a_list_that_cannot_be_read_proves_nothing(kind: Failure) -> None:
    after = evolve(a_build(requesting()), FindBuild(), Failed(kind, "no"), SETTLED).seen
    assert (after.phase, after.attempt, after.failures) == (P.REQUESTING, 1, 1)


def test_a_resolved_commit_fills_in_the_request() -> None:
    request = replace(REQUEST, image_tags=("sha-{short_sha}", "v1"), archive_url="https://x/{sha}")
    build = replace(a_build(planned(failures=2, because="503")), commit=None, request=request)
    after = evolve(build, ResolveCommit(), CommitKnown("c" * 40), SCENE)
    assert (after.commit, after.request.image_tags) == ("c" * 40, ("sha-ccccccc", "v1"))
    assert (after.request.archive_url, after.seen.failures, after.seen.because) == (f"https://x/{'c' * 40}", 0, "")


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (Failure.NOT_SENT, P.PLANNED),
        (Failure.UNANSWERED, P.PLANNED),
        (Failure.REFUSED, P.ERRORED),
        (Failure.VANISHED, P.ERRORED),
    ],
)
def test_a_commit_that_cannot_be_resolved_ends_a_build_only_when_it_never_can(kind: Failure, phase: BuildPhase) -> None:
    after = evolve(replace(a_build(), commit=None), ResolveCommit(), Failed(kind, "no"), SCENE)
    assert after.seen.phase is phase
    assert after.seen.because == ("no" if phase is P.PLANNED else "the tag's commit could not be found: no")


def test_waiting_for_a_tag_is_told_and_costs_no_patience() -> None:
    build = a_build(planned(unaccepted_since=ago(hours=20)))
    held = evolve(build, Hold(OLDER), None, SCENE)
    assert held.seen.because == "waits for build b0"
    days_later = replace(SCENE, now=in_(days=3))
    assert decide(held, days_later) == RequestBuild()
    assert begin(held, RequestBuild(), days_later.now).seen.unaccepted_since == days_later.now


def test_waiting_for_the_same_tag_writes_nothing_new() -> None:
    held = evolve(a_build(), Hold(OLDER), None, SCENE)
    assert evolve(held, Hold(OLDER), None, replace(SCENE, now=in_(hours=1))) == held
    other = evolve(held, Hold(Holder(("main",), "build b9")), None, SCENE)
    assert other.seen.because == "waits for build b9"


# ── quiet, and standing in line ──────────────────────────────────────────────────────────────────────────────────────

QUIET = replace(a_build(), request=replace(REQUEST, quiet_period=timedelta(minutes=2)))
IN_PLACE = InLine(WaitingLine.PLACE, 3)
IN_QUEUE = InLine(WaitingLine.QUEUE, 2, "Quay's queue is full (no)")


@pytest.mark.parametrize(
    ("now", "action"),
    [(NOW, Quiet(in_(minutes=1))), (in_(seconds=59), Quiet(in_(minutes=1))), (in_(minutes=1), RequestBuild())],
)
def test_a_build_is_asked_for_when_its_push_is_as_old_as_the_quiet_period(now: datetime, action: Action) -> None:
    assert decide(QUIET, replace(SCENE, now=now)) == action


def test_waiting_for_quiet_says_until_when_and_costs_no_patience() -> None:
    waiting = evolve(QUIET, Quiet(in_(minutes=1)), None, SCENE)
    assert (waiting.seen.phase, waiting.seen.because) == (P.PLANNED, "waits for quiet until 12:01:00 UTC")
    assert decide(waiting, replace(SCENE, now=in_(days=3))) == RequestBuild()


def test_a_push_that_is_superseded_before_it_was_quiet_is_dropped_without_a_call() -> None:
    assert decide(replace(QUIET, goal=SUPERSEDED), SCENE) == Drop(CancelReason.SUPERSEDED, "9f8e7d6")


def test_without_a_place_a_build_stays_planned_and_says_where_it_stands() -> None:
    seen = evolve(a_build(), RequestBuild(), IN_PLACE, SCENE).seen
    assert (seen.phase, seen.because, seen.line, seen.place) == (
        P.PLANNED,
        "waits for a free place",
        WaitingLine.PLACE,
        3,
    )
    assert seen.attempt == 0


def test_waiting_for_a_place_costs_no_patience_but_waiting_for_quays_queue_does() -> None:
    later = replace(SCENE, now=in_(hours=24))
    assert decide(evolve(a_build(), RequestBuild(), IN_PLACE, SCENE), later) == RequestBuild()
    behind = evolve(a_build(planned(unaccepted_since=NOW)), RequestBuild(), IN_QUEUE, SCENE)
    assert decide(behind, later) == GiveUp("Quay did not take the build for 24 h: Quay's queue is full (no)")


def test_patience_begins_when_the_line_is_quays_and_no_longer_ours() -> None:
    behind = evolve(
        evolve(a_build(), RequestBuild(), IN_PLACE, SCENE), RequestBuild(), IN_QUEUE, replace(SCENE, now=in_(days=2))
    )
    assert (behind.seen.unaccepted_since, behind.seen.is_held) == (in_(days=2), False)


@pytest.mark.parametrize(
    ("told", "place", "is_told"),
    [
        (3, 2, True),
        (3, 3, False),
        (11, 10, True),
        (100, 99, False),
        (100, 76, False),
        (100, 75, True),
        (100, 130, True),
    ],
)
def test_far_back_in_line_a_place_is_told_anew_only_when_it_has_changed_by_a_quarter(
    told: int, place: int, *, is_told: bool
) -> None:
    waiting = evolve(a_build(), RequestBuild(), replace(IN_PLACE, place=told), SCENE)
    assert (evolve(waiting, RequestBuild(), replace(IN_PLACE, place=place), SCENE) != waiting) == is_told


def test_a_full_queue_takes_the_intent_back_and_puts_the_build_in_line() -> None:
    begun = begin(a_build(), RequestBuild(), NOW)
    seen = evolve(begun, RequestBuild(), QueueFull("Quay's queue is full (no)"), SCENE).seen
    assert (seen.phase, seen.attempt, seen.failures) == (P.PLANNED, 0, 1)
    assert (seen.because, seen.line, seen.place) == ("Quay's queue is full (no)", WaitingLine.QUEUE, 1)


@pytest.mark.parametrize("given", [IN_PLACE, IN_QUEUE], ids=["place", "queue"])
@pytest.mark.parametrize(
    "leave",
    [
        lambda build: begin(build, RequestBuild(), NOW),
        lambda build: evolve(build, Hold(OLDER), None, SCENE),
        lambda build: evolve(build, Drop(CancelReason.DELETED, "branch main"), None, SCENE),
        lambda build: evolve(begin(build, RequestBuild(), NOW), RequestBuild(), Blocked("away", in_(seconds=9)), SCENE),
        lambda build: evolve(build, FindBuild(), Failed(Failure.UNANSWERED, "no answer"), SCENE),
        lambda build: evolve(build, FindBuild(), Accepted("q1", NOW, (), PhaseRead("waiting")), SCENE),
    ],
    ids=["asked for", "held", "dropped", "blocked", "not found", "found"],
)
def test_a_build_that_no_longer_wants_a_place_has_left_the_line(given: InLine, leave: Callable[[Build], Build]) -> None:
    seen = leave(evolve(a_build(), RequestBuild(), given, SCENE)).seen
    assert (seen.line, seen.place, seen.is_held and seen.because.startswith("waits for a free")) == (None, 0, False)


def test_a_look_at_quay_changes_nothing_about_where_a_build_stands() -> None:
    waiting = evolve(a_build(planned(attempt=1)), RequestBuild(), IN_PLACE, SCENE)
    looked = evolve(waiting, FindBuild(), Absent(), SCENE).seen
    assert (looked.because, looked.line, looked.place) == ("waits for a free place", WaitingLine.PLACE, 3)


def test_a_dropped_build_is_cancelled_and_a_given_up_one_errored() -> None:
    dropped = evolve(a_build(), Drop(CancelReason.DELETED, "branch main"), None, SCENE).seen
    assert (dropped.phase, dropped.because) == (P.CANCELLED, "branch main was deleted")
    given_up = evolve(a_build(), GiveUp("too long"), None, SCENE).seen
    assert (given_up.phase, given_up.because, given_up.finished_at) == (P.ERRORED, "too long", NOW)


def test_an_outcome_that_an_action_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot come to"):
        evolve(a_build(), RequestBuild(), None, SCENE)
    with pytest.raises(ValueError, match="never written down"):
        evolve(a_build(accepted("building")), CANCEL, Failed(Failure.UNANSWERED, "500"), SCENE)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = ("waiting", *sorted(WORKING), *sorted(RETRYING), "complete", "error", "cancelled", "cannot_load", "starting")
READS = [PhaseRead(word, log=log) for word in WORDS for log in (None, OUTPUT, SILENT_LOG)]
FAILURES: list[Outcome] = [*(Failed(kind, "no") for kind in Failure), BLOCKED]
TAKEN: list[Outcome] = [Accepted("q1", NOW, tags, one) for one in READS for tags in (REQUEST.image_tags, ("latest",))]
DELETES: list[Delete | None] = [
    None,
    *(sent(reason, state=state) for reason in CancelReason for state in DeleteState),
]
ACCEPTED_SEENS = [
    *(accepted(word, delete=delete) for word in ("waiting", "building", "cannot_load") for delete in DELETES),
    *(
        accepted("expired", expired_since=since, log=log, log_failures=failures, wrong_tags=wrong)
        for since in (None, ago(hours=1))
        for log in (None, OUTPUT)
        for failures in (0, 3)
        for wrong in ("", "wrong")
    ),
]
COMPARED: list[Outcome] = [PathsCompared(paths, "b0") for paths in (None, (), ("src/x",), ("docs/x",))]
PLANNED_SEENS = [planned(), planned(attempt=1), planned(attempt=1, ran=timedelta(hours=4))]
COMBINATIONS: list[tuple[list[Seen], list[Action], list[Outcome]]] = [
    ([Seen(P.COMPARING)], [ComparePaths()], [*COMPARED, *FAILURES]),
    (PLANNED_SEENS, [CheckSource()], [SourceChecked(), SourceChecked("gone"), *FAILURES]),
    (PLANNED_SEENS, [RequestBuild(), FindBuild()], TAKEN),
    (PLANNED_SEENS, [RequestBuild(), FindBuild(), ResolveCommit()], FAILURES),
    ([requesting(), requesting(attempt=2, failures=3)], [FindBuild()], [*TAKEN, Absent(), *FAILURES]),
    (ACCEPTED_SEENS, [PollBuild()], [*READS, *FAILURES]),
    (ACCEPTED_SEENS, [CANCEL, TIMED_OUT, STARVED], [CancelDone(), *FAILURES]),
]


def every_move() -> set[tuple[BuildPhase, BuildPhase]]:
    moves = set()
    for seens, actions, outcomes in COMBINATIONS:
        for seen, action, outcome, scene in product(seens, actions, outcomes, (SCENE, SETTLED)):
            begun = begin(an_undecided(seen), action, NOW)
            after = evolve(begun, action, outcome, scene)
            moves |= {(seen.phase, begun.seen.phase), (begun.seen.phase, after.seen.phase)}
    for seens, _, _ in COMBINATIONS:
        for seen in seens:
            moves.add((seen.phase, evolve(a_build(seen), GiveUp("no"), None, SCENE).seen.phase))
    for phase in (P.PLANNED, P.COMPARING):
        moves.add((phase, evolve(a_build(Seen(phase)), Drop(CancelReason.PERSON, ""), None, SCENE).seen.phase))
    return moves


def an_undecided(seen: Seen) -> Build:
    return replace(a_build(seen), request=replace(REQUEST, comparison=Comparison(("src/**",), "b" * 40)))


def test_every_move_is_in_the_table_and_every_line_of_the_table_is_used() -> None:
    moved = {(one, other) for one, other in every_move() if one is not other}
    allowed = {(one, other) for one, others in TRANSITIONS.items() for other in others}
    assert moved == allowed


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in P for other in P if other in FINAL_PHASES])
def test_a_build_ends_only_where_the_table_allows_it(one: BuildPhase, other: BuildPhase) -> None:
    build = a_build(Seen(phase=one))
    if one is other or other in TRANSITIONS[one]:
        assert end(build, other, "", NOW).seen.phase is other
    else:
        with pytest.raises(ValueError, match="does not go from"):
            end(build, other, "", NOW)


def test_every_phase_is_in_the_table_and_no_final_one_is_left_again() -> None:
    assert set(TRANSITIONS) == set(P)
    assert {phase for phase, others in TRANSITIONS.items() if not others} == FINAL_PHASES


def test_the_documentation_shows_the_table_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- diagram: begin -->\n")[2].partition("<!-- diagram: end -->")[0]
    assert shown == f"```mermaid\n{diagram()}\n```\n"


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("held", "wanted", "is_shared"),
    [
        (("main",), ("main",), True),
        (("main",), ("dev",), False),
        ((), ("main",), False),
        (("sha-{short_sha}",), ("sha-1a2b3c4",), True),
        (("sha-1a2b3c4",), ("sha-{short_sha}",), True),
        (("sha-{sha}",), ("sha-{short_sha}",), True),
        (("sha-{short_sha}",), ("main",), False),
        (("v1.0", "latest"), ("main", "latest"), True),
        (("v1.0",), ("v1_0",), False),
    ],
)
def test_two_lists_share_a_tag_when_one_could_be_the_other(
    held: tuple[str, ...], wanted: tuple[str, ...], is_shared: bool
) -> None:
    assert overlap(held, wanted) is is_shared


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (None, "Quay gave no reason and its log could not be read"),
        (LogDigest(), "Quay gave no reason"),
        (LogDigest(last_line="killed"), "Quay gave no reason; the log ends: killed"),
        (LogDigest(failed_step="2/3: RUN x"), "failed in step 2/3: RUN x"),
        (OUTPUT, "failed in step 3/7: RUN make: make: *** [all] Error 2"),
    ],
)
def test_a_log_tells_what_failed_as_far_as_it_knows(log: LogDigest | None, words: str) -> None:
    assert reason_in_log(log) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 m"), (192, "3 m 12 s"), (3600, "1 h"), (7500, "2 h 5 m"), (86400, "24 h")],
)
def test_durations_are_worded_for_people(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("reason", "detail", "words"),
    [
        (CancelReason.SUPERSEDED, "1a2b3c4", "superseded by 1a2b3c4"),
        (CancelReason.DELETED, "branch main", "branch main was deleted"),
        (CancelReason.PERSON, "ada", "cancelled by ada"),
        (CancelReason.PERSON, "", "cancelled"),
        (CancelReason.STARVED, "10 m", "10 m"),
    ],
)
def test_a_cancel_is_worded_by_its_reason(reason: CancelReason, detail: str, words: str) -> None:
    assert cancelled_in_words(reason, detail) == words


def test_a_goal_without_a_reason_counts_as_a_persons() -> None:
    assert decide(a_build(goal=Goal(GoalKind.CANCEL)), SCENE) == Drop(CancelReason.PERSON, "")
