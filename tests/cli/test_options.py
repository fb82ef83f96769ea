"""Whatever is wrong with a configuration or a command line, every command says so in words and ends with 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from buildbot.cli import app
from tests.cli.world import Place

ON_ONE_BUILD = [["builds", command, "abcdef"] for command in ("show", "logs", "cancel", "rebuild")]
START = ["builds", "start", "--rule", "api", "--ref", "refs/heads/main"]
EXPLAIN = ["explain", "--source", "acme/api", "--ref", "refs/heads/main"]
COMMANDS = [["serve"], ["check"], ["doctor"], ["builds", "list"], EXPLAIN, START, *ON_ONE_BUILD]
WITHOUT_SECRETS = [["builds", "list"], EXPLAIN]
WITH_SECRETS = [["serve"], ["check"], ["doctor"], START, ["builds", "logs", "abcdef"]]


def named(command: list[str]) -> str:
    return "-".join(command[:2])


@pytest.mark.parametrize("command", COMMANDS, ids=named)
class TestBadFiles:
    def test_a_missing_file_is_told(self, tmp_path: Path, command: list[str]) -> None:
        result = Place(tmp_path).run(*command)
        assert result.exit_code == 2
        assert "config.toml: cannot be read: No such file or directory" in result.stderr
        assert result.stdout == ""

    def test_a_folder_is_told(self, tmp_path: Path, command: list[str]) -> None:
        (tmp_path / "config.toml").mkdir()
        result = Place(tmp_path).run(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Is a directory" in result.stderr

    def test_bad_toml_is_told_with_its_line(self, tmp_path: Path, command: list[str]) -> None:
        (tmp_path / "config.toml").write_text("[server]\nlisten = nowhere\n")
        result = Place(tmp_path).run(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "config.toml:2" in result.stderr
        assert "1 mistake in" in result.stderr

    def test_all_mistakes_are_told_together(self, place: Place, command: list[str]) -> None:
        place.file.write_text(place.file.read_text().replace("image_tags", "image_tag").replace("branches", "branch"))
        result = place.run(*command)
        assert result.exit_code == 2
        assert "did you mean image_tags?" in result.stderr
        assert "did you mean branches?" in result.stderr


@pytest.mark.parametrize("command", WITH_SECRETS, ids=named)
def test_an_unset_variable_is_told_by_name(place: Place, command: list[str]) -> None:
    result = place.run(*command, environ={})
    assert (result.exit_code, result.stdout) == (2, "")
    for name in ("HOOK", "TOKEN", "QUAY"):
        assert f"the environment variable {name} is not set" in result.stderr


@pytest.mark.parametrize("command", WITHOUT_SECRETS, ids=named)
def test_what_needs_no_secret_asks_for_none(place: Place, command: list[str]) -> None:
    assert place.run(*command, environ={}).exit_code == 0


ALONE = [["serve"], ["explain"], ["builds"], ["doctor"], ["check"], ["schema"], ["demo"]]
OF_BUILDS = [["builds", command] for command in ("list", "show", "logs", "cancel", "rebuild", "start")]


def help_of(command: list[str]) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], terminal_width=110)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("command", [[], ["builds"]], ids=str)
def test_commands_are_listed_with_a_whole_sentence(command: list[str]) -> None:
    listed = CliRunner().invoke(app, [*command, "--help"], terminal_width=80).stdout.partition("Commands:\n")[2]
    assert listed
    for line in listed.splitlines():
        assert line.endswith("."), line
        assert not line.endswith("..."), line


@pytest.mark.parametrize("command", [*ALONE, *OF_BUILDS], ids="-".join)
def test_every_option_has_one_line_of_help(command: list[str]) -> None:
    lines = [line for line in help_of(command).partition("Options:\n")[2].partition("\n\n")[0].splitlines() if line]
    assert lines
    for line in lines:
        name, _, meaning = line.strip().partition("  ")
        assert name.startswith("-"), line
        assert meaning.strip(), line


def test_an_unknown_option_ends_with_2(place: Place) -> None:
    result = place.run("explain", "--sauce", "acme/api")
    assert result.exit_code == 2
    assert "--sauce" in result.stderr
