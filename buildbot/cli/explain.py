"""`buildbot explain`: what a push would lead to, rule by rule, before anybody pushes. Asks nobody, needs no secret.

It plans with `plan_builds`, as the bot does, so its answer is the bot's. Two things only the forge knows, and both are
told as assumptions where they were not given: the commit, and which branch is the default one. A ref's history is not
looked at, and no forge asked what changed: where `--changed` does not say it, a path filter is told as a condition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, assert_never

import typer

from buildbot.cli.hypothetical import PLACEHOLDER_SHA, Assumptions, hypothetical_push, likely_default_branch
from buildbot.cli.naming import read_ref, read_sha, read_source
from buildbot.cli.options import DEFAULT_FILE, AsJson, ConfigFile, load_or_exit
from buildbot.config import Config
from buildbot.domain.build import BuildRequest
from buildbot.domain.pattern import deciding, matches
from buildbot.domain.push import PushEvent, RefKind, Source
from buildbot.domain.rule import ArchiveRoute, Planned, Rule, RulePlan, Skipped, Supersede, plan_builds, planned
from buildbot.web.hostile_text import shown

NOTHING = 1

SourceOption = Annotated[
    str, typer.Option("--source", metavar="OWNER/NAME", help="The source repository; FORGE:OWNER/NAME if several.")
]
RefOption = Annotated[str, typer.Option("--ref", metavar="REF", help="refs/heads/BRANCH or refs/tags/TAG.")]
ShaOption = Annotated[str | None, typer.Option("--sha", metavar="SHA", help="The commit; else one is made up.")]
ChangedOption = Annotated[
    list[str] | None, typer.Option("--changed", metavar="PATH", help="A changed path (repeatable); else unknown.")
]
DefaultBranchOption = Annotated[
    str | None, typer.Option("--default-branch", metavar="NAME", help="The repository's; else main is assumed.")
]
PrivateOption = Annotated[
    bool, typer.Option("--private", help="The repository is private; else it is taken for a public one.")
]


def explain(
    source: SourceOption,
    ref: RefOption,
    config: ConfigFile = DEFAULT_FILE,
    sha: ShaOption = None,
    changed: ChangedOption = None,
    default_branch: DefaultBranchOption = None,
    private: PrivateOption = False,
    as_json: AsJson = False,
) -> None:
    """Say what a push would build, and why.

    Nobody is asked and nothing built. Exits 1 when nothing would be.
    """
    loaded = load_or_exit(config, secrets=False)
    forge, full_name = read_source(loaded, source)
    ref, commit = read_ref(ref), read_sha(sha) if sha else PLACEHOLDER_SHA
    pushed = Source(forge, "", full_name, private, default_branch or likely_default_branch(ref))
    paths = tuple(path.removeprefix("./") for path in changed) if changed else None
    push = hypothetical_push(loaded.forges[forge], pushed, ref, commit, paths)
    plans = plan_builds(push, loaded.rules)
    if as_json:
        typer.echo(json.dumps(in_json(loaded, push, plans), indent=2))
    else:
        typer.echo(shown("\n".join(in_text(loaded, push, plans, Assumptions(not sha, not default_branch)))))
    raise typer.Exit(0 if planned(plans) else NOTHING)


def archive_url(config: Config, request: BuildRequest) -> str:
    """Where Quay's builder is sent for the source; the bot's own address for it is not known before there is a
    build."""
    from buildbot.registry.quay import ascii_url

    return f"{config.server.public_url}/archives/…" if request.is_relayed else ascii_url(request.archive_url)


def request_body(config: Config, plan: Planned) -> dict[str, object]:
    """What requestRepoBuild is asked, but for the mark in the URL's fragment, since each attempt has its own."""
    request = plan.request
    body: dict[str, object] = {
        "archive_url": archive_url(config, request),
        "docker_tags": list(request.image_tags),
        "tags": list(request.image_tags),
        "context": request.context,
        "dockerfile_path": request.dockerfile_path,
    }
    return body | ({"pull_robot": request.pull_robot} if request.pull_robot else {})


def in_json(config: Config, push: PushEvent, plans: tuple[RulePlan, ...]) -> dict[str, object]:
    """The same for programs; keys are only ever added."""
    return {
        "push": {
            "forge": push.source.forge,
            "source": push.source.full_name,
            "ref": push.ref,
            "commit": push.commit,
            "default_branch": push.source.default_branch,
            "changed_paths": None if push.changed_paths is None else list(push.changed_paths),
        },
        "builds": [_build_in_json(config, plan, push) for plan in planned(plans)],
        "rules": [
            {"rule": plan.rule.name, "matched": isinstance(plan, Planned), "reason": _reason(plan, push)}
            for plan in plans
        ],
    }


