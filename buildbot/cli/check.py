"""`buildbot check`: validates the configuration and says what it found."""

from __future__ import annotations

import typer

from buildbot.cli.options import DEFAULT_FILE, ConfigFile, load_or_exit


def check(config: ConfigFile = DEFAULT_FILE) -> None:
    """Validate the configuration.

    Every mistake is printed with its place in the file.
    """
    loaded = load_or_exit(config)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    parts = ((len(loaded.rules), "rule"), (len(loaded.forges), "forge"), (len(loaded.registries), "registry"))
    counted = ", ".join(f"{number} {_plural(noun, number)}" for number, noun in parts)
    typer.echo(f"{config}: fine ({counted})")


def _plural(noun: str, number: int) -> str:
    if number == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
