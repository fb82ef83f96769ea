"""`[[rules]]`: what each rule means by itself, and whether its parts fit together.

What one value may be is in `values.py`; here is what only shows in company: references to forges and registries,
placeholders that no ref this rule admits could fill, a Dockerfile outside its context.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from buildbot.config import durations, forges, shape
from buildbot.config.kinds import KINDS
from buildbot.config.mistakes import Place, Report, did_you_mean, listed, shown
from buildbot.config.model import ForgeKind
from buildbot.config.shaping import Shaped, shaped
from buildbot.config.values import split_prefix
from buildbot.domain import image, pattern
from buildbot.domain.push import RefKind
from buildbot.domain.rule import DEFAULT_DOCKERFILE, ArchiveRoute, Rule, Supersede

_ADDED = ("revision_file", "submodules")
_BY_THE_BOT = "is put in by the bot"
_PUBLIC_URL = "write public_url into [server], an address at which Quay's builders reach the bot"
_NEEDED = frozenset({"name", "source", "repository", "branches", "tags", "image_tags", "status_context"})


@dataclass(frozen=True, slots=True)
class _Around:
    """What the rest of the file says that a rule depends on."""

    kinds: Mapping[str, ForgeKind]
    can_relay: bool


def rules(report: Report, document: Mapping[str, Any]) -> dict[int, Rule]:
    """The rules by their number in the file, as far as they can be compared with others."""
    raw = document.get("rules", [])
    if not isinstance(raw, list):
        report.mistake(("rules",), "must be a list of tables, each written [[rules]]")
        return {}
    if not raw:
        report.mistake(("rules",), "there is none, so nothing would ever be built; write at least one [[rules]]")
    read_all = {number: shaped(report, shape.RuleTable, table, ("rules", number)) for number, table in enumerate(raw)}
    tables = {number: table for number, table in read_all.items() if table is not None}
    _check_names(report, {number: read.table.name for number, read in tables.items() if "name" not in read.wrong})
    around = _Around(forges.kinds(document), _has_public_url(document))
    made = ((number, _rule(report, ("rules", number), read, around)) for number, read in tables.items())
    return {number: rule for number, rule in made if rule is not None}


def _has_public_url(document: Mapping[str, Any]) -> bool:
    server = document.get("server")
    return isinstance(server, dict) and "public_url" in server


def _check_names(report: Report, names: Mapping[int, str]) -> None:
    first: dict[str, int] = {}
    for number, name in names.items():
        if name in first:
            line = report.line(("rules", first[name], "name"))
            report.mistake(("rules", number, "name"), f"is the name of the rule in line {line} too; names are unique")
        first.setdefault(name, number)


def _rule(report: Report, place: Place, read: Shaped[shape.RuleTable], around: _Around) -> Rule | None:
    table = read.table
    forge, source = _reference(report, (*place, "source"), table.source, "forges")
    registry, repository = _reference(report, (*place, "repository"), table.repository, "registries")
    kind = around.kinds.get(forge or "")
    is_named = _check_source(report, place, read, kind, source)
    _check_refs(report, place, read)
    _check_lists(report, place, read)
    _check_placeholders(report, place, read)
    _check_dockerfile(report, place, read)
    _check_archive(report, place, read, kind, can_relay=around.can_relay)
    _check_revision_file(report, (*place, "revision_file"), read)
    _check_submodules(report, (*place, "submodules"), read, kind)
    if read.wrong & _NEEDED or forge is None or registry is None or not is_named:
        return None
    named = Rule(table.name, forge, source, registry, repository, can_relay=around.can_relay)
    return _completed(named, table)


def _completed(rule: Rule, table: shape.RuleTable) -> Rule:
    return replace(
        rule,
        branches=tuple(table.branches),
        tags=tuple(table.tags),
        paths=tuple(table.paths),
        image_tags=tuple(table.image_tags),
        context="" if table.context == "." else table.context,
        dockerfile=table.dockerfile or None,
        archive=ArchiveRoute(table.archive),
        revision_file=table.revision_file or None,
        submodules=table.submodules,
        status_context=table.status_context,
        supersede=Supersede(table.supersede) if table.supersede else None,
        pull_robot=table.pull_robot or None,
        timeout=durations.parse(table.timeout) if table.timeout else None,
        quiet_period=durations.parse(table.quiet_period),
    )


def _reference(report: Report, place: Place, written: str, kind: str) -> tuple[str | None, str]:
    prefix, name = split_prefix(written)
    known = report.keys(kind)
    if prefix is None and len(known) == 1:
        return known[0], name
    if prefix in known or not known or not written:
        return prefix, name
    if prefix is None:
        choices = " or ".join(shown(f"{key}:{name}") for key in known)
        report.mistake(place, f"there are several {kind}; say which: {choices}")
    else:
        report.mistake(place, f"{shown(prefix)} is none of the {kind}{did_you_mean(prefix, known)}")
    return None, name


def _check_source(
    report: Report, place: Place, read: Shaped[shape.RuleTable], kind: ForgeKind | None, name: str
) -> bool:
    wrong = KINDS[kind].source.mistake(name) if kind and "source" not in read.wrong else None
    if wrong:
        report.mistake((*place, "source"), wrong)
    return wrong is None


def _check_refs(report: Report, place: Place, read: Shaped[shape.RuleTable]) -> None:
    if {"branches", "tags"} & read.wrong:
        return
    if not read.table.branches and not read.table.tags:
        report.mistake(place, 'has neither branches nor tags, so it builds nothing; write branches = ["main"]')
    for key, patterns in (("branches", read.table.branches), ("tags", read.table.tags)):
        if patterns and not may_share(patterns, ["**"]):
            report.mistake((*place, key), "can match nothing: later patterns take away what earlier ones admit")


def _check_lists(report: Report, place: Place, read: Shaped[shape.RuleTable]) -> None:
    if "image_tags" in read.given and not read.table.image_tags:
        report.mistake((*place, "image_tags"), 'is empty, so nothing would be built; write image_tags = ["{ref}"]')
    for key in ("branches", "tags", "paths", "image_tags"):
        seen = set()
        for number, entry in read.entries(key):
            if entry in seen:
                report.mistake((*place, key, number), f"{shown(entry)} is there twice")
            seen.add(entry)


def _check_placeholders(report: Report, place: Place, read: Shaped[shape.RuleTable]) -> None:
    table = read.table
    if {"branches", "tags"} & read.wrong or not (table.branches or table.tags):
        return
    templates: list[tuple[Place, str]] = [((*place, "image_tags", i), text) for i, text in read.entries("image_tags")]
    templates += [((*place, key), getattr(table, key)) for key in ("repository", "status_context")]
    for where, template in templates:
        if why := never_filled(template, table.branches, table.tags):
            report.mistake(where, f"{shown(template)} {why}")


def never_filled(template: str, branches: Sequence[str], tags: Sequence[str]) -> str | None:
    """Why no ref that these patterns admit could fill the template; None if one could."""
    used = frozenset(image.placeholders(template))
    unfilled = [_unfilled(used, kind, patterns) for kind, patterns in _admitted(branches, tags)]
    if not unfilled or not all(unfilled):
        return None
    names = {name for missing in unfilled for name in missing}
    if used & image.TAG_PLACEHOLDERS and used & image.BRANCH_PLACEHOLDERS and branches and tags:
        return f"needs a branch and a tag at once ({_braced(used - image.ALWAYS)}), which no push is"
    if names & image.BRANCH_PLACEHOLDERS:
        return f"needs a branch for {_braced(names)}, but this rule has no branches"
    if tags:
        return f"needs a version for {_braced(names)}, but no tag that this rule admits can be one (like v1.2.3)"
    return f"needs a tag for {_braced(names)}, but this rule has no tags"


def _admitted(branches: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[RefKind, Sequence[str]]]:
    if branches:
        yield RefKind.BRANCH, branches
    if tags:
        yield RefKind.TAG, tags


def _unfilled(used: frozenset[str], kind: RefKind, patterns: Sequence[str]) -> frozenset[str]:
    if kind is RefKind.BRANCH:
        return used & image.TAG_PLACEHOLDERS
    if missing := used & image.BRANCH_PLACEHOLDERS:
        return missing
    versions = used & image.VERSION_PLACEHOLDERS
    return versions if versions and not may_share(patterns, image.VERSION_PATTERNS) else frozenset()


def may_share(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lists of patterns admit a common name, or it takes too long to tell."""
    try:
        return pattern.common(tuple(first), tuple(second)) is not None
    except pattern.Undecided:
        return True


