"""The commands by name, each imported when it is run or asked about, and not before.

`serve` keeps for months whatever was imported on the way to it, and no command should wait for the libraries of
another. So the names and what stands beside them in `buildbot --help` are known here without importing anything; a test
holds them to what the commands say of themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, cast

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (`module:name` of its function, or of the Typer that holds commands of its own), and its line
    in the help."""

    place: str
    summary: str


ENTRIES: Mapping[str, Entry] = {
    "serve": Entry("buildbot.cli.serve:serve", "Run the service."),
    "demo": Entry("buildbot.cli.demo:demo", "Watch the bot at work, without any account."),
    "check": Entry("buildbot.cli.check:check", "Validate the configuration."),
    "explain": Entry("buildbot.cli.explain:explain", "Say what a push would build, and why."),
    "rounds": Entry("buildbot.cli.rounds:rounds", "Show when missed pushes were last looked for."),
    "doctor": Entry("buildbot.cli.doctor:doctor", "Ask the real services whether all is well."),
    "schema": Entry("buildbot.cli.schema:schema", "Print the JSON Schema of the configuration."),
    "builds": Entry("buildbot.cli.builds:app", "See builds, and take a hand in them."),
    "deliveries": Entry("buildbot.cli.deliveries:app", "See what came in, and have it judged again."),
}


class Commands(TyperGroup):
    """The group of all commands. `commands` looks like the dictionary that it usually is, and imports at each look."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("MutableMapping[str, Any]", _Imported())

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002
        """The names."""
        return list(ENTRIES)

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ARG002
        """The names with their lines, for the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in ENTRIES.items()])


class _Imported(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return _command(name, ENTRIES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


def _command(name: str, entry: Entry) -> Any:
    found, alone = resolve_name(entry.place), typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name, short_help=entry.summary)(found)
    alone.callback()(lambda: None)  # so that typer makes a group of it, even of one command
    return cast("TyperGroup", typer.main.get_command(alone)).commands[name]
