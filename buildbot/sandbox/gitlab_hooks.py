"""Webhooks as GitLab delivers them: proven by a token or a signature, given ten seconds, switched off when they fail.

The headers are those of 19.1: `Idempotency-Key` belongs to the delivery and is kept when it is sent again,
`X-Gitlab-Event-UUID` to the event that several hooks may hear of. `webhook-id` and `webhook-timestamp` come with every
delivery; only a hook with a signing token adds `webhook-signature`, made anew with the time of each sending.

From the fourth failure in a row a hook is off for a minute, doubling up to a day; at the fortieth it stays off. A
delivery that meets a switched-off hook is not sent, and its attempt says so.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Json = dict[str, Any]
PATIENCE_SECONDS = 10.0
FAILURES_ALLOWED = 3
FAILURES_FOR_GOOD = 40
LONGEST_PAUSE = timedelta(days=1)
SIGNING_PREFIX = "whsec_"
NOT_SENT = -1


@dataclass(slots=True)
class Hook:
    """Where events are sent. A hook without a project is the instance's system hook."""

    id: int
    uuid: str
    url: str
    token: str | None = field(default=None, repr=False)
    signing_token: str | None = field(default=None, repr=False)
    push_events: bool = True
    tag_push_events: bool = True
    pipeline_events: bool = False
    project_id: int | None = None
    failures: int = 0
    disabled_until: datetime | None = None

    def hears(self, kind: str) -> bool:
        """The hook is subscribed to this kind of object ("push", "tag_push", "pipeline")."""
        return {"push": self.push_events, "tag_push": self.tag_push_events, "pipeline": self.pipeline_events}[kind]

    def note(self, *, is_success: bool, now: datetime) -> None:
        """Count what came of a delivery, and switch the hook off if it fails too often."""
        if is_success:
            self.failures, self.disabled_until = 0, None
            return
        self.failures += 1
        if self.failures >= FAILURES_FOR_GOOD:
            self.disabled_until = datetime.max.replace(tzinfo=UTC)
        elif self.failures > FAILURES_ALLOWED:
            doublings = min(self.failures - FAILURES_ALLOWED - 1, 11)
            self.disabled_until = now + min(timedelta(minutes=2**doublings), LONGEST_PAUSE)

    def describe(self) -> Json:
        """The hook as the API shows it: never with its secrets."""
        return {
            "id": self.id,
            "url": self.url,
            "project_id": self.project_id,
            "push_events": self.push_events,
            "tag_push_events": self.tag_push_events,
            "pipeline_events": self.pipeline_events,
            "signing_token_present": self.signing_token is not None,
            "alert_status": "executable" if self.disabled_until is None else "temporarily_disabled",
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one hook, ready to be sent."""

    key: str
    event_uuid: str
    event: str
    hook: Hook
    payload: Json = field(repr=False)
    instance: str

    @property
    def body(self) -> bytes:
        """The bytes that go over the wire."""
        return json.dumps(self.payload, ensure_ascii=False, separators=(",", ":")).encode()

    def headers(self, now: datetime) -> dict[str, str]:
        """GitLab's headers of a sending at `now`."""
        timestamp = str(int(now.timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "GitLab/19.1.0",
            "Idempotency-Key": self.key,
            "X-Gitlab-Event": self.event,
            "X-Gitlab-Webhook-UUID": self.hook.uuid,
            "X-Gitlab-Instance": self.instance,
            "X-Gitlab-Event-UUID": self.event_uuid,
            "webhook-id": self.key,
            "webhook-timestamp": timestamp,
            **({"X-Gitlab-Token": self.hook.token} if self.hook.token else {}),
            **self._signature(timestamp),
        }

    def _signature(self, timestamp: str) -> dict[str, str]:
        if self.hook.signing_token is None:
            return {}
        return {"webhook-signature": signature(self.hook.signing_token, self.key, timestamp, self.body)}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that was sent. `status_code` is 0 when no answer came, `NOT_SENT` when the hook is switched off."""

    id: int
    delivery: Delivery
    delivered_at: datetime
    status_code: int
    answer: str

    def describe(self) -> Json:
        """An item of the API's list of a hook's events."""
        return {
            "id": self.id,
            "url": self.delivery.hook.url,
            "trigger": "tag_push_hooks" if self.delivery.event == "Tag Push Hook" else "push_hooks",
            "request_headers": self._shown_headers(),
            "request_data": self.delivery.payload,
            "response_status": str(self.status_code) if self.status_code > 0 else "internal error",
            "response_body": self.answer,
            "execution_duration": 0.1,
        }

    def _shown_headers(self) -> dict[str, str]:
        sent = self.delivery.headers(self.delivered_at)
        return {name: "[REDACTED]" if name == "X-Gitlab-Token" else value for name, value in sent.items()}


class HookSender:
    """Sends deliveries and keeps the log of them. Without a client every sending opens its own connection."""

    def __init__(self, now: Callable[[], datetime], client: httpx.AsyncClient | None = None) -> None:
        self.log: list[Attempt] = []
        self.client = client
        self._now = now
        self._ids = itertools.count(1)

    async def send(
        self, delivery: Delivery, *, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Attempt:
        """Send once and write down what came back; a refused connection is a result, not an exception.

        `body` and `headers` are a tamperer's: they replace what goes over the wire after it was signed, and a header of
        None is taken away.
        """
        now, hook = self._now(), delivery.hook
        if hook.disabled_until is not None and now < hook.disabled_until:
            return self._noted(delivery, now, NOT_SENT, "the hook is switched off")
        on_the_wire = delivery.headers(now) | dict(headers or {})
        kept = {name: value for name, value in on_the_wire.items() if value is not None}
        code, answer = await self._post(hook.url, delivery.body if body is None else body, kept)
        hook.note(is_success=200 <= code < 300, now=now)
        return self._noted(delivery, now, code, answer)

    def _noted(self, delivery: Delivery, at: datetime, code: int, answer: str) -> Attempt:
        attempt = Attempt(next(self._ids), delivery, at, code, answer)
        self.log.append(attempt)
        return attempt

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        client = self.client or httpx.AsyncClient()
        try:
            answer = await client.post(
                url, content=body, headers=headers, timeout=PATIENCE_SECONDS, follow_redirects=False
            )
        except httpx.TransportError:
            return 0, ""
        finally:
            if client is not self.client:
                await client.aclose()
        return answer.status_code, answer.text


def signature(signing_token: str, id_: str, timestamp: str, body: bytes) -> str:
    """`webhook-signature` as Standard Webhooks makes it."""
    key = base64.b64decode(signing_token.removeprefix(SIGNING_PREFIX))
    digest = hmac.digest(key, f"{id_}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
