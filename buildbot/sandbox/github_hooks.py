"""Webhooks as GitHub delivers them: signed, logged, given ten seconds, and never sent a second time by themselves.

What is sent (`Delivery`) and the sending of it (`Attempt`) are two things, because tests need to do to deliveries what
the network does: hold them back, change their order, send them twice, under another GUID, or tampered with. The GUID
names the event: all hooks that hear of an event share it, and a redelivery keeps it.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from urllib.parse import quote_plus

import httpx

from buildbot.sandbox.github_payloads import Json, timestamp

PATIENCE_SECONDS = 10.0
LARGEST_PAYLOAD_BYTES = 25 * 1024 * 1024
ContentType = Literal["json", "form"]


@dataclass(frozen=True, slots=True)
class Hook:
    """Where events are sent: a repository's hook, an organisation's or an App's, by which of the last is set."""

    id: int
    url: str
    created_at: datetime
    secret: str | None = field(default=None, repr=False)
    content_type: ContentType = "json"
    events: tuple[str, ...] = ("*",)
    active: bool = True
    repository_id: int | None = None
    app_id: int | None = None
    organization: str | None = None

    def hears(self, event: str) -> bool:
        """The hook is on and subscribed to the event."""
        return self.active and ("*" in self.events or event in self.events)

    def describe(self, api: str) -> Json:
        """The hook as `ping` and the API show it; `api` is the URL of what it belongs to."""
        config = {"content_type": self.content_type, "url": self.url, "insecure_ssl": "0"}
        shown = {
            "type": "App" if self.app_id else "Organization" if self.organization else "Repository",
            "id": self.id,
            "name": "web",
            "active": self.active,
            "events": list(self.events),
            "config": config | ({"secret": "********"} if self.secret else {}),
            "updated_at": timestamp(self.created_at),
            "created_at": timestamp(self.created_at),
        }
        if self.app_id:
            return shown | {"app_id": self.app_id, "deliveries_url": f"{api}/hook/deliveries"}
        url = f"{api}/hooks/{self.id}"
        return shown | {
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one hook, ready to be sent."""

    id: int
    guid: str
    event: str
    hook: Hook
    payload: Json = field(repr=False)
    enterprise_headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The bytes that go over the wire."""
        text = json.dumps(self.payload, ensure_ascii=False, separators=(",", ":"))
        return f"payload={quote_plus(text)}".encode() if self.hook.content_type == "form" else text.encode()

    @property
    def headers(self) -> dict[str, str]:
        """GitHub's headers; the signatures only if the hook has a secret, over the body as sent."""
        hook = self.hook
        target = "integration" if hook.app_id else "organization" if hook.organization else "repository"
        form = hook.content_type == "form"
        return {
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
            "User-Agent": f"GitHub-Hookshot/{hook.id:07x}",
            "X-GitHub-Delivery": self.guid,
            "X-GitHub-Event": self.event,
            "X-GitHub-Hook-ID": str(hook.id),
            "X-GitHub-Hook-Installation-Target-ID": str(hook.app_id or hook.repository_id or hook.id),
            "X-GitHub-Hook-Installation-Target-Type": target,
            **(signatures(hook.secret, self.body) if hook.secret else {}),
            **dict(self.enterprise_headers),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that was sent. `status_code` is 0 when no answer came, and `status` then says why."""

    id: int
    delivery: Delivery
    redelivery: bool
    delivered_at: datetime
    status: str
    status_code: int
    answer: str

    def describe(self) -> Json:
        """An item of the deliveries lists of the API."""
        payload = self.delivery.payload
        return {
            "id": self.id,
            "guid": self.delivery.guid,
            "delivered_at": timestamp(self.delivered_at),
            "redelivery": self.redelivery,
            "duration": 0.1,
            "status": self.status,
            "status_code": self.status_code,
            "event": self.delivery.event,
            "action": None,
            "installation_id": payload.get("installation", {}).get("id"),
            "repository_id": payload.get("repository", {}).get("id"),
            "throttled_at": None,
        }


class Hookshot:
    """Sends deliveries and keeps the log of them. Without a client every sending opens its own connection."""

    def __init__(self, now: Callable[[], datetime], client: httpx.AsyncClient | None = None) -> None:
        self.log: list[Attempt] = []
        self.client = client
        self.largest_payload_bytes = LARGEST_PAYLOAD_BYTES
        self._now = now
        self._ids = itertools.count(70_000_000_001)

    async def send(
        self,
        delivery: Delivery,
        *,
        guid: str | None = None,
        redelivery: bool = False,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send once and write down what came back; a refused connection is a result, not an exception.

        `body` and `headers` are a tamperer's: they replace what goes over the wire after it was signed, and a header of
        None is taken away. A new `guid` is GitHub's own doing, and the body keeps its signature.
        """
        sent = replace(delivery, guid=guid) if guid else delivery
        at = self._now()
        on_the_wire = sent.headers | dict(headers or {})
        kept = {name: value for name, value in on_the_wire.items() if value is not None}
        status, code, answer = await self._post(sent.hook.url, sent.body if body is None else body, kept)
        attempt = Attempt(next(self._ids), sent, redelivery, at, status, code, answer)
        self.log.append(attempt)
        return attempt

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[str, int, str]:
        client = self.client or httpx.AsyncClient()
        try:
            answer = await client.post(
                url, content=body, headers=headers, timeout=PATIENCE_SECONDS, follow_redirects=False
            )
        except httpx.TimeoutException:
            return "timed out", 0, ""
        except httpx.TransportError:
            return "failed to connect to host", 0, ""
        finally:
            if client is not self.client:
                await client.aclose()
        status = "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}"
        return status, answer.status_code, answer.text


def signatures(secret: str, body: bytes) -> dict[str, str]:
    """Both signature headers of a body: the one that counts and the legacy one."""
    key = secret.encode()
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
