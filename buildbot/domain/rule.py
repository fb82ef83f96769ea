"""Rules: which pushes become builds, and of what. `plan_builds` answers for every rule, with the reason when it is no.

Everything is decided from values in hand: the push as the payload tells it, and what is known of the ref's history. A
path filter skips only on proof. A listed path that matches is proof that it builds; a list without one proves the
contrary only where it is whole, the push not forced and none before it missing. Else the forge has to be asked, which a
webhook has no time for: the build is planned with a `Comparison`, which is made in the build's life.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from buildbot.domain.build import BuildRequest, Comparison, GoalKind
from buildbot.domain.image import Unfilled, facts_of, fill, image_tag, repository_name
from buildbot.domain.lifecycle import overlap
from buildbot.domain.pattern import deciding, is_literal, matches, touches
from buildbot.domain.push import PushEvent, RefKind, Source

DEFAULT_DOCKERFILE = "Dockerfile"
DEFAULT_STATUS_CONTEXT = "quay/{rule}"
STATUS_CONTEXT_LENGTH = 255


class Supersede(StrEnum):
    """What a newer push does to the unfinished builds of the same ref under the same rule."""

    CANCEL = "cancel"
    QUEUED = "queued"
    KEEP = "keep"


class ArchiveRoute(StrEnum):
    """How Quay's builder gets at the source: from the forge itself, through the bot, or whichever works."""

    AUTO = "auto"
    DIRECT = "direct"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rules]]` table. `source` is "owner/name" or a pattern of it, `repository` the Quay repository's template.

    `dockerfile` and `context` are paths from the source repository's root, normalised; "" is the root. `revision_file`
    is where the archive says which commit it is, for whoever looks into the image; with `submodules` it holds those
    too. `can_relay`: builders can reach the bot, so that it may serve the source itself.
    """

    name: str
    forge: str
    source: str
    registry: str
    repository: str
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    image_tags: tuple[str, ...] = ("{ref}",)
    context: str = ""
    dockerfile: str | None = None
    status_context: str = DEFAULT_STATUS_CONTEXT
    supersede: Supersede | None = None
    pull_robot: str | None = None
    timeout: timedelta | None = None
    source_has_case: bool = False
    archive: ArchiveRoute = ArchiveRoute.AUTO
    revision_file: str | None = None
    submodules: bool = False
    can_relay: bool = False
    quiet_period: timedelta = timedelta()

    def covers(self, source: Source) -> bool:
        """Whether the rule speaks of this source repository. Names compare without case unless told otherwise."""
        return source.forge == self.forge and matches((self._case(self.source),), self._case(source.full_name))

    def _case(self, name: str) -> str:
        return name if self.source_has_case else name.lower()

    def patterns(self, kind: RefKind) -> tuple[str, ...]:
        """The patterns for refs of this kind."""
        return self.branches if kind is RefKind.BRANCH else self.tags

    def supersede_for(self, kind: RefKind) -> Supersede:
        """What is configured; by default branches cancel and tags keep."""
        return self.supersede or (Supersede.CANCEL if kind is RefKind.BRANCH else Supersede.KEEP)

    def supersedes(self, kind: RefKind) -> GoalKind | None:
        """What is wanted of an older unfinished build once a newer one is; None: that it goes on."""
        return {Supersede.CANCEL: GoalKind.CANCEL, Supersede.QUEUED: GoalKind.CANCEL_QUEUED}.get(
            self.supersede_for(kind)
        )

    def quiet_for(self, kind: RefKind) -> timedelta:
        """How long a ref has to be quiet: branches only, since nobody pushes git tags in bursts, and people wait for a
        release."""
        return self.quiet_period if kind is RefKind.BRANCH else timedelta()

    @property
    def adds_to_source(self) -> bool:
        """Whether the archive is to hold what no forge's own has, so that only the bot can serve it."""
        return self.revision_file is not None or self.submodules

    @property
    def dockerfile_path(self) -> str:
        """The Dockerfile, from the source repository's root."""
        return self.dockerfile or posixpath.join(self.context, DEFAULT_DOCKERFILE)


class RulesBySource:
    """The rules, to be found by the source repository: most name one, and a push concerns few of thousands."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._patterns = frozenset(at for at, rule in enumerate(rules) if not is_literal(rule.source))
        self._named: dict[tuple[str, str], list[int]] = {}
        for at, rule in enumerate(rules):
            if at not in self._patterns:
                self._named.setdefault((rule.forge, rule.source.lower()), []).append(at)

    def covering(self, source: Source) -> tuple[Rule, ...]:
        """Those that speak of a source repository, in their order."""
        named = self._named.get((source.forge, source.full_name.lower()), ())
        may = (self._rules[at] for at in sorted(self._patterns.union(named)))
        return tuple(rule for rule in may if rule.covers(source))


@dataclass(frozen=True, slots=True)
class Planned:
    """The rule asks for this build. `notes` say which image tags were left out, `warning` that a rival writes one
    too."""

    rule: Rule
    request: BuildRequest
    notes: tuple[str, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The rule asks for nothing, and why. `covers_source`: the rule does speak of this source repository."""

    rule: Rule
    reason: str
    covers_source: bool = True


RulePlan = Planned | Skipped


@dataclass(frozen=True, slots=True)
class Gap:
    """Pushes before this one are missing. `planned` is the commit that each rule planned last for the ref."""

    planned: Mapping[str, str] = field(default_factory=dict)


def plan_builds(push: PushEvent, rules: Iterable[Rule], gap: Gap | None = None) -> tuple[RulePlan, ...]:
    """What each rule makes of a push (no deletion), in the rules' order. `gap`: pushes before this one are missing."""
    return _with_conflicts(tuple(_plan(push, rule, gap) for rule in rules))


def planned(plans: Iterable[RulePlan]) -> tuple[Planned, ...]:
    """The plans that ask for a build."""
    return tuple(plan for plan in plans if isinstance(plan, Planned))


def _plan(push: PushEvent, rule: Rule, gap: Gap | None) -> RulePlan:
    if not rule.covers(push.source):
        return Skipped(rule, f"its source is {rule.source}", covers_source=False)
    if reason := _refuses(push, rule):
        return Skipped(rule, reason)
    if (listed := _listed(push, rule, gap)) is False:
        return Skipped(rule, _in_vain(push.changed_paths or (), rule.paths))
    facts = facts_of(push.source, push.ref, push.commit, rule.name)
    image_tags, notes = _image_tags(rule, facts)
    if not image_tags:
        return Skipped(rule, f"no image tag is left for {push.ref_name}: {'; '.join(notes)}")
    repository = _repository(rule, facts)
    if isinstance(repository, Unfilled):
        return Skipped(rule, f"repository {rule.repository!r}: {repository.why}")
    context = fill(rule.status_context, facts)
    if isinstance(context, Unfilled):
        return Skipped(rule, f"status_context {rule.status_context!r}: {context.why}")
    route = _route(push, rule)
    archive = push.archive.at(push.commit) if push.commit else push.archive
    root = "" if route.is_relayed else archive.root.strip("/")
    request = BuildRequest(
        rule=rule.name,
        registry=rule.registry,
        repository=repository,
        image_tags=image_tags,
        archive_url="" if route.is_relayed else archive.url,
        context=_absolute(root, rule.context),
        dockerfile_path=_absolute(root, rule.dockerfile_path),
        status_context=context[:STATUS_CONTEXT_LENGTH],
        pull_robot=rule.pull_robot,
        timeout=rule.timeout,
        is_relayed=route.is_relayed,
        quiet_period=rule.quiet_for(push.kind),
        revision_file=rule.revision_file,
        submodules=rule.submodules,
        impossible=route.impossible,
        dockerfile=rule.dockerfile_path,
        is_dockerfile_in_doubt=_may_touch(push, rule.dockerfile_path, gap),
        comparison=None if listed else _comparison(push, rule, gap),
    )
    return Planned(rule, request, notes)


@dataclass(frozen=True, slots=True)
class _Route:
    is_relayed: bool = False
    impossible: str = ""


def _route(push: PushEvent, rule: Rule) -> _Route:
    works_directly = push.archive.is_direct and not push.source.private and not rule.adds_to_source
    if rule.archive is ArchiveRoute.DIRECT or (rule.archive is ArchiveRoute.AUTO and works_directly):
        return _Route()
    if rule.can_relay:
        return _Route(is_relayed=True)
    if push.source.private and rule.archive is ArchiveRoute.AUTO:
        return _Route(impossible="private source has to go through the bot, and server.public_url is not set")
    return _Route(impossible="the source has to go through the bot, and server.public_url is not set")


def _refuses(push: PushEvent, rule: Rule) -> str | None:
    kind, patterns = push.kind, rule.patterns(push.kind)
    if not patterns:
        return f"it builds no {'branches' if kind is RefKind.BRANCH else 'tags'}"
    if not matches(patterns, push.ref_name):
        return f"{kind} {push.ref_name} {_why_no_match(patterns, push.ref_name)}"
    if mark := push.asks_to_skip:
        return f"the commit message says {mark}"
    return None


def _listed(push: PushEvent, rule: Rule, gap: Gap | None) -> bool | None:
    """Whether the push concerns the rule as far as its own list of changed paths tells; None: it does not tell."""
    if not rule.paths:
        return True
    if any(touches(rule.paths, path, may_be_submodule=rule.submodules) for path in push.changed_paths or ()):
        return True
    is_proof = push.changed_paths is not None and push.forced is False and gap is None
    return False if is_proof else None


def _in_vain(changed: tuple[str, ...], patterns: tuple[str, ...]) -> str:
    return f"none of the {len(changed)} changed paths matches {', '.join(patterns)}"


def _comparison(push: PushEvent, rule: Rule, gap: Gap | None) -> Comparison | None:
    """What to ask of the forge; None where no answer could keep the build from happening."""
    if push.kind is RefKind.TAG or push.commit is None:
        return None  # a tag has nothing before it, and a release is no place to save a build
    supersedes = rule.supersedes(push.kind)
    if gap is not None:
        last = gap.planned.get(rule.name)
        return Comparison(rule.paths, last, supersedes) if last else None
    if push.before is None and push.ref_name == push.source.default_branch:
        return None
    return Comparison(rule.paths, push.before, supersedes)


def _may_touch(push: PushEvent, path: str, gap: Gap | None) -> bool:
    """Whether the push may have removed a file that was there before; a new branch is taken to have it still."""
    if push.changed_paths is None:
        return push.before is not None
    return gap is not None or path in push.changed_paths


def _why_no_match(patterns: tuple[str, ...], name: str) -> str:
    index = deciding(patterns, name)
    return f"does not match {', '.join(patterns)}" if index is None else f"is left out by {patterns[index]}"


def _image_tags(rule: Rule, facts: dict[str, str | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tags, notes = [], []
    for template in rule.image_tags:
        filled = fill(template, facts)
        tag = filled if isinstance(filled, Unfilled) else image_tag(filled)
        if isinstance(tag, Unfilled):
            notes.append(f"image tag {template} left out: {tag.why}")
        else:
            tags.append(tag)
    return tuple(dict.fromkeys(tags)), tuple(notes)


def _repository(rule: Rule, facts: dict[str, str | None]) -> str | Unfilled:
    filled = fill(rule.repository, facts)
    return filled if isinstance(filled, Unfilled) else repository_name(filled)


def _absolute(root: str, path: str) -> str:
    return "/" + posixpath.join(root, path).strip("/")


def _with_conflicts(plans: tuple[RulePlan, ...]) -> tuple[RulePlan, ...]:
    builds = planned(plans)
    return tuple(_noting_rivals(plan, builds) if isinstance(plan, Planned) else plan for plan in plans)


def _noting_rivals(plan: Planned, builds: Sequence[Planned]) -> Planned:
    rivals = [other.rule.name for other in builds if other is not plan and _write_one_tag(plan.request, other.request)]
    if not rivals:
        return plan
    named = f"rule {rivals[0]} writes" if len(rivals) == 1 else f"rules {' and '.join(rivals)} write"
    return replace(plan, warning=f"{named} the same image tag from this push")


def _write_one_tag(one: BuildRequest, other: BuildRequest) -> bool:
    same_repository = (one.registry, one.repository) == (other.registry, other.repository)
    return same_repository and overlap(one.image_tags, other.image_tags)
