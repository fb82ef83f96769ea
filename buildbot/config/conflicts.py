"""Rules that get in each other's way: one image tag written twice from one push, one status context used twice.

Nothing here reasons about templates. A few refs that both rules admit are found, a push of each is made up, and the
rules are asked what they would do with it, by the very function that plans real builds. So whatever is reported does
happen, with the push that is named; a conflict that needs another ref may escape and is then told by the answer to
that push. Path filters cannot part two rules: one push may change files for both.

Which branch is a repository's default is not known here. Where that decides, two rules that admit the same branches
are still wrong (the tag is either written twice or never); for others it is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

from buildbot.config.mistakes import Report, shown
from buildbot.domain import image, pattern
from buildbot.domain.push import Archive, PushEvent, RefKind, Source, name_of
from buildbot.domain.rule import Rule, plan_builds, planned

_SHA = "0123456789abcdef0123456789abcdef01234567"
_PREFIXES = {RefKind.BRANCH: "refs/heads/", RefKind.TAG: "refs/tags/"}
_LIKELY_NAMES = ("main", "master", "v1.2.3", "1.2.3")


def check(report: Report, rules: Mapping[int, Rule]) -> None:
    """Note every pair of rules that cannot both be right, at the later one of the two."""
    for first, number in _pairs(rules):
        one, other = rules[first], rules[number]
        may_share_tags, may_share_context = _may_share_tags(one, other), _may_share_context(one, other)
        if not (may_share_tags or may_share_context):
            continue
        if source := _common((_source(one),), (_source(other),)):
            pair = _Pair(one, other, source)
            if may_share_tags:
                _check_image_tags(report, number, pair)
            if may_share_context:
                _check_contexts(report, number, pair)


def _pairs(rules: Mapping[int, Rule]) -> list[tuple[int, int]]:
    """The pairs, in order, whose sources may be one: of thousands of rules for as many sources all pairs are millions,
    and a look at each would hold up every start and every new version of the file for seconds."""
    named: dict[tuple[str, str], list[int]] = {}
    patterned: dict[str, list[int]] = {}
    of_forge: dict[str, list[int]] = {}
    for number, rule in rules.items():
        of_forge.setdefault(rule.forge, []).append(number)
        if pattern.is_literal(rule.source):
            named.setdefault((rule.forge, _source(rule)), []).append(number)
        else:
            patterned.setdefault(rule.forge, []).append(number)
    found = {pair for same in named.values() for pair in combinations(same, 2)}
    found |= {
        (min(one, other), max(one, other))
        for forge, numbers in patterned.items()
        for one, other in product(numbers, of_forge[forge])
        if one != other
    }
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two rules, and a source repository that both speak of."""

    one: Rule
    other: Rule
    source: str

    def __str__(self) -> str:
        return f"rules {shown(self.one.name)} and {shown(self.other.name)}"

    def push(self, ref: str, default_branch: str | None) -> PushEvent:
        source = Source(self.one.forge, "", self.source, default_branch=default_branch)
        return PushEvent(source, ref, before=None, after=_SHA, commit=_SHA, archive=Archive("", ""))

    def written_twice(self, ref: str, default_branch: str | None) -> str | None:
        """The image that both rules would write from one push."""
        plans = planned(plan_builds(self.push(ref, default_branch), (self.one, self.other)))
        if len(plans) < 2 or plans[0].request.repository != plans[1].request.repository:
            return None
        theirs = plans[1].request.image_tags
        return next(
            (f"{plans[0].request.repository}:{tag}" for tag in plans[0].request.image_tags if tag in theirs), None
        )

    def common_refs(self) -> Iterator[str]:
        refs = self.refs(self.one)
        theirs = set(self.refs(self.other))
        return (ref for ref in refs if ref in theirs)

    def refs(self, rule: Rule) -> list[str]:
        """Refs that this rule admits, among them those that are likely to matter to the other."""
        return [
            prefix + name
            for kind, prefix in _PREFIXES.items()
            for name in _candidates(self.one, self.other, kind)
            if pattern.matches(rule.patterns(kind), name)
        ]


