"""A round as JSON: what `/readyz` tells of it and what `buildbot rounds --json` prints. Keys are only ever added."""

from __future__ import annotations

from datetime import datetime

from buildbot.ports import RoundReport


def round_as_json(report: RoundReport) -> dict[str, object]:
    """When it last ran, what it found, and what people should know. Times are ISO 8601 in UTC, null for never."""
    return {
        "started_at": _time(report.started_at),
        "finished_at": _time(report.finished_at),
        "looked": report.looked,
        "found": report.found,
        "found_at": _time(report.found_at),
        "found_what": report.found_what,
        "notes": list(report.notes),
        "troubles": list(report.troubles),
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
