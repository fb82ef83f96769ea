"""`buildbot deliveries`: what came in, what was made of it, and judging one again when what stood in its way is mended.

The forge's own log tells what it sent, and its button sends it once more: which is then a repetition. This works on
what the bot recorded, so it needs no forge, and works for deliveries that the forge has long forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from buildbot.cli.builds import By, listed, person, print_json
from buildbot.cli.opening import build_links, missing_database, require_database, with_store, wording
from buildbot.cli.options import DEFAULT_FILE, AsJson, ConfigFile, load_or_exit
from buildbot.config import Config
from buildbot.domain.decision import Decision, Standing, Verdict, judge_again
from buildbot.domain.push import PushEvent, short
from buildbot.domain.status import describe
from buildbot.ports import DeliveryFilter, DeliveryStory, Replayed, Replaying, Store

app = typer.Typer(help="See what came in, and have it judged again.", no_args_is_help=True)
DeliveryArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The delivery's number, or the id that the forge gave it.")
]


@app.command("list")
def list_deliveries(
    config: ConfigFile = DEFAULT_FILE,
    forge: Annotated[str | None, typer.Option(metavar="KEY", help="Only from this forge.")] = None,
    decision: Annotated[Decision | None, typer.Option(metavar="DECISION", help=f"Only {', '.join(Decision)}.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those of which a build or a status has failed for good.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first.

    A table in a terminal, tab-separated lines with whole ids in a pipe.
    """
    loaded = load_or_exit(config, secrets=False)
    which = DeliveryFilter(limit, forge, str(decision) if decision else None, failed)
    missing = missing_database(loaded)
    found = () if missing else with_store(loaded, lambda store: store.list_deliveries(which))
    if as_json:
        print_json([_as_json(loaded, one) for one in found])
    elif found:
        from buildbot.cli.tables import print_rows

        print_rows(COLUMNS, [_row(one) for one in found], WIDTHS)
    else:
        typer.echo(f"no deliveries: nothing was ever recorded in {missing}" if missing else "no deliveries", err=True)


@app.command()
def show(delivery: DeliveryArgument, config: ConfigFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show all that is known of a delivery.

    What was read in it, what each rule made of it, and what became of its builds.
    """
    loaded = load_or_exit(config, secrets=False)
    require_database(loaded)
    found = with_store(loaded, lambda store: store.delivery(delivery))
    if as_json:
        print_json(_as_json(loaded, found))
        return
    from buildbot.cli.tables import one_line

    typer.echo("\n".join(one_line(line) for line in _in_full(loaded, found)))


@app.command()
def replay(
    delivery: DeliveryArgument, config: ConfigFile = DEFAULT_FILE, by: By = None, as_json: AsJson = False
) -> None:
    """Judge a delivery again, by the rules of today.

    Rules that have built it are left alone; what has failed, or was not wanted then, is built. A running `serve` sees
    it within a second.
    """
    loaded = load_or_exit(config, secrets=False)
    require_database(loaded)
    words, who = wording(loaded), person(by)

    def judge(push: PushEvent, standing: Standing, without: Collection[str]) -> Verdict:
        return judge_again(push, standing, [rule for rule in loaded.rules if rule.name not in without])

    async def replaying(store: Store) -> Replayed:
        return await store.replay(delivery, Replaying(judge, words, who), datetime.now(UTC))

    replayed = with_store(loaded, replaying)
    if as_json:
        builds = [listed(loaded, build) for build in replayed.builds]
        print_json({"builds": builds, "rules": [{"rule": rule, "what": what} for rule, what in replayed.told]})
        return
    from buildbot.cli.tables import one_line

    for rule, what in replayed.told:
        typer.echo(one_line(f"{rule}: {what}" if rule else what))


COLUMNS = ("NUMBER", "RECEIVED", "FORGE", "EVENT", "DECISION", "WHAT", "BUILDS")
WIDTHS = (8, 20, 12, 10, 10, 26, 24)


def _row(one: DeliveryStory) -> tuple[str, ...]:
    phases = Counter(str(build.seen.phase) for build in one.builds)
    builds = ", ".join(f"{number} {phase}" for phase, number in phases.items())
    received = f"{one.received_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return str(one.number), received, one.forge, one.event, one.decision, _what(one), builds


def _what(one: DeliveryStory) -> str:
    if one.pushes is None:
        return "(recorded by an earlier release)"
    return ", ".join(_named(push) for push in one.pushes)


def _named(push: PushEvent) -> str:
    return f"{push.source.full_name} {push.ref_name} {short(push.after) if push.after else 'deleted'}"


def _in_full(config: Config, one: DeliveryStory) -> Iterator[str]:
    yield f"{one.number}  {one.decision}"
    yield f"  {one.reason}"
    yield f"  received {one.received_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC from {one.forge}: {one.event} {one.guid}"
    if one.repeats:
        yield f"  and {one.repeats} time{'' if one.repeats == 1 else 's'} more, which changed nothing"
    yield from ("", "Pushes", *(f"  {line}" for push in one.pushes or () for line in _push(push)))
    yield from ("", "Rules", *(f"  {rule}: {why}" for rule, why in one.rules))
    yield from ("", "Builds")
    for build in one.builds:
        yield f"  {build.id}  {build.request.rule}  {describe(build)}"
        yield from (f"    {link}" for link in build_links(config, build) if link)
        if build.id in one.stopped:
            yield f"    status given up: {one.stopped[build.id]}"


def _push(push: PushEvent) -> Iterator[str]:
    yield _named(push)
    yield f"  from {push.before or 'nothing'} to {push.after or 'nothing'}"
    if push.commit != push.after:
        yield f"  commit {push.commit or 'not told'}"
    changed = "not told" if push.changed_paths is None else f"{len(push.changed_paths)} paths"
    yield f"  changed: {changed}"
    yield from (f"  {name} {value}" for name, value in (("pushed by", push.pusher), ("at", push.pushed_at)) if value)


def _as_json(config: Config, one: DeliveryStory) -> dict[str, Any]:
    return {
        "number": one.number,
        "forge": one.forge,
        "id": one.guid,
        "event": one.event,
        "received_at": one.received_at.isoformat(),
        "decision": one.decision,
        "reason": one.reason,
        "repeats": one.repeats,
        "pushes": None if one.pushes is None else [_push_as_json(push) for push in one.pushes],
        "rules": [{"rule": rule, "reason": why} for rule, why in one.rules],
        "builds": [listed(config, build) | {"status_stopped": one.stopped.get(build.id)} for build in one.builds],
    }


def _push_as_json(push: PushEvent) -> dict[str, Any]:
    return {
        "source": push.source.full_name,
        "ref": push.ref,
        "before": push.before,
        "after": push.after,
        "commit": push.commit,
        "pushed_at": push.pushed_at.isoformat() if push.pushed_at else None,
        "changed_paths": None if push.changed_paths is None else list(push.changed_paths),
        "pusher": push.pusher,
    }
