"""The real program in a process of its own: terminals without ✓, readers that go away, and the module as a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.world import ENVIRON, Place

EXPLAIN = ("explain", "--source", "acme/api", "--ref", "refs/heads/main")


def program(place: Place, *arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "buildbot", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRON | {"BUILDBOT_CONFIG": str(place.file)} | environ,
    )


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_sign_gets_its_number(place: Place, encoding: str) -> None:
    with program(place, *EXPLAIN, PYTHONIOENCODING=encoding) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    sign = "✓".encode() if encoding == "utf-8" else rb"\u2713"
    assert sign + b" api: branch main matches main" in out.splitlines()


def test_a_reader_that_goes_away_is_no_traceback(place: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with program(place, *EXPLAIN, stdout=writing) as process:
            _, err = process.communicate(timeout=30)
    finally:
        os.close(writing)
    assert b"Traceback" not in err
    assert process.returncode == 1


def test_a_file_that_is_missing_is_one_line_and_2(place: Place) -> None:
    place.file.unlink()
    with program(place, "check") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, b"")
    assert b"cannot be read: No such file or directory" in err
    assert b"Traceback" not in err
