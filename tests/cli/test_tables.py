"""Builds in a terminal: within 100 columns whatever they are called, and nothing in them obeyed."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from buildbot.cli.tables import WIDTH, one_line, print_builds
from buildbot.domain.build import BuildPhase
from buildbot.ports import BuildFilter
from tests.cli.world import NOW, Place


def drawn(place: Place, width: int = 200) -> list[str]:
    file = StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=width)
    builds = place.store(lambda store: store.list_builds(BuildFilter()))
    print_builds(builds, NOW, console)
    return file.getvalue().splitlines()


def test_a_row_has_what_a_person_looks_for(place: Place) -> None:
    build = place.see(place.plan(), BuildPhase.FAILED)
    head, row = drawn(place)
    assert head.split() == ["ID", "PHASE", "RULE", "PUSHED", "IMAGE", "AGE"]
    assert row.split()[:3] == [build.id[:8], "failed", "api"]
    assert "acme/api main 1a2b3c4" in row
    assert "acme/api:main,sha-1a2b3c4" in row


@pytest.mark.parametrize("width", [60, 80, 100, 250])
def test_it_fits(place: Place, width: int) -> None:
    place.plan(f"refs/heads/{'long/' * 30}", rule="a" * 90, image_tags=("b" * 120,))
    lines = drawn(place, width)
    assert len(lines) == 2
    assert max(map(len, lines)) <= min(width, WIDTH)


def test_no_name_is_read_as_markup(place: Place) -> None:
    place.plan("refs/heads/[red]x[/red]", image_tags=("[b]",))
    assert "[red]x[/red]" in drawn(place)[1]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\nb\tc", "a b c"), ("\x1b[31mred", "�[31mred"), ("\udcff", "�"), ("größe", "größe")],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, line: str) -> None:
    assert one_line(text) == line
