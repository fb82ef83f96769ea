"""`python -m tests.benchmarks [name…]`: measure, show the tables, and with `--write` put them into the document."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

from tests.benchmarks import calls, document, following, intake, requesting, size
from tests.benchmarks.contestants import HAS_GIDGETHUB
from tests.benchmarks.machine import described
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import POSTGRESQL, SQLITE
from tests.benchmarks.table import Table

BENCHMARKS: dict[str, Callable[[Scale], list[Table]]] = {
    "intake": intake.measure,
    "requesting": requesting.measure,
    "following": following.measure,
    "calls": calls.measure,
    "size": size.measure,
}


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of everything that is measured in real time")
    parser.add_argument("--share", type=float, default=1.0, help="the share of a full run's items, for a quick look")
    parser.add_argument("--store", choices=(SQLITE, POSTGRESQL), default=SQLITE, help="the bot's database")
    parser.add_argument("--folder", type=Path, default=Path(gettempdir()), help="where databases are: on a real disk")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    return parser


def main() -> None:
    """Run what is asked for. A target that is missed is told, and no error: figures are not tests."""
    parser = arguments()
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there is {', '.join(BENCHMARKS)}")
    if not HAS_GIDGETHUB:
        print("without baseline (c): it needs the `bench` extra (gidgethub and aiohttp)", file=sys.stderr)
    scale = Scale(asked.folder, asked.rounds, asked.share, asked.store)
    for name in asked.names or BENCHMARKS:
        tables = _measured(name, scale)
        if asked.write:  # each at once: a run that is broken off keeps what it has found
            document.write({name: tables}, described(asked.folder), scale)


def _measured(name: str, scale: Scale) -> list[Table]:
    began = time.perf_counter()
    print(f"## {name}", flush=True)
    tables = BENCHMARKS[name](scale)
    for table in tables:
        print(f"\n{table.markdown()}", flush=True)
    print(f"({name}: {time.perf_counter() - began:.0f} s)\n", flush=True)
    return tables


if __name__ == "__main__":
    main()
