"""What the bot writes about itself: lines that a program can read, and in which no secret can be read."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from buildbot.telemetry import STRUCK_OUT, Redaction, log_to

SECRET = "tok/en+with%odd 'letters'"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log goes; logging is as before afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level, structlog.get_config()
    log_to(stream, secrets=(SECRET, KEY))
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    structlog.configure(**before[2])


def written(lines: io.StringIO) -> dict[str, Any]:
    """The one line that was written."""
    (line,) = lines.getvalue().splitlines()
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_is_json_with_its_time_its_level_and_the_ids_that_are_bound(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(build="b1"):
        structlog.get_logger().info("build moved", to="waiting", because="Größe 1 µm")
    told = written(lines)
    assert (told["event"], told["level"], told["build"], told["to"]) == ("build moved", "info", "b1", "waiting")
    assert told["because"] == "Größe 1 µm"
    assert told["timestamp"].endswith("Z")


def test_a_librarys_warning_is_a_line_of_the_same_form(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("cannot use %s", SECRET)
    told = written(lines)
    assert (told["event"], told["level"]) == (f"cannot use {STRUCK_OUT}", "warning")
    assert told["timestamp"]
    assert not [key for key in told if key.startswith("_")]


@pytest.mark.parametrize(
    "shown",
    [SECRET, quote(SECRET, safe=""), repr(SECRET), json.dumps({"token": SECRET}), KEY, repr(KEY), KEY.splitlines()[1]],
)
@pytest.mark.parametrize("wrap", [str, lambda text: [text], lambda text: {"a": {"b": (text,)}}, ValueError])
def test_a_secret_is_struck_out_however_it_is_spelled_and_wrapped(lines: io.StringIO, shown: str, wrap: Any) -> None:
    structlog.get_logger().info("something", about=wrap(f"see {shown} there"))
    assert STRUCK_OUT in lines.getvalue()
    assert not [piece for piece in ("odd", "MIIE", "BKcw") if piece in lines.getvalue()]
    assert written(lines)["event"] == "something"


@pytest.mark.parametrize("log", [structlog.get_logger(), logging.getLogger("some.library")])
def test_a_secret_in_a_traceback_is_struck_out(lines: io.StringIO, log: Any) -> None:
    try:
        raise ValueError(f"the token {SECRET} is wrong")
    except ValueError:
        log.exception("it failed")
    told = written(lines)
    assert "ValueError: the token" in told["exception"]
    assert SECRET not in lines.getvalue()


def test_what_is_no_text_stays_what_it_is() -> None:
    line = {"port": 8080, "ratio": 0.5, "done": True, "nothing": None, "builds": ["b1"], "by_phase": {"waiting": 2}}
    assert json.loads(Redaction(("8080",)).rendered(None, "info", dict(line))) == line


def test_what_json_does_not_have_is_told_all_the_same() -> None:
    told = Redaction(("a secret",)).rendered(None, "info", {"event": {("a", 1): {"x"}}, "path": Path("a secret")})
    assert json.loads(told) == {"event": {"('a', 1)": ["x"]}, "path": STRUCK_OUT}


def test_an_empty_or_tiny_secret_does_not_strike_out_everything() -> None:
    assert Redaction(("", "a", "\n"))(None, "info", {"event": "a banana"}) == {"event": "a banana"}


@given(secret=st.text(min_size=4, max_size=40), before=st.text(), after=st.text())
def test_no_text_around_a_secret_keeps_it(secret: str, before: str, after: str) -> None:
    told = json.loads(Redaction((secret,)).rendered(None, "info", {"event": [before + secret + after]}))
    pieces = [piece for piece in (secret, *secret.splitlines()) if len(piece) >= 4]
    rest = told["event"][0].replace(STRUCK_OUT, "\0")
    assert not [piece for piece in pieces if piece in rest and piece not in STRUCK_OUT]


def test_a_secret_that_is_learned_later_is_struck_out_beside_the_old_one() -> None:
    redaction = Redaction(("the old one",))
    redaction.learn(["the new one"])
    told = redaction(None, "info", {"event": "the old one, the new one and another one"})
    assert told == {"event": f"{STRUCK_OUT}, {STRUCK_OUT} and another one"}


def test_the_log_that_is_written_to_learns_what_its_redaction_learns(lines: io.StringIO) -> None:
    log_to(lines).learn(["rotated-in"])
    structlog.get_logger().info("refused", because="rotated-in is wrong")
    logging.getLogger("some.library").warning("rotated-in is wrong")
    assert lines.getvalue().count(STRUCK_OUT) == 2
    assert "rotated-in" not in lines.getvalue()
