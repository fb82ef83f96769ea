"""Builds as a terminal shows them: a table that fits 100 columns, and one build told whole.

In a pipe a list is one line per build with tabs between the columns and whole ids, for `cut` and `awk`. Refs, names and
logs are chosen by whoever may push, so control characters never reach the terminal, and no text is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from buildbot.cli.naming import SHOWN_ID
from buildbot.domain.build import Build, BuildPhase
from buildbot.domain.lifecycle import in_words
from buildbot.domain.push import short
from buildbot.web.build_view import BuildView, Fact
from buildbot.web.hostile_text import shown

WIDTH = 100
COLUMNS = ("ID", "PHASE", "RULE", "PUSHED", "IMAGE", "AGE")
_COLOURS = {
    BuildPhase.SUCCEEDED: "green",
    BuildPhase.FAILED: "red",
    BuildPhase.ERRORED: "red",
    BuildPhase.CANCELLED: "yellow",
    BuildPhase.SKIPPED: "dim",
}


def print_builds(builds: Sequence[Build], now: datetime, console: Console | None = None) -> None:
    """The builds on standard output: a table in a terminal, tabs in a pipe."""
    console = console or Console()
    if console.is_terminal:
        console.print(_table(builds, now), width=min(console.width, WIDTH))
        return
    for row in (COLUMNS, *(_row(build, now, str(build.id)) for build in builds)):
        print("\t".join(row), file=console.file)


def print_rows(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], console: Console | None = None
) -> None:
    """Rows of texts on standard output: a table in a terminal, tabs in a pipe."""
    console = console or Console()
    shown_rows = [tuple(map(one_line, row)) for row in rows]
    if not console.is_terminal:
        for row in (columns, *shown_rows):
            print("\t".join(row), file=console.file)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width)
    for row in shown_rows:
        table.add_row(*map(Text, row))
    console.print(table, width=min(console.width, WIDTH))


def in_full(view: BuildView) -> Iterator[str]:
    """One build, line by line."""
    yield f"{view.id}  {view.phase}"
    yield from filter(None, (one_line(view.headline), one_line(view.reason), one_line(view.warning), view.when))
    sections = (
        ("Pushed", view.pushed),
        ("Asked of the registry", view.asked),
        ("Progress", view.progress),
        ("Commit status", view.status),
        ("Links", _elsewhere(view.links)),
        ("Commands", view.commands),
    )
    for title, facts in sections[:3]:
        yield from _section(title, facts)
    yield ""
    yield "Steps"
    yield from (f"  {step.time}  {step.elapsed:>9}  {one_line(step.what)}" for step in view.steps)
    for title, facts in sections[3:]:
        yield from _section(title, facts)
    if view.log:
        yield ""
        yield "End of the log"
        yield from (f"  {one_line(line)}" for line in view.log)


def one_line(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    return shown(text.replace("\n", " ").replace("\t", " "))


def _elsewhere(links: Iterable[Fact]) -> tuple[Fact, ...]:
    # A page also links within itself, and to other builds by their id alone.
    told = ((link.text, (link.href or "").removeprefix("./")) for link in links)
    return tuple(Fact(text, address) for text, address in told if not address.startswith("#"))


def _section(title: str, facts: Iterable[Fact]) -> Iterator[str]:
    known = tuple(facts)
    if not known:
        return
    yield ""
    yield title
    width = max(len(fact.name) for fact in known)
    for fact in known:
        link = f"  {fact.href}" if fact.href and fact.href.startswith("http") else ""
        yield f"  {one_line(fact.name):<{width}}  {one_line(fact.text)}{link}".rstrip()


def _table(builds: Sequence[Build], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name, ratio in zip(COLUMNS, (SHOWN_ID, 10, 12, 26, 28, 8), strict=True):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=ratio)
    for build in builds:
        id_, phase, *others = _row(build, now, build.id[:SHOWN_ID])
        table.add_row(id_, Text(phase, _COLOURS.get(build.seen.phase, "")), *map(Text, others))
    return table


def _row(build: Build, now: datetime, id_: str) -> tuple[str, ...]:
    commit = f" {short(build.commit)}" if build.commit else ""
    pushed = f"{build.source.full_name} {build.ref_name}{commit}"
    image = f"{build.request.repository}:{','.join(build.request.image_tags)}"
    age = in_words(max(now - build.created_at, timedelta())).split(" ")
    texts = (id_, str(build.seen.phase), build.request.rule, pushed, image, " ".join(age[:2]))
    return tuple(map(one_line, texts))
