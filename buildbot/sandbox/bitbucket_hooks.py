"""Webhooks as Bitbucket's two products deliver them: signed, given ten seconds; Cloud tries again at once after a 5xx.

Cloud sends a delivery that was answered 5xx up to two more times, immediately, under the same `X-Request-UUID`
(believed, not documented) and with `X-Attempt-Number`; a 4xx never. A body over 256 KB it does not send at all, and
says so nowhere. Data Center calls the id `X-Request-Id` and sends once.
"""

from __future__ import annotations

import hmac
import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from buildbot.sandbox.posting import posted

Json = dict[str, Any]
PATIENCE_SECONDS = 10.0
LARGEST_PAYLOAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a repository's events are sent."""

    uuid: str
    url: str
    repository_id: int
    secret: str | None = field(default=None, repr=False)
    events: tuple[str, ...] = ("repo:push",)


@dataclass(frozen=True, slots=True)
class Product:
    """What differs in sending: the header of a delivery's id, how often it is tried, how large it may be."""

    user_agent: str
    id_header: str
    tries: int
    largest_bytes: int | None = None


CLOUD = Product("Bitbucket-Webhooks/2.0", "X-Request-UUID", 3, LARGEST_PAYLOAD_BYTES)
DATA_CENTER = Product("Atlassian HttpClient 4.1 / Bitbucket-9.4.0 / Default", "X-Request-Id", 1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one hook, ready to be sent."""

    id: str
    event: str
    hook: Hook
    payload: Json = field(repr=False)
    product: Product = CLOUD

    @property
    def body(self) -> bytes:
        """The bytes that go over the wire."""
        return json.dumps(self.payload, separators=(",", ":")).encode()

    @property
    def is_sent(self) -> bool:
        """Not over the product's limit."""
        return self.product.largest_bytes is None or len(self.body) <= self.product.largest_bytes

    def headers(self, attempt: int = 1) -> dict[str, str]:
        """Bitbucket's headers of one attempt; the signature only if the hook has a secret."""
        cloud = {"X-Attempt-Number": str(attempt), "X-Hook-UUID": self.hook.uuid} if self.product is CLOUD else {}
        return {
            "Content-Type": "application/json" if self.product is CLOUD else "application/json; charset=utf-8",
            "User-Agent": self.product.user_agent,
            "X-Event-Key": self.event,
            self.product.id_header: self.id,
            **cloud,
            **({"X-Hub-Signature": signature(self.hook.secret, self.body)} if self.hook.secret else {}),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that was sent, for the how-manieth time. `status_code` is 0 when no answer came."""

    delivery: Delivery
    number: int
    delivered_at: datetime
    status_code: int
    answer: str


class HookSender:
    """Sends deliveries and keeps the log of them. Without a client every sending opens its own connection."""

    def __init__(self, now: Callable[[], datetime], client: httpx.AsyncClient | None = None) -> None:
        self.log: list[Attempt] = []
        self.client = client
        self._now = now

    async def send(
        self, delivery: Delivery, *, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Attempt:
        """Send, again where the product does, and write down what came back; the last attempt is returned.

        `body` and `headers` are a tamperer's: they replace what goes over the wire after it was signed, and a header of
        None is taken away.
        """
        for number in itertools.count(1):
            on_the_wire = delivery.headers(number) | dict(headers or {})
            kept = {name: value for name, value in on_the_wire.items() if value is not None}
            attempt = await self._once(delivery, number, delivery.body if body is None else body, kept)
            if attempt.status_code < 500 or number == delivery.product.tries:
                break
        return attempt

    async def _once(self, delivery: Delivery, number: int, body: bytes, headers: dict[str, str]) -> Attempt:
        at = self._now()
        code, answer = await posted(self.client, delivery.hook.url, body, headers, PATIENCE_SECONDS)
        self.log.append(Attempt(delivery, number, at, code, answer))
        return self.log[-1]


def signature(secret: str, body: bytes) -> str:
    """`X-Hub-Signature` of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


def new_uuid() -> str:
    """An id as Bitbucket writes them, in braces."""
    return "{" + str(uuid.uuid4()) + "}"
