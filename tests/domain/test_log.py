"""What a log tells of a failure, whoever wrote it and whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import LogDigest
from buildbot.domain.lifecycle import reason_in_log
from buildbot.domain.log import LINE_LENGTH, TAIL_LINES, LogEntry, digest, plain, tail

Log = list[LogEntry]


def phase(name: str) -> LogEntry:
    return LogEntry("phase", name)


def command(text: str) -> LogEntry:
    return LogEntry("command", text)


def out(text: str) -> LogEntry:
    return LogEntry("", text)


START = [phase("build-scheduled"), phase("unpacking"), phase("pulling"), phase("building")]
CLASSIC = [
    *START,
    command("Step 1/3 : FROM busybox:latest\n"),
    out(" ---> 1a2b3c4d5e6f\n"),
    command("Step 2/3 : RUN make\n"),
    out(" ---> Running in 0a1b2c3d4e5f\n"),
    out("cc -c main.c\n"),
    out("\x1b[31mmain.c:3: error: no such thing\x1b[0m\n"),
]
PODMAN = [
    *START,
    out("STEP 1/3: FROM busybox:latest\n"),
    out("STEP 2/3: RUN make\nmake: *** no targets\n"),
    out("--> 1a2b3c4d5e6f\n"),
]


@pytest.mark.parametrize(
    ("log", "step", "last_line"),
    [
        ([], "", ""),
        (START, "", ""),
        (CLASSIC, "2/3: RUN make", "main.c:3: error: no such thing"),
        (PODMAN, "2/3: RUN make", "make: *** no targets"),
        ([*START, command("Step 4 : RUN make")], "4: RUN make", ""),
        ([*START, command("Step 2/2 : RUN a && \\\n    b\n"), out("boom\n")], "2/2: RUN a && \\ b", "boom"),
        ([*START, out("STEP 1/2: FROM x\nSTEP 2/2: RUN false\n")], "2/2: RUN false", ""),
        ([*START, command("Step 1/1 : FROM x"), out("\n"), out("  \n")], "1/1: FROM x", ""),
        ([*START, command("Step 1/1 : FROM x"), out("Removing intermediate container 0a1b\n")], "1/1: FROM x", ""),
        ([*START, command("Step 1/1 : FROM x"), out(" ---> Using cache\n")], "1/1: FROM x", ""),
        ([*START, out("pull access denied\n")], "", "pull access denied"),
        ([*START, command("Step 1/1 : FROM x"), LogEntry("error", "no space left\n")], "1/1: FROM x", "no space left"),
        ([*START, command("Step 1/1 : RUN x"), out("in step 2/3: no\n")], "1/1: RUN x", "in step 2/3: no"),
        ([*START, command("Step 1/1 : RUN x"), out("50%\r80%\r100% done\r\n")], "1/1: RUN x", "100% done"),
    ],
)  # fmt: skip
def test_the_failing_step_is_the_last_one_and_the_reason_its_last_output(log: Log, step: str, last_line: str) -> None:
    found = digest(log)
    assert (found.failed_step, found.last_line) == (step, last_line)


def test_only_the_last_attempt_counts() -> None:
    found = digest([*CLASSIC, *START, command("Step 1/3 : FROM busybox:latest\n"), out("no route to host\n")])
    assert (found.attempts, found.failed_step, found.last_line) == (2, "1/3: FROM busybox:latest", "no route to host")


def test_an_attempt_that_got_nowhere_hides_no_reason_of_an_earlier_one() -> None:
    found = digest([*CLASSIC, phase("build-scheduled"), phase("unpacking")])
    assert (found.attempts, found.failed_step) == (2, "2/3: RUN make")


@pytest.mark.parametrize(
    ("log", "attempts", "has_output"),
    [
        ([], 0, False),
        (START[:2], 1, False),
        (START[:2] * 3, 3, False),
        (START[:3], 1, True),
        (CLASSIC, 1, True),
        ([*START[:2], out("tar: not an archive\n")], 1, True),
        ([out("build-scheduled"), command("build-scheduled")], 0, True),
    ],
)
def test_attempts_and_use_of_the_archive_are_read_from_the_phases(log: Log, attempts: int, has_output: bool) -> None:
    found = digest(log)
    assert (found.attempts, found.has_output) == (attempts, has_output)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (digest(CLASSIC), "failed in step 2/3: RUN make: main.c:3: error: no such thing"),
        (digest([*START, command("Step 3/7 : RUN make")]), "failed in step 3/7: RUN make"),
        (digest([*START, out("pull access denied\n")]), "Quay gave no reason; the log ends: pull access denied"),
        (digest(START), "Quay gave no reason"),
        (None, "Quay gave no reason and its log could not be read"),
    ],
)
def test_a_failure_is_told_as_far_as_the_log_goes(log: LogDigest | None, words: str) -> None:
    assert reason_in_log(log) == words


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain\n", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\text", "text"),
        ("\x1b(Btext\x1b=", "text"),
        ("\x9b31mred", "red"),
        ("\x1b[31", "31"),
        ("nul\x00 bell\x07 back\x08", "nul bell back"),
        ("\u202eevil\u2066 \u061cmark", "evil mark"),
        ("half \ud83d a character", "half  a character"),
        ("50%\r100%", "100%"),
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("tab\tstays", "tab\tstays"),
        ("<b>&amp;", "<b>&amp;"),
        ("größer 🦀", "größer 🦀"),
    ],
)
def test_text_is_freed_of_what_a_terminal_would_do(text: str, read: str) -> None:
    assert plain(text) == read


def test_the_tail_reads_like_a_text_with_headings() -> None:
    assert tail(CLASSIC, 4) == (
        "Step 2/3 : RUN make",
        " ---> Running in 0a1b2c3d4e5f",
        "cc -c main.c",
        "main.c:3: error: no such thing",
    )
    assert tail(START, 1) == ("── building",)


def test_long_logs_and_long_lines_are_bounded() -> None:
    log = [*START, command("Step 1/1 : RUN " + "x" * 9999), *(out(f"{number} " + "y" * 9999) for number in range(999))]
    found = digest(log)
    assert len(found.tail) == TAIL_LINES
    assert found.tail[-1].startswith("998 ")
    assert {len(line) for line in (found.failed_step, found.last_line, *found.tail)} == {LINE_LENGTH}


entries = st.lists(st.builds(LogEntry, st.sampled_from(["phase", "command", "error", ""]), st.text()), max_size=20)


@given(entries)
def test_any_log_can_be_read_and_stored(log: Log) -> None:
    found = digest(log)
    shown = "\n".join((found.failed_step, found.last_line, *found.tail, reason_in_log(found)))
    shown.encode()
    assert "\x1b" not in shown
    assert "\x00" not in shown
