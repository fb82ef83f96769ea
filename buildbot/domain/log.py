"""What a build's log tells a person: which step failed, the last line of output, how often Quay tried.

Quay's builder drops docker's own error message and writes no entry for a failure, so the failing step is the last one
of the last attempt that got anywhere, and its reason the last output after it. Only the classic builder marks its steps
(`Step 3/7 : RUN make`, type "command"); podman prints its own as plain lines (`STEP 3/7: RUN make`). The text is
hostile: colours and control characters go, lengths are bounded, escaping is left to whoever shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from buildbot.domain.build import LogDigest

ATTEMPT_STARTS = "build-scheduled"
BEFORE_THE_ARCHIVE = frozenset({ATTEMPT_STARTS, "unpacking"})
"""Phases that a builder reaches before it could use the source archive; a log of nothing else tells that it could
not."""

TAIL_LINES = 60
LINE_LENGTH = 500

_STEP = re.compile(r"step (\d{1,5}(?:/\d{1,5})?) ?: ?(.*)", re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
"""Control sequences, strings (a window's title) and the short ones (a character set)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NO_OUTPUT = re.compile(r"-+> ?(running in |using cache|[0-9a-f]{12}$)|removing intermediate container ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a build's log. `kind` is "phase", "command", "error" or "" (plain output); text is hostile."""

    kind: str
    message: str


def digest(entries: Iterable[LogEntry]) -> LogDigest:
    """The log in short."""
    log = list(entries)
    phases = [entry.message for entry in log if entry.kind == "phase"]
    step, output = _last_step(log)
    return LogDigest(
        attempts=phases.count(ATTEMPT_STARTS),
        failed_step=step,
        last_line=output,
        has_output=any(entry.kind != "phase" or entry.message not in BEFORE_THE_ARCHIVE for entry in log),
        tail=tail(log),
    )


def tail(entries: Sequence[LogEntry], lines: int = TAIL_LINES) -> tuple[str, ...]:
    """The last lines as plain text; a phase reads like a heading."""
    told = [f"── {plain(entry.message)}" if entry.kind == "phase" else plain(entry.message) for entry in entries]
    return tuple(line[:LINE_LENGTH] for text in told for line in text.splitlines() if line.strip())[-lines:]


def plain(text: str) -> str:
    """Text without colours, control characters and overwritten progress (what stands before a carriage return)."""
    lines = _ESCAPE.sub("", text).replace("\r\n", "\n").split("\n")
    return _CONTROL.sub("", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)).rstrip()


def _last_step(log: Sequence[LogEntry]) -> tuple[str, str]:
    found = (_step_and_output(attempt) for attempt in reversed(_attempts(log)))
    return next((one for one in found if one != ("", "")), ("", ""))


def _attempts(log: Sequence[LogEntry]) -> list[Sequence[LogEntry]]:
    starts = [i for i, entry in enumerate(log) if entry.kind == "phase" and entry.message == ATTEMPT_STARTS]
    return [log[start:end] for start, end in pairwise([0, *starts, len(log)])]


def _step_and_output(attempt: Sequence[LogEntry]) -> tuple[str, str]:
    step = output = ""
    for line in (line for entry in attempt if entry.kind != "phase" for line in _lines(entry)):
        if match := _STEP.fullmatch(line):
            step, output = f"{match[1]}: {' '.join(match[2].split())}"[:LINE_LENGTH], ""
        elif not _NO_OUTPUT.match(line):
            output = line[:LINE_LENGTH]
    return step, output


def _lines(entry: LogEntry) -> list[str]:
    # A command is one thing however many lines it has; output may come several lines to an entry.
    text = plain(entry.message).strip()
    lines = [text] if entry.kind == "command" else [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
