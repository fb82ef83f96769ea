"""Golden pairs: a payload, and beside it a `.golden` file that says what must be read in it.

A case is two files in a forge's `payloads` folder and no code; `test_golden` takes every pair it finds. The golden is
an object with `event` and `what`, and then what `as_golden` gives: for several pushes in one delivery `kind` is
"pushes" and `pushes` the list of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildbot.domain.push import Ignored, PushEvent
from buildbot.ports import BadPayload, Webhook

HERE = Path(__file__).parent
PAYLOAD_SUFFIXES = frozenset({".json", ".form"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A payload and its golden."""

    forge: str
    golden: Path

    @property
    def name(self) -> str:
        """What pytest calls it."""
        return f"{self.forge}/{self.golden.name.removesuffix('.golden')}"

    @property
    def expected(self) -> dict[str, Any]:
        """What the golden says."""
        loaded: dict[str, Any] = json.loads(self.golden.read_bytes())
        return loaded

    @property
    def body(self) -> bytes:
        """The payload as it was sent."""
        return self.golden.with_suffix("").read_bytes()


def folder(forge: str) -> Path:
    """Where a forge's payloads are."""
    return HERE / forge / "payloads"


def pairs(forge: str) -> list[Pair]:
    """All of a forge's pairs."""
    return [Pair(forge, golden) for golden in sorted(folder(forge).glob("*.golden"))]


def read_pair(webhook: Webhook, pair: Pair) -> dict[str, Any]:
    """What is read in a payload, in the words of its golden."""
    expected = pair.expected
    headers = {"content-type": str(expected.get("content_type", "application/json")).encode()}
    try:
        return as_golden(webhook.read(expected["event"], webhook.decode(headers, pair.body)))
    except BadPayload as error:
        return {"kind": "malformed", "reason": str(error)}


def as_golden(read: tuple[PushEvent, ...] | Ignored) -> dict[str, Any]:
    """What was read, in the words of a golden."""
    if isinstance(read, Ignored):
        return {"kind": "ping" if read.reason.startswith("ping: ") else "ignored", "reason": read.reason}
    if len(read) != 1:
        return {"kind": "pushes", "pushes": [_push(one) for one in read]}
    return _push(read[0])


def _push(push: PushEvent) -> dict[str, Any]:
    return {
        "kind": "push",
        "repository": push.source.full_name,
        "ref_type": str(push.kind),
        "ref_name": push.ref_name,
        "before": push.before,
        "after": push.after,
        "commit": push.commit,
        "created": push.before is None and not push.is_deletion,
        "deleted": push.is_deletion,
        "forced": push.forced,
        "default_branch": push.source.default_branch,
        "changed_paths": None if push.changed_paths is None else list(push.changed_paths),
        "commit_message": push.message,
        "pushed_at": None if push.pushed_at is None else push.pushed_at.timestamp(),
    }