def in_text(config: Config, push: PushEvent, plans: tuple[RulePlan, ...], assumed: Assumptions) -> Iterator[str]:
    """The same for people."""
    yield f"A push to {push.source.full_name}, {push.ref}, commit {push.commit}"
    yield from _assumptions(push, assumed)
    elsewhere = [plan for plan in plans if isinstance(plan, Skipped) and not plan.covers_source]
    for plan in plans:
        if plan not in elsewhere:
            yield from _plan_in_text(config, plan, push)
    if elsewhere:
        yield ""
        yield from (f"- {plan.rule.name}: {plan.reason}" for plan in elsewhere)
    count = len(planned(plans))
    yield ""
    yield "Nothing would be built." if not count else f"{count} build{'' if count == 1 else 's'} would be planned."


def _build_in_json(config: Config, plan: Planned, push: PushEvent) -> dict[str, object]:
    return {
        "rule": plan.rule.name,
        "registry": plan.request.registry,
        "repository": plan.request.repository,
        "image_tags": list(plan.request.image_tags),
        "request": request_body(config, plan),
        "archive": "relay" if plan.request.is_relayed else "direct",
        "status_context": plan.request.status_context,
        "supersede": str(plan.rule.supersede_for(push.kind)),
        "notes": list(plan.notes),
        "warning": plan.warning,
    }


def _assumptions(push: PushEvent, assumed: Assumptions) -> Iterator[str]:
    if assumed.sha:
        yield "  the commit is made up: --sha names a real one"
    if assumed.default_branch:
        yield f"  assumed: the default branch is {push.source.default_branch}; --default-branch names another"
    if push.changed_paths is None:
        yield "  which paths changed is not known, so that the forge would be asked: --changed names them"


def _plan_in_text(config: Config, plan: RulePlan, push: PushEvent) -> Iterator[str]:
    yield ""
    if isinstance(plan, Skipped):
        yield f"✗ {plan.rule.name}: {plan.reason}"
        return
    yield f"✓ {plan.rule.name}: {_reason(plan, push)}"
    yield from (f"    {line}" for line in _request_in_text(config, plan, push))


def _request_in_text(config: Config, plan: Planned, push: PushEvent) -> Iterator[str]:
    request, registry = plan.request, config.registries[plan.request.registry]
    yield f"image        {request.repository}:{', '.join(request.image_tags)} at {registry.url}"
    yield f"source       {_route_in_words(config, plan, push)}"
    yield f"status       {request.status_context}"
    yield f"supersede    {_supersede_in_words(plan.rule.supersede_for(push.kind), push.kind)}"
    yield from (f"note         {note}" for note in plan.notes)
    if plan.warning:
        yield f"warning      {plan.warning}"
    yield f"POST {registry.url}/api/v1/repository/{request.repository}/build/"
    yield from json.dumps(request_body(config, plan), indent=2, ensure_ascii=False).splitlines()


def _route_in_words(config: Config, plan: Planned, push: PushEvent) -> str:
    request = plan.request
    if request.impossible:
        return f"out of reach: {request.impossible}"
    if request.is_relayed:
        return f"through the bot: {archive_url(config, request)}"
    if plan.rule.archive is ArchiveRoute.DIRECT or not plan.rule.can_relay:
        public = "which refuses it, since the repository is private" if push.source.private else "if it is public"
        return f"from the forge, {public}"
    return "from the forge, if it is public; else through the bot"


def _reason(plan: RulePlan, push: PushEvent) -> str:
    return plan.reason if isinstance(plan, Skipped) else _why_matched(plan.rule, push)


def _why_matched(rule: Rule, push: PushEvent) -> str:
    patterns = rule.patterns(push.kind)
    index = deciding(patterns, push.ref_name)
    admitted = f"matches {patterns[index]}" if index is not None else f"is none of {', '.join(patterns)}"
    return f"{push.kind} {push.ref_name} {admitted}{_why_paths(rule, push)}"


def _why_paths(rule: Rule, push: PushEvent) -> str:
    if not rule.paths:
        return ""
    if push.changed_paths is None:
        return f"; built unless the forge shows that nothing changed that matches {', '.join(rule.paths)}"
    path = next((path for path in push.changed_paths if matches(rule.paths, path)), "")
    return f"; {path} changed"


def _supersede_in_words(supersede: Supersede, kind: RefKind) -> str:
    match supersede:
        case Supersede.CANCEL:
            return f"cancel: a newer push to the {kind} cancels this build"
        case Supersede.QUEUED:
            return f"queued: a newer push to the {kind} cancels this build unless it has begun"
        case Supersede.KEEP:
            return f"keep: a newer push to the {kind} lets this build finish"
        case _ as never:
            assert_never(never)
