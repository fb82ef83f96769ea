"""Webhooks as Gitea and Forgejo deliver them: four families of headers side by side, five seconds, no second try.

Forgejo adds a family of its own to Gitea's, Gogs' and GitHub's. Every family has its signature header, also where the
hook has no secret: then it is empty. A form is signed over the JSON in it, not over its bytes. What is replayed from
the hook's page gets a new UUID.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from buildbot.sandbox.posting import posted

Json = dict[str, Any]
ContentType = Literal["json", "form"]
HookKind = Literal["gitea", "forgejo"]
PATIENCE_SECONDS = 5.0
DEFAULT_EVENTS = ("push", "create", "delete")


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a repository's events are sent. `kind` is what was chosen when it was added; only Forgejo has both."""

    id: int
    url: str
    repository_id: int
    secret: str = field(default="", repr=False)
    content_type: ContentType = "json"
    events: tuple[str, ...] = DEFAULT_EVENTS
    kind: HookKind = "gitea"
    active: bool = True

    def hears(self, event: str) -> bool:
        """The hook is on and subscribed to the event."""
        return self.active and event in self.events


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one hook, ready to be sent. `families` are those of its headers that are signed bare."""

    uuid: str
    event: str
    hook: Hook
    payload: Json = field(repr=False)
    families: tuple[str, ...]

    @property
    def json(self) -> bytes:
        """The payload as text, which is what is signed."""
        return json.dumps(self.payload, ensure_ascii=False, indent=2).encode()

    @property
    def body(self) -> bytes:
        """The bytes that go over the wire."""
        return urlencode({"payload": self.json}).encode() if self.hook.content_type == "form" else self.json

    @property
    def headers(self) -> dict[str, str]:
        """The headers of all families."""
        form = self.hook.content_type == "form"
        sha1, sha256 = self._signature("sha1"), self._signature("sha256")
        named = {
            f"X-{family}-{suffix}": value
            for family in self.families
            for suffix, value in (
                ("Delivery", self.uuid),
                ("Event", self.event),
                ("Event-Type", self.event),
                ("Signature", sha256),
            )
        }
        return named | {
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
            "User-Agent": "Go-http-client/1.1",
            "X-GitHub-Delivery": self.uuid,
            "X-GitHub-Event": self.event,
            "X-GitHub-Event-Type": self.event,
            "X-Hub-Signature": f"sha1={sha1}",
            "X-Hub-Signature-256": f"sha256={sha256}",
        }

    def _signature(self, digest: str) -> str:
        return hmac.digest(self.hook.secret.encode(), self.json, digest).hex() if self.hook.secret else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that was sent. `status_code` is 0 when no answer came, and `answer` then says why."""

    delivery: Delivery
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
        self,
        delivery: Delivery,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send once and write down what came back.

        `body` and `headers` are a tamperer's: they replace what goes over the wire after it was signed, and a header of
        None is taken away.
        """
        on_the_wire = delivery.headers | dict(headers or {})
        kept = {name: value for name, value in on_the_wire.items() if value is not None}
        sent = delivery.body if body is None else body
        code, answer = await posted(self.client, delivery.hook.url, sent, kept, PATIENCE_SECONDS)
        self.log.append(Attempt(delivery, self._now(), code, answer))
        return self.log[-1]

    async def replay(self, attempt: Attempt) -> Attempt:
        """Send it again from the hook's page: the same payload under a new UUID."""
        return await self.send(replace(attempt.delivery, uuid=str(uuid.uuid4())))
