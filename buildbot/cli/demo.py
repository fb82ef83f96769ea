"""`buildbot demo`: the real bot against a sandbox forge and a sandbox Quay on loopback, with a few pushes to watch.

A live table in a terminal, plain lines in a pipe. With `--once` it ends when every build has, and the exit code says
whether everything ended as the story tells.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from buildbot.config import Config, read
from buildbot.sandbox import demo as story
from buildbot.sandbox.demo import SPEED, Scene, Stage
from buildbot.sandbox.demo_forges import REPOSITORY, SECRET, ForgeName, Shown
from buildbot.sandbox.serving import listen, serving, url_of

LONGEST_SECONDS = 120.0
COLOURS = (
    {"success": "green", "failure": "red", "error": "yellow", "pending": "cyan"}
    | {"failed": "red", "running": "cyan"}  # GitLab
    | {"SUCCESSFUL": "green", "FAILED": "red", "STOPPED": "yellow", "INPROGRESS": "cyan"}  # Bitbucket
)
CONFIG = """
[server]
public_url = "{public_url}"

[store]
url = "sqlite:///{folder}/buildbot.db"

[forges.{kind}]
kind = "{kind}"
url = "{forge}"
api_url = "{api}"
webhook_secrets = ["env:DEMO_WEBHOOK_SECRET"]
token = "env:DEMO_FORGE_TOKEN"

