"""`buildbot demo`: the real bot against a sandbox GitHub and a sandbox Quay on loopback, with a few pushes to watch.

A live table in a terminal, plain lines in a pipe. With `--once` it ends when every build has, and the exit code says
whether everything ended as the story tells.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from buildbot.config import Config, read
from buildbot.sandbox import demo as story
from buildbot.sandbox.demo import Scene, Stage
from buildbot.sandbox.serving import listen, serving, url_of

LONGEST_SECONDS = 120.0
COLOURS = {"success": "green", "failure": "red", "error": "yellow", "pending": "cyan"}
CONFIG = """
[server]
public_url = "{public_url}"

[store]
url = "sqlite:///{folder}/buildbot.db"

[forges.github]
kind = "github"
url = "{github}"
webhook_secrets = ["env:DEMO_WEBHOOK_SECRET"]
token = "env:DEMO_GITHUB_TOKEN"

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


def demo(once: Once = False, port: Port = 0) -> None:
    """Show the bot at work against bundled sandboxes; needs no account and no network."""
    try:
        faults = asyncio.run(_demo(once=once, port=port))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    for fault in faults:
        typer.echo(fault, err=True)
    raise typer.Exit(1 if faults else 0)


async def _demo(*, once: bool, port: int) -> list[str]:
    from buildbot.bootstrap import build_app
    from buildbot.telemetry import log_to

    with tempfile.TemporaryDirectory(prefix="buildbot-demo-") as folder, (Path(folder) / "log").open("w") as log:
        log_to(log)
        async with story.stage() as on:
            listening = listen(port)
            app = build_app(_config(on, Path(folder), url_of(listening)))
            async with serving(app, listening=listening, lifespan=True) as url:
                _introduce(on, url)
                faults = await _show(on, url)
                if not once:
                    await _stay(on, url)
                return faults


def _config(on: Stage, folder: Path, url: str) -> Config:
    text = CONFIG.format(public_url=url, folder=folder, github=on.github.url, quay=on.quay.url) + story.RULES
    secrets = {
        "DEMO_WEBHOOK_SECRET": story.SECRET,
        "DEMO_GITHUB_TOKEN": on.github_token,
        "DEMO_QUAY_TOKEN": on.quay_token,
    }
    return read(text, secrets, file="the demo's configuration", base=folder)


def _introduce(on: Stage, url: str) -> None:
    typer.echo(f"bot {url} · sandbox GitHub {on.github.url} · sandbox Quay {on.quay.url}")
    typer.echo("acme/api is pushed to; its builds run twenty times faster than Quay's were recorded\n")


async def _show(on: Stage, url: str) -> list[str]:
    screen = _Table(on) if sys.stdout.isatty() else _Lines(on)
    with screen:
        playing = asyncio.create_task(story.play(on, f"{url}/webhooks/github", screen.tell))
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline and not _is_over(on, playing):
            screen.look()
            await asyncio.sleep(0.1)
        await playing
        screen.look()
    faults = [fault for scene in on.scenes if (fault := on.fault_of(scene))]
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
    push = json.dumps({"repository": story.REPOSITORY, "ref": "main", "message": "My push"})
    typer.echo(f"\nStill running; Ctrl-C ends it. Push yourself:\n  curl {on.github.url}/_sandbox/push -d '{push}'")
    typer.echo(f"and look at\n  {url}/readyz  {url}/metrics  {on.quay.url}/_sandbox/state")
    await asyncio.Event().wait()


def _answer(scene: Scene) -> tuple[str, str]:
    answer = json.loads(scene.answer)
    return str(answer.get("decision", "refused")), str(answer.get("reason") or answer.get("error"))


class _Lines:
    """Plain lines, each once, for pipes and logs."""

    def __init__(self, on: Stage) -> None:
        self._on = on
        self._told: set[int] = set()

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
        for status in self._on.github.repository(story.REPOSITORY).statuses:
            if status.id not in self._told:
                self._told.add(status.id)
                typer.echo(f"status  {status.sha[:7]} {status.context} {status.state}: {status.description}")


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
        return Text(f"{status.state}: {status.description}", style=COLOURS[status.state])
