"""A registry or a forge as the loops use it: the adapter, together with the line that says when it may be called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from buildbot.domain.lifecycle import Limits
from buildbot.engine.pacing import Line, RegistryLine
from buildbot.ports import Forge, Registry


@dataclass(frozen=True, slots=True)
class RegistrySite:
    """A registry with everything that says how to use it. `settle_time`: the slowest effect of a lost call."""

    key: str
    registry: Registry
    line: RegistryLine
    limits: Limits
    settle_time: timedelta


@dataclass(frozen=True, slots=True)
class ForgeSite:
    """A forge and the line to it."""

    key: str
    forge: Forge
    line: Line
