"""From a verified delivery to a recorded decision: read it, hand the store what it takes to judge it, wake the loops.

No call leaves the bot before the answer: what the payload does not tell is found out later, in the build's life.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from buildbot.domain.decision import judge
from buildbot.engine.setup import Setup
from buildbot.ports import Delivery, Recorded, Recording, Store
from buildbot.telemetry import DELIVERIES

log = structlog.get_logger(__name__)


class Intake:
    """Takes deliveries. `wake` is called after each that left something to do."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    async def take(self, delivery: Delivery, setup: Setup) -> Recorded:
        """Read, judge and record a delivery by the setup that it was proven by. Raises BadPayload naming the field,
        StoreUnavailable."""
        reading = setup.hooks[delivery.forge].webhook.read(delivery.event, delivery.payload)
        recorded = await self._store.record(
            Recording(
                forge=delivery.forge,
                guid=delivery.id,
                event=delivery.event,
                received_at=delivery.received_at,
                reading=reading,
                judge=lambda push, standing: judge(push, standing, setup.rules),
                wording=setup.wording,
            )
        )
        DELIVERIES.labels(delivery.forge, recorded.decision).inc()
        log.info(
            "delivery recorded",
            event_kind=delivery.event,
            decision=recorded.decision,
            because=recorded.reason,
            builds=[build.id for build in recorded.builds],
        )
        self._wake()
        return recorded
