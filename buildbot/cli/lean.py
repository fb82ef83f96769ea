"""Importing a library without what it would print with, if nobody is going to read that.

httpx has a command line of its own and structlog a renderer for developers. Both draw with rich and pygments where
those are installed, and they are, for the tables of our other commands: 4 MiB and 120 modules that `serve`, which
prints JSON lines, would keep for as long as it runs. Both libraries are written to do without (`except ImportError`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DRAWING = ("rich", "pygments")


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let importing these fail while the block lasts, as if they were not installed; what is imported already stays."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python itself notes that there is no such module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
