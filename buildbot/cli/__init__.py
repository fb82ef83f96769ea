"""The `buildbot` command: one file for each thing it does, all named in `commands`.

Exit codes are the same everywhere: 0 done, 1 no (nothing would build, a build ended otherwise than told, a check
failed), 2 the configuration or the command line is wrong. A mistake of the person's never shows a traceback.
"""

from __future__ import annotations

import io
import sys

import typer

from buildbot.cli.commands import Commands

app = typer.Typer(
    name="buildbot",
    cls=Commands,
    help="Pushes in, container images out: builds on Quay for every push, with the result on the commit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.callback()(lambda: None)  # typer makes no group without a command or a callback


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has no ✓, or a ref that is no text, is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    app()
