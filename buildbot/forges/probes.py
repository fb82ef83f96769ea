"""What `doctor`'s questions to a forge find out, in the same words for every forge; the questions are its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from buildbot.ports import CallError, CredentialRefused, Refused, Repository, Vanished


class ProbeResult(StrEnum):
    """What a probe found. `UNTOLD`: the answer proves neither; its words say what came instead."""

    YES = "yes"
    NO = "no"
    BAD_CREDENTIAL = "bad-credential"
    UNTOLD = "could-not-tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found, and one line of why for people."""

    result: ProbeResult
    detail: str


async def found(ask: Callable[[], Awaitable[Finding]]) -> Finding:
    """What a probe found, also where the answer is one of the ports' errors."""
    try:
        return await ask()
    except CredentialRefused as error:
        return Finding(ProbeResult.BAD_CREDENTIAL, str(error))
    except (Refused, Vanished) as error:
        return Finding(ProbeResult.NO, str(error))
    except CallError as error:
        return Finding(ProbeResult.UNTOLD, str(error))


def described(full_name: str, now: Repository) -> Finding:
    """A repository that the credential sees, under which name, and whether it is private."""
    renamed = "" if now.full_name.lower() == full_name.lower() else f", now called {now.full_name}"
    kind = "private" if now.private else "public"
    return Finding(ProbeResult.YES, f"{full_name} is there{renamed}: {kind}, default branch {now.default_branch}")