def _check_dockerfile(report: Report, place: Place, read: Shaped[shape.RuleTable]) -> None:
    dockerfile, context = read.table.dockerfile, read.table.context
    if not dockerfile or context in {"", "."} or {"dockerfile", "context"} & read.wrong:
        return
    if not dockerfile.startswith(f"{context}/"):
        example = posixpath.join(context, posixpath.basename(dockerfile) or DEFAULT_DOCKERFILE)
        report.mistake(
            (*place, "dockerfile"),
            f"{shown(dockerfile)} is outside the context {shown(context)}; both are written from the "
            f"repository's root, as in {shown(example)}",
        )


def _check_archive(
    report: Report, place: Place, read: Shaped[shape.RuleTable], kind: ForgeKind | None, *, can_relay: bool
) -> None:
    if {"archive", *_ADDED} & read.wrong:
        return
    route, at_archive = ArchiveRoute(read.table.archive), (*place, "archive")
    not_direct = KINDS[kind].not_direct if kind else ""
    added = [(*place, key) for key in _ADDED if getattr(read.table, key)]
    if route is ArchiveRoute.DIRECT and added:
        for at_added in added:
            report.mistake(at_added, f'{_BY_THE_BOT}, past which archive = "direct" leads; leave one of the two away')
    elif route is ArchiveRoute.DIRECT and not_direct:
        report.mistake(at_archive, f'{not_direct}; write archive = "relay"')
    elif route is ArchiveRoute.RELAY and not can_relay:
        report.mistake(at_archive, f'"relay" is the way through the bot; {_PUBLIC_URL}')
    elif added and not can_relay:
        for at_added in added:
            report.mistake(at_added, f"{_BY_THE_BOT}, through which the source then goes; {_PUBLIC_URL}")
    elif route is ArchiveRoute.AUTO and not_direct and not can_relay:
        report.mistake(place, f"{not_direct}, so the source has to go through the bot; {_PUBLIC_URL}")


def _check_submodules(report: Report, place: Place, read: Shaped[shape.RuleTable], kind: ForgeKind | None) -> None:
    if kind and read.table.submodules and (reason := KINDS[kind].no_submodules):
        report.mistake(place, f"does not work here: {reason}")


def _check_revision_file(report: Report, place: Place, read: Shaped[shape.RuleTable]) -> None:
    table, context = read.table, "" if read.table.context == "." else read.table.context
    if not table.revision_file or {"revision_file", "context", "dockerfile"} & read.wrong:
        return
    if table.revision_file == (table.dockerfile or posixpath.join(context, DEFAULT_DOCKERFILE)):
        report.mistake(place, "is the Dockerfile, which it would replace; name a file that is not in the repository")
    elif context and not table.revision_file.startswith(f"{context}/"):
        example = posixpath.join(context, posixpath.basename(table.revision_file))
        report.warn(
            place, f"is outside the context {shown(context)}, so no build sees it; write it as in {shown(example)}"
        )


def _braced(names: frozenset[str] | set[str]) -> str:
    return listed([f"{{{name}}}" for name in names])