[registries.quay]
kind = "quay"
url = "{quay}"
token = "env:DEMO_QUAY_TOKEN"
poll_interval = "0.3s"
settle_time = "5s"
request_timeout = "4s"
"""

Once = Annotated[
    bool, typer.Option("--once", help="End when every build has; exit 1 if one ended otherwise than told.")
]
Port = Annotated[int, typer.Option(help="The port of the bot; 0 is any free one.")]
Forge = Annotated[ForgeName, typer.Option(metavar="NAME", help=f"Whose sandbox is pushed to: {', '.join(ForgeName)}.")]
Speed = Annotated[float, typer.Option(hidden=True, min=1, help="How many times faster than recorded Quay builds.")]


def demo(once: Once = False, port: Port = 0, forge: Forge = ForgeName.GITHUB, speed: Speed = SPEED) -> None:
    """Show the bot at work against bundled sandboxes; needs no account and no network."""
    try:
        faults = asyncio.run(_demo(forge, once=once, port=port, speed=speed))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    for fault in faults:
        typer.echo(fault, err=True)
    raise typer.Exit(1 if faults else 0)


async def _demo(forge: ForgeName, *, once: bool, port: int, speed: float) -> list[str]:
    from buildbot.telemetry import log_to

    with tempfile.TemporaryDirectory(prefix="buildbot-demo-") as folder, (Path(folder) / "log").open("w") as log:
        log_to(log)
        async with story.stage(forge, speed) as on, bot(on, forge, Path(folder), port) as url:
            _introduce(on, url)
            faults = await show(on, f"{url}/webhooks/{forge}")
            if not once:
                await _stay(on, url)
            return faults


@asynccontextmanager
async def bot(on: Stage, forge: ForgeName, folder: Path, port: int = 0) -> AsyncIterator[str]:
    """The bot for as long as a block lasts, its database in the folder; gives its address, where builders reach it."""
    from buildbot.bootstrap import build_app

    with listen(port) as listening:
        app = build_app(_config(on, forge, folder, url_of(listening)))
        async with serving(app, listening=listening, lifespan=True) as url:
            yield url


def _config(on: Stage, forge: ForgeName, folder: Path, url: str) -> Config:
    site, api = on.forge.sandbox.url, on.forge.sandbox.api_url
    places = {"public_url": url, "folder": folder, "kind": forge, "forge": site, "api": api, "quay": on.quay.url}
    secrets = {
        "DEMO_WEBHOOK_SECRET": SECRET,
        "DEMO_FORGE_TOKEN": on.forge.token,
        "DEMO_QUAY_TOKEN": on.quay_token,
    }
    return read(CONFIG.format(**places) + story.RULES, secrets, file="the demo's configuration", base=folder)


def _introduce(on: Stage, url: str) -> None:
    typer.echo(f"bot {url} · sandbox {on.forge.title} {on.forge.sandbox.url} · sandbox Quay {on.quay.url}")
    times = "twenty" if on.speed == SPEED else f"{on.speed:g}"
    typer.echo(f"acme/api is pushed to; its builds run {times} times faster than Quay's were recorded\n")


async def show(on: Stage, webhook_url: str, patience_seconds: float = LONGEST_SECONDS) -> list[str]:
    """Play the story and print it, until all has ended or patience has; says what went otherwise than told."""
    with _Table(on) if sys.stdout.isatty() else _Lines(on) as screen:
        playing = asyncio.create_task(story.play(on, webhook_url, screen.tell))
        deadline = time.monotonic() + patience_seconds
        try:
            while time.monotonic() < deadline and not _is_over(on, playing):
                screen.look()
                await asyncio.sleep(0.1)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        screen.look()
    faults = on.faults()
    ended = "otherwise than told" if faults else "as told"
    typer.echo(f"\n{len(on.scenes)} pushes, {len(on.quay.builds)} builds at Quay, all ended {ended}")
    return faults


def _is_over(on: Stage, playing: asyncio.Task[None]) -> bool:
    """Whether every push has been made and has ended. Raises what went wrong with the pushes."""
    if not playing.done():
        return False
    playing.result()
    return all(on.is_over(scene) for scene in on.scenes)


async def _stay(on: Stage, url: str) -> None:
    push = json.dumps({"repository": REPOSITORY, "ref": "main", "message": "My push"})
    typer.echo(
        f"\nStill running; Ctrl-C ends it. Push yourself:\n  curl {on.forge.sandbox.url}/_sandbox/push -d '{push}'"
    )
    typer.echo(f"and look at\n  {url}/readyz  {url}/metrics  {on.quay.url}/_sandbox/state")
    await asyncio.Event().wait()


def _answer(scene: Scene) -> tuple[str, str]:
    answer = json.loads(scene.answer)
    return str(answer.get("decision", "refused")), str(answer.get("reason") or answer.get("error"))


class _Lines:
    """Plain lines, each once, for pipes and logs."""

    def __init__(self, on: Stage) -> None:
        self._on = on
        self._told: set[Shown] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.look()

    def tell(self, scene: Scene) -> None:
        decision, reason = _answer(scene)
        ref = scene.push.ref.split("/", 2)[2]
        typer.echo(f"push    {scene.push.sha[:7]} {ref}: {scene.title!r} ({scene.tells})")
        typer.echo(f"answer  {scene.push.sha[:7]} {decision}: {reason}")

    def look(self) -> None:
        for status in self._on.forge.statuses():
            if status not in self._told:
                self._told.add(status)
                typer.echo(f"status  {status.sha[:7]} {status.context} {status.state}: {status.text}")


class _Table:
    """A live table: a row for each push, its last column what the commit shows."""

    def __init__(self, on: Stage) -> None:
        self._on = on
        self._live = Live(self._drawn(), console=Console(), refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def tell(self, _scene: Scene) -> None:
        self.look()

    def look(self) -> None:
        self._live.update(self._drawn())

    def _drawn(self) -> Table:
        table = Table("push", "what it shows", "answer", "status on the commit", expand=True)
        for scene in self._on.scenes:
            decision, _ = _answer(scene)
            table.add_row(f"{scene.push.sha[:7]} {scene.title}", scene.tells, decision, self._status(scene))
        return table

    def _status(self, scene: Scene) -> Text:
        status = self._on.status(scene)
        if status is None:
            return Text("none, as nothing was built" if scene.expected.state is None else "…", style="dim")
        return Text(f"{status.state}: {status.text}", style=COLOURS[status.state])
