"""What the bot tells about itself: JSON lines with the ids bound, and Prometheus metrics.

A line says what changed and why, never a payload, a header or a token: every secret that the configuration names is
known here and struck out of whatever is logged, also out of a library's exception.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

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
INSTANCES = Gauge("buildbot_instances", "Instances that share the database, this one included", registry=REGISTRY)
ROUND_LOOKS = Counter(
    "buildbot_round_looks",
    "Looks for pushes that never arrived, by how they ended",
    ["round", "outcome"],
    registry=REGISTRY,
)
ROUND_FOUND = Counter("buildbot_round_found", "What rounds found that had never arrived", ["round"], registry=REGISTRY)
ROUND_AGE = Gauge(
    "buildbot_round_age_seconds", "How long ago a round was last gone to its end", ["round"], registry=REGISTRY
)
CONFIG_RELOADS = Counter(
    "buildbot_config_reloads", "Times the configuration was read again, by the result", ["result"], registry=REGISTRY
)
CONFIG_RELOAD_WORKED = Gauge(
    "buildbot_config_last_reload_success", "1 while the configuration's newest version is in force", registry=REGISTRY
)
CONFIG_SINCE = Gauge(
    "buildbot_config_last_reload_success_timestamp_seconds",
    "When the configuration in force was read, as Unix time",
    registry=REGISTRY,
)
STORE_UP = Gauge("buildbot_store_up", "1 while the store can be read, else 0", registry=REGISTRY)


class Redaction:
    """A structlog step that strikes secrets out of everything a line holds, however deep and however spelled."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: tuple[str, ...] = ()
        self._in_json: tuple[str, ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Strike these out from now on, and all that were known before: what was a secret may still be one somewhere,
        and a call that began with it may yet fail and tell of it."""
        spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._spellings = tuple(sorted(spellings.union(self._spellings), key=len, reverse=True))
        self._in_json = tuple({_json(spelling)[1:-1] for spelling in self._spellings})

    def rendered(self, logger: object, method: str, line: MutableMapping[str, Any]) -> str:
        """The line as JSON, struck out. Nearly no line has a secret in it, and to see that in the finished text costs
        a fraction of going through everything that it holds."""
        try:
            text = _json(line)
        except TypeError:  # a key that JSON does not have
            return _json(self(logger, method, line))
        return _json(self(logger, method, line)) if any(secret in text for secret in self._in_json) else text

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Strike out."""
        return {key: self._clean(value) for key, value in line.items()}

    def _clean(self, value: Any) -> Any:
        match value:
            case str():
                return self._struck(value)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self._struck(str(key)): self._clean(member) for key, member in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean(member) for member in value]
            case _:
                return self._struck(str(value))

    def _struck(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, STRUCK_OUT)
        return text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (set, frozenset)) else str(value)


def _spellings(secret: str) -> Iterator[str]:
    """The secret as addresses, reprs and JSON spell it; of one with several lines (a key) each line, too."""
    for piece in (secret, *secret.splitlines()):
        if len(piece) >= SHORTEST_SECRET:
            yield from (piece, quote(piece, safe=""), quote_plus(piece), json.dumps(piece)[1:-1])
            yield from (repr(piece)[1:-1], repr(piece)[1:-1].replace("'", "\\'"))


def log_to(stream: TextIO | None = None, *, secrets: Iterable[str] = (), level: str = "INFO") -> Redaction:
    """Send everything, other libraries' warnings too, as JSON lines to `stream` (standard error by default).

    What it gives can be taught more secrets.
    """
    redaction = Redaction(secrets)
    told_of: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    written: list[Any] = [redaction.rendered]
    structlog.configure(
        processors=[*told_of, *written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter
    lines = logging.StreamHandler(stream or sys.stderr)
    lines.setFormatter(formatter(foreign_pre_chain=told_of, processors=[formatter.remove_processors_meta, *written]))
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
    return redaction


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
