"""Names of strangers in sentences for people."""

from __future__ import annotations

import pytest

from buildbot.archives.errors import HostileArchive, shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a/b", "'a/b'"),
        ("prüfung".encode(), "'prüfung'"),
        (b"a\n\x1b[31m\0", r"'a\n\x1b[31m\x00'"),
        ("\u202egnp.exe".encode(), r"'\u202egnp.exe'"),
        (b"\xff", r"'\udcff'"),
        (b"n" * 121, "'" + "n" * 120 + "'…"),
    ],
)
def test_a_name_is_shown_on_one_line_without_anything_a_terminal_obeys(name: bytes, expected: str) -> None:
    assert shown(name) == expected
    assert shown(name).encode()


def test_a_refusal_has_its_reason_apart() -> None:
    assert HostileArchive("it bites").reason == "it bites"
    assert str(HostileArchive("it bites")) == "the archive is refused: it bites"
