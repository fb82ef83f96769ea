"""`buildbot builds`: what the store knows of builds, and taking a hand in it.

All of it works on the database alone, whether `serve` runs or not: it sees a changed row within a second, and what was
asked while it was down it finds at its start. Only `logs` and `start` make calls, and so need the secrets.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from buildbot.cli.naming import read_ref, read_rule, read_source
from buildbot.cli.opening import (
    build_links,
    find_build,
    find_story,
    missing_database,
    require_database,
    with_adapters,
    with_store,
    wording,
)
from buildbot.cli.options import DEFAULT_FILE, WRONG, AsJson, ConfigFile, fail, load_or_exit
from buildbot.config import Config
from buildbot.domain.build import Build, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.domain.lifecycle import cancelled_in_words
from buildbot.domain.log import LogEntry, plain
from buildbot.domain.pattern import is_literal
from buildbot.domain.rule import Rule
from buildbot.domain.status import describe, image_of
from buildbot.ports import BuildFilter, BuildStory, Store
from buildbot.web.build_json import build_as_json

PERSON_LIMIT = 80
_OF_ONE_BUILD_ONLY = ("steps", "status")

app = typer.Typer(help="See builds, and take a hand in them.", no_args_is_help=True)
BuildIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The build's id, or its first 6 or more digits.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks, for the record (default: your login).")]


@app.command("list")
def list_builds(
    config: ConfigFile = DEFAULT_FILE,
    source: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Only of this source repository.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this rule.")] = None,
    ref: Annotated[str | None, typer.Option(metavar="REF", help="Only of this ref, as in refs/heads/main.")] = None,
    phase: Annotated[
        BuildPhase | None, typer.Option(metavar="PHASE", help="Only of this phase, as in building or failed.")
    ] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List builds, newest first.

    A table in a terminal, tab-separated lines with whole ids in a pipe.
    """
    loaded = load_or_exit(config, secrets=False)
    forge, full_name = read_source(loaded, source) if source else (None, None)
    which = BuildFilter(limit, full_name, rule, read_ref(ref) if ref else None, phase, unfinished)
    missing = missing_database(loaded)
    builds = () if missing else with_store(loaded, lambda store: store.list_builds(which))
    if source and ":" in source:
        builds = tuple(build for build in builds if build.source.forge == forge)
    if as_json:
        print_json([listed(loaded, build) for build in builds])
    elif builds:
        from buildbot.cli.tables import print_builds

        print_builds(builds, _now())
    else:
        typer.echo(f"no builds yet: nothing was ever recorded in {missing}" if missing else "no builds", err=True)


