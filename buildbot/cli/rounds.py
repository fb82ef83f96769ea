"""`buildbot rounds`: when pushes that never arrived were last looked for, and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import typer

from buildbot.cli.opening import missing_database, with_rounds
from buildbot.cli.options import DEFAULT_FILE, AsJson, ConfigFile, load_or_exit
from buildbot.domain.lifecycle import in_words
from buildbot.ports import RoundReport
from buildbot.web.hostile_text import shown
from buildbot.web.round_json import round_as_json


def rounds(config: ConfigFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show when missed pushes were last looked for.

    And what was found, by which of the two ways: redelivery and sweep.
    """
    loaded = load_or_exit(config, secrets=False)
    reports = () if missing_database(loaded) else with_rounds(loaded, lambda store: store.round_reports())
    if as_json:
        typer.echo(json.dumps({report.name: round_as_json(report) for report in reports}, indent=2))
    elif reports:
        typer.echo("\n".join(line for report in reports for line in in_full(report, datetime.now(UTC))))
    else:
        typer.echo("no round has been gone yet: `buildbot serve` goes them", err=True)


def in_full(report: RoundReport, now: datetime) -> Iterator[str]:
    """A round, line by line."""
    looked = f"{report.looked} looked at" if report.finished_at else "nothing looked at yet"
    yield f"{report.name}  last run {_ago(report.finished_at, now)}, {looked}"
    if report.found:
        yield f"  found {report.found} so far, the last {_ago(report.found_at, now)}: {shown(report.found_what)}"
    else:
        yield "  found nothing so far"
    yield from (f"  note: {shown(note)}" for note in report.notes)
    yield from (f"  trouble: {shown(trouble)}" for trouble in report.troubles)


def _ago(at: datetime | None, now: datetime) -> str:
    return "never" if at is None else f"{in_words(max(now - at, timedelta()))} ago"
