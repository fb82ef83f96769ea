"""What the figures were measured on: nobody can use them without knowing."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.figures import median, milliseconds

FLUSHES = 30


def described(folder: Path) -> str:
    """The machine and the day in a few sentences; the folder is where the databases are."""
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"Measured on {today}: {python}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors"
        f"{_model()}, {_memory()}. Everything of a benchmark shares them: the program, the load, Quay and GitHub."
        f" A flush to the disk of the databases takes {milliseconds(flush_seconds(folder))} here."
    )


def flush_seconds(folder: Path) -> float:
    """How long it takes to have a few bytes on the disk for certain."""
    spans = []
    with TemporaryDirectory(dir=folder) as own, (Path(own) / "flushed").open("wb") as file:
        for _ in range(FLUSHES):
            began = time.perf_counter()
            file.write(b"x" * 512)
            file.flush()
            os.fsync(file.fileno())
            spans.append(time.perf_counter() - began)
    return median(spans)


def _model() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory"
