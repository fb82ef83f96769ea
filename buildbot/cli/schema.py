"""`buildbot schema`: JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json

import typer

from buildbot.config import schema as config_schema


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    typer.echo(json.dumps(config_schema(), indent=2))
