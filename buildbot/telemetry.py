"""What the bot tells about itself: JSON lines with the ids bound, and Prometheus metrics.

A line says what changed and why, never a payload, a header or a token: every secret that the configuration names is
known here and struck out of whatever is logged, also out of a library's exception.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STRUCK_OUT = "•••"
SHORTEST_SECRET = 4

REGISTRY = CollectorRegistry()
DELIVERIES = Counter(
    "buildbot_deliveries", "Webhook deliveries by what was made of them", ["forge", "decision"], registry=REGISTRY
)
BUILDS_ENDED = Counter("buildbot_builds_ended", "Builds by how they ended", ["registry", "phase"], registry=REGISTRY)
CALLS = Counter("buildbot_calls", "Calls to registries and forges", ["to", "operation", "outcome"], registry=REGISTRY)
CALL_SECONDS = Histogram("buildbot_call_seconds", "How long calls took", ["to", "operation"], registry=REGISTRY)
STATUS_LAG = Histogram(
    "buildbot_status_lag_seconds",
    "From a status being wanted to the forge having it",
    ["forge"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
ACKNOWLEDGE_SECONDS = Histogram(
    "buildbot_acknowledge_seconds", "From a delivery's first byte to its answer", ["forge"], registry=REGISTRY
)
UNFINISHED_BUILDS = Gauge("buildbot_builds", "Unfinished builds by phase", ["phase"], registry=REGISTRY)
UNDELIVERED_STATUSES = Gauge("buildbot_statuses_due", "Statuses that wait to be posted", registry=REGISTRY)
OLDEST_BUILD = Gauge("buildbot_oldest_build_seconds", "Age of the oldest unfinished build", registry=REGISTRY)
STORE_UP = Gauge("buildbot_store_up", "1 while the store can be read, else 0", registry=REGISTRY)


class Redaction:
    """A structlog step that strikes secrets out of every text of a line."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = tuple(sorted((one for one in secrets if len(one) >= SHORTEST_SECRET), key=len, reverse=True))

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Strike out."""
        return {key: self._clean(value) for key, value in line.items()}

    def _clean(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for secret in self._secrets:
            value = value.replace(secret, STRUCK_OUT)
        return value


def log_to(stream: TextIO | None = None, *, secrets: tuple[str, ...] = (), level: str = "INFO") -> None:
    """Send everything, other libraries' warnings too, as JSON lines to `stream` (standard error by default)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Redaction(secrets),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    lines = logging.StreamHandler(stream or sys.stderr)
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    lines.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)


@contextmanager
def timed_call(to: str, operation: str) -> Iterator[None]:
    """Count a call and how long it took, by how it ended (the name of the error, or "ok")."""
    started, outcome = time.perf_counter(), "cancelled"
    try:
        yield
        outcome = "ok"
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        CALLS.labels(to, operation, outcome).inc()
        CALL_SECONDS.labels(to, operation).observe(time.perf_counter() - started)
