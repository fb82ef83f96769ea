"""Durations as people write them: a number and a unit, `"0.5s"`, `"5s"`, `"2m"`, `"1h"`, `"30d"`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhd])")

PATTERN = rf"^{_DURATION.pattern}$"
LONGEST = timedelta(days=3650)


def parse(text: str) -> timedelta:
    """The duration. Raises ValueError in words."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError('is no duration; write a number and one of the units s, m, h, d, as in "5s" or "2m"')
    try:
        duration = float(match[1]) * _UNITS[match[2]]
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ValueError(f"is longer than ten years ({written(LONGEST)})")
    return duration


def written(duration: timedelta) -> str:
    """The duration in the largest unit that needs no fraction; one day is "24h", as people say it."""
    if duration == timedelta(days=1):
        return "24h"
    for unit, length in _UNITS.items():
        if duration and not duration % length:
            return f"{duration // length}{unit}"
    return f"{duration.total_seconds():g}s"
