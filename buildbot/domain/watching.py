"""What of a forge the rules let one watch: the repositories that they name exactly, and the refs of those.

A rule whose source is a pattern names no repository, and to list all that it might mean is not offered by every forge;
so only exact sources are watched. Of those, branches and tags are matched as in every push.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from buildbot.domain.pattern import is_literal, matches
from buildbot.domain.push import RefKind
from buildbot.domain.rule import Rule

Patterns = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """A repository with the patterns of refs that rules have for it, one list for each rule."""

    forge: str
    full_name: str
    branches: Patterns
    tags: Patterns

    def patterns(self, kind: RefKind) -> Patterns:
        """The lists of patterns for refs of this kind."""
        return self.branches if kind is RefKind.BRANCH else self.tags


def watches(rules: Iterable[Rule]) -> tuple[Watch, ...]:
    """The repositories that rules name exactly, each once."""
    named: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        if is_literal(rule.source):
            name = rule.source if rule.source_has_case else rule.source.lower()
            named.setdefault((rule.forge, name), []).append(rule)
    return tuple(_watch(same) for same in named.values())


def is_admitted(patterns: Sequence[Sequence[str]], name: str) -> bool:
    """Whether one of the lists of patterns admits the name."""
    return any(matches(tuple(one), name) for one in patterns)


def _watch(rules: Sequence[Rule]) -> Watch:
    first = rules[0]
    branches = tuple(rule.branches for rule in rules if rule.branches)
    tags = tuple(rule.tags for rule in rules if rule.tags)
    return Watch(first.forge, first.source, branches, tags)
