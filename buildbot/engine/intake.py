"""From a verified delivery to a recorded decision: read it, hand the store what it takes to judge it, wake the loops.

No call leaves the bot before the answer: what the payload does not tell is found out later, in the build's life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from buildbot.domain.push import SWEEP, PushEvent
from buildbot.engine.rush import Rush
from buildbot.engine.setup import Setup
from buildbot.ports import Delivery, Recorded, Recording, Store
from buildbot.telemetry import DELIVERIES

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A push that a look at the forge showed: since when that is known, and when it is believed."""

    push: PushEvent
    first_seen: datetime
    at: datetime


class Intake:
    """Takes deliveries. `wake` is called after each that left something to do; `rush` learns of every one."""

    def __init__(self, store: Store, wake: Callable[[], None], rush: Rush | None = None) -> None:
        self._store = store
        self._wake = wake
        self._rush = rush or Rush()

    async def take(self, delivery: Delivery, setup: Setup) -> Recorded:
        """Read, judge and record a delivery by the setup that it was proven by. Raises BadPayload naming the field,
        StoreUnavailable."""
        reading = setup.hooks[delivery.forge].webhook.read(delivery.event, delivery.payload)
        return await self._record(
            Recording(
                forge=delivery.forge,
                guid=delivery.id,
                event=delivery.event,
                received_at=delivery.received_at,
                reading=reading,
                judge=setup.judge,
                wording=setup.wording,
            )
        )

    async def take_swept(self, seen: Sighting, setup: Setup) -> Recorded:
        """Judge and record a push that nobody told of as if it had been told. Raises StoreUnavailable.

        Its delivery id is made of what was seen and when: seen again after a crash it is the same delivery, and a ref
        that comes to the same commit another time is another one.
        """
        push, first_seen = seen.push, seen.first_seen
        place = f"{push.source.repository_id}:{push.ref}:{push.after}"
        return await self._record(
            Recording(
                forge=push.source.forge,
                guid=f"{SWEEP}:{place}:{first_seen:%Y%m%dT%H%M%S%fZ}",
                event=SWEEP,
                received_at=seen.at,
                reading=(push,),
                judge=setup.judge,
                wording=setup.wording,
            )
        )

    async def _record(self, recording: Recording) -> Recorded:
        with self._rush.taking():
            recorded = await self._store.record(recording)
        DELIVERIES.labels(recording.forge, recorded.decision).inc()
        log.info(
            "delivery recorded",
            event_kind=recording.event,
            decision=recorded.decision,
            because=recorded.reason,
            builds=[build.id for build in recorded.builds],
        )
        self._wake()
        return recorded
