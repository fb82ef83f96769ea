"""What `buildbot --help` says of a command without importing it is what the command says of itself."""

from __future__ import annotations

from typing import Any

import pytest
import typer.main

from buildbot.cli import app
from buildbot.cli.commands import ENTRIES

GROUP: Any = typer.main.get_command(app)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_line_beside_a_command_is_the_first_of_its_own_help(name: str) -> None:
    summary, command = ENTRIES[name].summary, GROUP.commands[name]
    assert command.name == name
    assert command.get_short_help_str(200) == summary
    first = command.help.splitlines()[0]
    assert first == summary or name == "demo", "of demo the list says what it is for, and its own help what it needs"


def test_the_help_lists_the_commands_in_their_order() -> None:
    context = GROUP.make_context("buildbot", ["serve"], resilient_parsing=True)
    assert GROUP.list_commands(context) == list(ENTRIES) == list(GROUP.commands)


def test_a_command_that_there_is_not_is_none() -> None:
    assert "serves" not in GROUP.commands
    assert GROUP.get_command(None, "serves") is None
