"""What changed between two snapshots of a build, in words: the list of steps on its page, and the line in the log.

The rows hold only what is; what happened is the difference of two of them. So nobody who folds an outcome in has to
remember to tell about it, and a step that was saved is a step that is told.
"""

from __future__ import annotations

from typing import assert_never

from buildbot.domain.build import Build, BuildPhase, Delete, DeleteState
from buildbot.domain.lifecycle import cancelled_in_words


def steps(before: Build, after: Build) -> tuple[str, ...]:
    """The steps from one snapshot of a build to a later one, in the order they happen; empty when nothing moved."""
    found = (_commit(before, after), _attempt(before, after), _delete(before, after), _quay(before, after))
    return tuple(step for step in (*found, _phase(before, after)) if step)


def _commit(before: Build, after: Build) -> str:
    return f"the tag's commit is {after.commit}" if before.commit is None and after.commit else ""


def _attempt(before: Build, after: Build) -> str:
    if before.seen.attempt >= after.seen.attempt:
        return ""
    return "asked Quay for the build" + (f", attempt {after.seen.attempt}" if after.seen.attempt > 1 else "")


def _delete(before: Build, after: Build) -> str:
    old, new = before.seen.delete, after.seen.delete
    if new is None or (old and (old.state, old.tries) == (new.state, new.tries)):
        return ""
    return _delete_in_words(new)


def _delete_in_words(delete: Delete) -> str:
    match delete.state:
        case DeleteState.SENT:
            return f"asked Quay to cancel it: {cancelled_in_words(delete.reason, delete.detail)}"
        case DeleteState.UNANSWERED:
            return "Quay did not say whether it cancelled it"
        case DeleteState.REFUSED:
            return f"Quay refused to cancel it: {delete.refusal}"
        case _ as never:
            assert_never(never)


def _quay(before: Build, after: Build) -> str:
    word = after.seen.quay_phase
    if not word or (word, after.seen.quay_id) == (before.seen.quay_phase, before.seen.quay_id):
        return ""
    again = f" (Quay's attempt {after.seen.quay_attempt})" if after.seen.quay_attempt > 1 else ""
    return f"Quay says {word}{again}"


def _phase(before: Build, after: Build) -> str:
    if (before.seen.phase, before.seen.because) == (after.seen.phase, after.seen.because):
        return ""
    is_admitted = before.seen.phase is BuildPhase.COMPARING and after.seen.phase is BuildPhase.PLANNED
    told = after.seen.wanted_because if is_admitted else after.seen.because
    because = f": {told}" if told else ""
    is_new = before.seen.phase is not after.seen.phase
    return f"{after.seen.phase}{because}" if is_new else after.seen.because
