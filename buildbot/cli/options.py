"""What several commands share: where the configuration is, and how its mistakes are shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from buildbot.config import BadConfig, Config, Files, load

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="BUILDBOT_CONFIG", metavar="FILE", help="The configuration, a TOML file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DEFAULT_FILE = Path("config.toml")
WRONG = 2


def load_or_exit(file: Path, *, secrets: bool = True, files: Files | None = None) -> Config:
    """The configuration; every mistake goes to standard error and the command ends with 2.

    `files` remembers what was read.
    """
    try:
        config = load(file, os.environ, secrets=secrets, files=files)
    except BadConfig as bad:
        for mistake in bad.mistakes:
            typer.echo(str(mistake), err=True)
        count = len(bad.mistakes)
        typer.echo(f"{count} mistake{'' if count == 1 else 's'} in {file}", err=True)
        raise typer.Exit(WRONG) from None
    return config


def fail(reason: str, code: int = 1) -> NoReturn:
    """One line on standard error, and the end."""
    typer.echo(f"buildbot: {reason}", err=True)
    raise typer.Exit(code)
