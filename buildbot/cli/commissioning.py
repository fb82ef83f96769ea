"""A build without a push: the rule is asked as for a push that happened just now, of the commit that the ref has now.

The rule decides as it always does, so that a person cannot build what no push could: a ref that it does not admit is
refused with the rule's own reason. Only path filters are passed over: what a person asks for is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from buildbot.cli.hypothetical import hypothetical_push
from buildbot.config import ForgeConfig
from buildbot.domain.build import Build, BuildRequest
from buildbot.domain.push import Source
from buildbot.domain.rule import Planned, Rule, plan_builds
from buildbot.ports import Commission, Forge, NotPossible, Store, Wording


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants built: by which rule, of which repository ("owner/name") and ref, and who wants it."""

    rule: Rule
    full_name: str
    ref: str
    by: str


async def plan_wish(wish: Wish, forge: Forge, config: ForgeConfig) -> tuple[Commission, Planned]:
    """What the wish comes to now. Raises NotPossible with the rule's reason, and the forge's `CallError`s."""
    found = await forge.repository(wish.full_name)
    source = Source(config.key, found.id, found.full_name, found.private, found.default_branch, found.html_url)
    commit = await forge.head(found.full_name, wish.ref)
    (plan,) = plan_builds(hypothetical_push(config, source, wish.ref, commit, None), [wish.rule])
    if not isinstance(plan, Planned):
        renamed = "" if found.full_name.lower() == wish.full_name.lower() else f" ({wish.full_name} has that name now)"
        raise NotPossible(f"rule {wish.rule.name} does not build {found.full_name} {wish.ref}{renamed}: {plan.reason}")
    return Commission(source, wish.ref, commit, _wanted(plan.request), wish.by), plan


def _wanted(request: BuildRequest) -> BuildRequest:
    # A person does not wait for the ref to be quiet.
    return replace(request, comparison=None, is_dockerfile_in_doubt=True, quiet_period=timedelta())


async def commission(store: Store, asked: Commission, now: datetime, wording: Wording) -> Build:
    """Write the build down; a running `serve` takes it from there."""
    return await store.commission(asked, now, wording)
