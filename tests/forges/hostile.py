"""Payloads as nobody means them: any JSON anywhere, and what must hold of whatever is read in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.ports import BadPayload, Webhook

TEXTS = st.text(alphabet=st.characters(exclude_categories=[]), max_size=20)  # lone surrogates and NUL included
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=10
)


def with_value(payload: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """The payload with another value at a dotted path."""
    whole = copy.deepcopy(dict(payload))
    inner, last = _place(whole, path)
    inner[last] = value
    return whole


def lacking(payload: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The payload without what is at a dotted path."""
    whole = copy.deepcopy(dict(payload))
    inner, last = _place(whole, path)
    del inner[last]
    return whole


def assert_read_or_refused(webhook: Webhook, event: str, payload: Mapping[str, object]) -> None:
    """Whatever is in a payload: it is read as values that any database takes, ignored, or refused in one line."""
    try:
        read = webhook.read(event, payload)
    except BadPayload as error:
        said = str(error).encode("utf-8")
        assert said.splitlines() == [said]
        return
    if isinstance(read, Ignored):
        read.reason.encode("utf-8")
        return
    for push in read:
        _assert_storable(push)


def _assert_storable(push: PushEvent) -> None:
    source = push.source
    texts = (push.ref, push.message, push.pusher, push.compare_url, *(push.changed_paths or ()))
    for text in (*texts, source.full_name, source.default_branch, source.html_url, push.archive.url, push.archive.root):
        assert b"\x00" not in (text or "").encode("utf-8")


def _place(whole: Any, path: str) -> tuple[Any, Any]:
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    inner = whole
    for parent in parents:
        inner = inner[parent]
    return inner, last
