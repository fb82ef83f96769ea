"""From a verified delivery to a recorded decision: read it, hand the store what it takes to judge it, wake the loops.

No call leaves the bot before the answer: what the payload does not tell is found out later, in the build's life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from buildbot.domain.decision import Standing, Verdict, judge
from buildbot.domain.push import PushEvent
from buildbot.domain.rule import Rule
from buildbot.ports import Delivery, Recorded, Recording, Store, Webhook, Wording
from buildbot.telemetry import DELIVERIES

log = structlog.get_logger(__name__)


class Intake:
    """Takes deliveries. `wake` is called after each that left something to do."""

    def __init__(
        self,
        store: Store,
        webhooks: Mapping[str, Webhook],
        rules: Sequence[Rule],
        wording: Wording,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._rules = tuple(rules)
        self._wording = wording
        self._wake = wake

    async def take(self, delivery: Delivery) -> Recorded:
        """Read, judge and record a delivery. Raises BadPayload naming the field, StoreUnavailable."""
        reading = self._webhooks[delivery.forge].read(delivery.event, delivery.payload)
        recorded = await self._store.record(
            Recording(
                forge=delivery.forge,
                guid=delivery.id,
                event=delivery.event,
                received_at=delivery.received_at,
                reading=reading,
                judge=self._judge,
                wording=self._wording,
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

    def _judge(self, push: PushEvent, standing: Standing) -> Verdict:
        return judge(push, standing, self._rules)