@app.command()
def show(build: BuildIdArgument, config: ConfigFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show all that is known of a build."""
    loaded = load_or_exit(config, secrets=False)
    require_database(loaded)
    story = with_store(loaded, lambda store: find_story(store, build))
    page_url, registry_url = build_links(loaded, story.build)
    if as_json:
        print_json(build_as_json(story, page_url=page_url, registry_url=registry_url))
        return
    from buildbot.cli.tables import in_full
    from buildbot.web.build_view import build_view

    log = story.build.seen.log
    view = build_view(story, log.tail if log else None, registry_url, _now())
    typer.echo("\n".join(in_full(view)))


@app.command()
def logs(build: BuildIdArgument, config: ConfigFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Print a build's whole log.

    As the registry has it now, so the registry's token is needed.
    """
    loaded = load_or_exit(config)
    require_database(loaded)
    found = with_store(loaded, lambda store: find_build(store, build))
    entries = _log_of(loaded, found)
    if as_json:
        print_json({"id": found.id, "quay_id": found.seen.quay_id, "entries": [_entry(entry) for entry in entries]})
    elif entries:
        typer.echo("\n".join(_log_in_text(entries)))
    else:
        typer.echo(f"Quay has no log of build {found.id} ({describe(found)})", err=True)


@app.command()
def cancel(build: BuildIdArgument, config: ConfigFile = DEFAULT_FILE, by: By = None, as_json: AsJson = False) -> None:
    """Ask for a build to be cancelled.

    A running `buildbot serve` does it within a second, one that is down when it starts.
    """
    loaded = load_or_exit(config, secrets=False)
    require_database(loaded)
    goal = Goal(GoalKind.CANCEL, CancelReason.PERSON, person(by))

    async def cancelling(store: Store) -> Build:
        return await store.cancel((await find_build(store, build)).id, goal, _now())

    cancelled = with_store(loaded, cancelling)
    if as_json:
        print_json(listed(loaded, cancelled))
    elif cancelled.goal == goal:
        typer.echo(f"asked to cancel {cancelled.id} ({image_of(cancelled)})")
    else:
        why = cancelled_in_words(cancelled.goal.reason, cancelled.goal.detail) if cancelled.goal.reason else "asked"
        typer.echo(f"{cancelled.id} is to be cancelled already: {why}")


@app.command()
def rebuild(
    build: BuildIdArgument,
    config: ConfigFile = DEFAULT_FILE,
    move_tags: Annotated[
        bool, typer.Option("--move-tags", help="Also take image tags that newer builds have claimed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the same commit again.

    It becomes a new build, as asked for at the time; image tags that newer builds have claimed are left out.
    """
    loaded = load_or_exit(config, secrets=False)
    require_database(loaded)
    words = wording(loaded)

    async def rebuilding(store: Store) -> tuple[Build, tuple[str, ...]]:
        old = await find_build(store, build)
        made = await store.rebuild(old.id, _now(), words, move_tags=move_tags)
        return made.build, made.left_out

    new, left_out = with_store(loaded, rebuilding)
    if as_json:
        print_json(listed(loaded, new) | {"left_out": list(left_out)})
        return
    typer.echo(f"planned {new.id} ({image_of(new)})")
    if left_out:
        typer.echo(f"left out, since newer builds have claimed them: {', '.join(left_out)} (--move-tags takes them)")


@app.command()
def start(
    rule: Annotated[str, typer.Option("--rule", metavar="NAME", help="The rule that says what to build.")],
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="refs/heads/BRANCH or refs/tags/TAG.")],
    config: ConfigFile = DEFAULT_FILE,
    source: Annotated[
        str | None, typer.Option("--source", metavar="OWNER/NAME", help="Where the rule's source is a pattern.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Start a build without a push.

    Of the commit that the ref has now, which the forge is asked for, so its token is needed.
    """
    from buildbot.cli.commissioning import Wish, commission, plan_wish

    loaded = load_or_exit(config)
    chosen, whole_ref = read_rule(loaded, rule), read_ref(ref)
    wish = Wish(chosen, _source_for(loaded, chosen, source), whole_ref, person(by))
    forge = loaded.forges[chosen.forge]
    asked, plan = with_adapters(loaded, lambda adapters: plan_wish(wish, adapters.forges[chosen.forge], forge))
    new = with_store(loaded, lambda store: commission(store, asked, _now(), wording(loaded)))
    if as_json:
        print_json(listed(loaded, new) | {"notes": list(plan.notes)})
        return
    typer.echo(f"planned {new.id} ({image_of(new)}) of commit {asked.commit}")
    for note in plan.notes:
        typer.echo(note)


def _log_of(config: Config, build: Build) -> tuple[LogEntry, ...]:
    quay_id, key = build.seen.quay_id, build.request.registry
    if key not in config.registries:
        fail(f"the registry {key} of build {build.id} is no longer configured")
    if quay_id is None:
        fail(f"Quay does not have build {build.id} (yet): {describe(build)}")
    repository = build.request.repository
    return with_adapters(config, lambda adapters: adapters.registries[key].get_repo_build_logs(repository, quay_id))


def _log_in_text(entries: tuple[LogEntry, ...]) -> list[str]:
    return [f"── {plain(entry.message)}" if entry.kind == "phase" else plain(entry.message) for entry in entries]


def _entry(entry: LogEntry) -> dict[str, str]:
    return {"kind": entry.kind, "text": plain(entry.message)}


def _source_for(config: Config, rule: Rule, written: str | None) -> str:
    if written is None and not is_literal(rule.source):
        fail(f"the rule's source is a pattern, {rule.source}: say which repository with --source", WRONG)
    if written is None:
        return rule.source
    forge, full_name = read_source(config, written)
    if forge != rule.forge:
        fail(f"--source: rule {rule.name} is about the forge {rule.forge}, not {forge}", WRONG)
    return full_name


def person(named: str | None) -> str:
    """Who asks, for the record: as they say, else their login."""
    try:
        name = named or getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        name = "somebody at the command line"
    return " ".join(name.split())[:PERSON_LIMIT]


def listed(config: Config, build: Build) -> dict[str, Any]:
    """A build as JSON, as lists show it."""
    page_url, registry_url = build_links(config, build)
    whole = build_as_json(BuildStory(build, (), None), page_url=page_url, registry_url=registry_url)
    return {key: value for key, value in whole.items() if key not in _OF_ONE_BUILD_ONLY}


def print_json(document: Mapping[str, Any] | list[dict[str, Any]]) -> None:
    """For programs."""
    typer.echo(json.dumps(document, indent=2))


def _now() -> datetime:
    return datetime.now(UTC)