def _check_image_tags(report: Report, number: int, pair: _Pair) -> None:
    place = ("rules", number, "image_tags")
    on_default_only = None
    for ref in pair.common_refs():
        if tag := pair.written_twice(ref, None):
            report.mistake(place, f"{pair} would both write {tag} from one push to {ref}")
            return
        if on_default_only is None and (tag := pair.written_twice(ref, name_of(ref))):
            on_default_only = f"{pair} would both write {tag} from one push to {ref}, if that is the default branch"
    if on_default_only:
        is_certain = pair.one.branches == pair.other.branches
        (report.mistake if is_certain else report.warn)(place, on_default_only)


def _may_share_tags(one: Rule, other: Rule) -> bool:
    if one.registry != other.registry or not _may_be_equal((one, one.repository), (other, other.repository)):
        return False
    templates = product(one.image_tags, other.image_tags)
    return any(_may_be_equal((one, ours), (other, theirs)) for ours, theirs in templates)


def _may_share_context(one: Rule, other: Rule) -> bool:
    return one.name != other.name and _may_be_equal((one, one.status_context), (other, other.status_context))


def _may_be_equal(*templates: tuple[Rule, str]) -> bool:
    # Only how the two begin and end: cheap, and enough to spare most pairs of a large monorepo the closer look.
    ours, theirs = (_fixed_parts(template.replace("{rule}", rule.name)) for rule, template in templates)
    start = min(ours[0], theirs[0], key=len)
    end = min(ours[-1], theirs[-1], key=len)
    return (
        ours[0].startswith(start)
        and theirs[0].startswith(start)
        and ours[-1].endswith(end)
        and theirs[-1].endswith(end)
    )


def _check_contexts(report: Report, number: int, pair: _Pair) -> None:
    if shared := _shared_context(pair):
        report.mistake(
            ("rules", number, "status_context"),
            f"{pair} would both report as {shown(shared)} on one commit of {pair.source}; "
            'name them apart, as "quay/{rule}" does',
        )


def _shared_context(pair: _Pair) -> str | None:
    if not {"rule"}.issuperset(image.placeholders(pair.one.status_context + pair.other.status_context)):
        theirs = {context.lower() for ref in pair.refs(pair.other) if (context := _context(pair, pair.other, ref))}
        ours = (_context(pair, pair.one, ref) for ref in pair.refs(pair.one))
        return next((context for context in ours if context and context.lower() in theirs), None)
    contexts = [_context(pair, rule, "refs/heads/main") or "" for rule in (pair.one, pair.other)]
    return contexts[0] if contexts[0].lower() == contexts[1].lower() else None


@lru_cache(maxsize=4096)
def _fixed_parts(template: str) -> tuple[str, ...]:
    return tuple(image.with_placeholders_as(template, "\0").lower().split("\0"))


def _context(pair: _Pair, rule: Rule, ref: str) -> str | None:
    filled = image.fill(rule.status_context, image.facts_of(pair.push(ref, None).source, ref, _SHA, rule.name))
    return None if isinstance(filled, image.Unfilled) else filled


def _source(rule: Rule) -> str:
    return rule.source if rule.source_has_case else rule.source.lower()


def _candidates(one: Rule, other: Rule, kind: RefKind) -> list[str]:
    lists = [patterns for rule in (one, other) if (patterns := rule.patterns(kind))]
    names = [name for patterns in lists for name in patterns if pattern.is_literal(name)]
    names += [tag for rule in (one, other) for tag in rule.image_tags if not image.placeholders(tag)]
    names += _LIKELY_NAMES
    pairs = [(patterns, image.VERSION_PATTERNS) for patterns in lists] + [(lists[0], lists[-1])] if lists else []
    names += [name for first, second in pairs if (name := _common(first, second))]
    return list(dict.fromkeys(names))


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> str | None:
    try:
        return pattern.common(first, second)
    except pattern.Undecided:
        return None
