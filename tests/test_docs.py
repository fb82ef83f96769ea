"""What the documents say is true: commands, options, targets, routes, metrics, configuration keys and links exist.

A document that nobody holds to the code describes last year's. So whatever can be compared is compared, in both
directions where the document claims to be complete.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prometheus_client.metrics import MetricWrapperBase
from starlette.routing import Route

from buildbot import telemetry
from buildbot.bootstrap import build_app
from buildbot.cli import app
from buildbot.config import Config, read, shape
from buildbot.config.kinds import KINDS
from buildbot.config.shaping import is_required
from buildbot.domain.build import BuildPhase
from buildbot.domain.decision import Decision
from buildbot.domain.image import PLACEHOLDERS
from buildbot.domain.push import SKIP_MARKS
from buildbot.domain.rule import Supersede
from tests.documents import DOCUMENTS, ROOT, anchors, blocks, inline_code, links, named, prose, rows, section
from tests.test_architecture import ALLOWED

README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
OPERATING = ROOT / "docs" / "operating.md"
FORGES = (
    '[forges.github]\nkind = "github"\nwebhook_secrets = ["env:GITHUB_WEBHOOK_SECRET"]\ntoken = "env:GITHUB_TOKEN"\n'
)
REGISTRIES = '[registries.quay]\nkind = "quay"\ntoken = "env:QUAY_TOKEN"\n'
RULES = '[[rules]]\nname = "api"\nsource = "acme/api"\nbranches = ["main"]\nrepository = "acme/api"\n'
SECRETS = {"GITHUB_WEBHOOK_SECRET": "hook-secret", "GITHUB_TOKEN": "github-token", "QUAY_TOKEN": "quay-token"}
SECRETS |= {"CODEBERG_WEBHOOK_SECRET": "hook-secret", "CODEBERG_TOKEN": "forgejo-token"}
COMMANDS: Any = typer.main.get_command(app)
"""The command line as a tree. Which library's classes these are is typer's affair, so they have no type here."""


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def invocations(text: str) -> Iterator[list[str]]:
    """The words after `buildbot` wherever a text of shell calls it, also by its path or in another command."""
    for piece in re.split(r"\n|;|&&|'", text):
        words = shlex.split(piece, comments=True)
        called = [number for number, word in enumerate(words) if Path(word).name == "buildbot"]
        if called and words[called[-1] + 1 :]:
            yield words[called[-1] + 1 :]


def shell_lines() -> list[tuple[str, str]]:
    return [
        (named(file), shlex.join(words))
        for file in DOCUMENTS
        for block in blocks(file, "sh")
        for words in invocations(block)
    ]


def mentions() -> list[tuple[str, str]]:
    return [
        (named(file), code)
        for file in DOCUMENTS
        for code in inline_code(prose(file))
        if re.match(r"(\S*/)?buildbot [a-z]", code)
    ]


def found_command(words: list[str]) -> tuple[Any, list[str]]:
    """(the command that the words name, the words that are left)."""
    command = COMMANDS
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
        return
    for name, one in below.items():
        yield from leaves(one, (*path, name))


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize(("file", "line"), shell_lines())
def test_a_command_line_in_a_code_block_is_one_that_the_program_takes(file: str, line: str) -> None:
    command, words = found_command(shlex.split(line))
    assert not hasattr(command, "commands"), f"{file}: {line} is no command"
    command.make_context(command.name, words)  # raises for an unknown option, a missing or a surplus argument


@pytest.mark.parametrize(("file", "code"), mentions())
def test_a_command_that_is_mentioned_exists_with_its_options(file: str, code: str) -> None:
    command, words = found_command(shlex.split(code)[1:])
    assert command is not COMMANDS, f"{file}: {code} is no command"
    assert {word for word in words if word.startswith("-")} <= options(command), f"{file}: {code}"


def test_the_documents_do_show_commands() -> None:
    assert len(shell_lines()) > 5
    assert len(mentions()) > 10


def test_the_table_of_commands_is_complete() -> None:
    listed = [" ".join(found_name(inline_code(row[0])[0])) for row in rows(section(README, "Commands"))]
    assert sorted(listed) == sorted(name for name, _ in leaves(COMMANDS))


def found_name(code: str) -> list[str]:
    return [word for word in code.split()[1:] if word.islower()]


def test_configuration_and_json_are_options_of_the_commands_that_are_said_to_have_them() -> None:
    by_name = {name: options(command) for name, command in leaves(COMMANDS)}
    assert {name for name, taken in by_name.items() if "-c" not in taken} == {"schema", "demo"}
    with_json = {name for name, taken in by_name.items() if "--json" in taken}
    of_both = (name for name in by_name if name.startswith(("builds ", "deliveries ")))
    assert with_json == {"explain", "doctor", "rounds", *of_both}


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [code for file in DOCUMENTS for code in (*inline_code(prose(file)), *blocks(file, "sh"))]
    asked = {name for code in shown for name in re.findall(r"^make ([a-z]+)", code, re.MULTILINE)}
    assert {"demo", "test"} <= asked <= targets


def test_make_help_tells_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    assert phony[1].split() == re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)


def test_hooks_before_a_commit_call_make_targets_and_fetch_nothing() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    called = re.findall(r"entry: make ([a-z]+)", hooks)
    assert called == ["lint", "types"]
    assert set(re.findall(r"repo: (\S+)", hooks)) == {"local"}


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


def loaded(block: str, folder: Path) -> Config:
    """A block of TOML as a configuration: the tables that it leaves out are the simplest ones."""
    document = tomllib.loads(block)
    missing = [text for key, text in TABLES.items() if key not in document]
    return read("\n".join([block, *missing]), SECRETS, base=folder)


TABLES = {"forges": FORGES, "registries": REGISTRIES, "rules": RULES}


@pytest.mark.parametrize(
    ("file", "block"), [(named(file), block) for file in DOCUMENTS for block in blocks(file, "toml")]
)
def test_every_piece_of_configuration_loads_without_a_warning(file: str, block: str, tmp_path: Path) -> None:
    assert loaded(block, tmp_path).warnings == (), file


def test_the_first_screen_has_twelve_lines_that_are_a_whole_configuration(tmp_path: Path) -> None:
    first = blocks(README, "toml")[0]
    assert len(first.splitlines()) == 12
    config = read(first, SECRETS, base=tmp_path)
    assert [rule.name for rule in config.rules] == ["api"]


SECTIONS: Mapping[str, type[shape.Table]] = {
    "`[server]`": shape.ServerTable,
    "`[store]`": shape.StoreTable,
    "`[forges.KEY]`": shape.ForgeTable,
    "`[registries.KEY]`": shape.RegistryTable,
    "`[[rules]]`": shape.RuleTable,
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_reference_has_every_key_once_and_no_other(heading: str) -> None:
    keys = [inline_code(row[0])[0] for row in rows(section(CONFIGURATION, heading))]
    assert sorted(keys) == sorted(SECTIONS[heading].model_fields)


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_defaults_of_the_reference_are_the_real_ones(heading: str) -> None:
    for key, told, _ in rows(section(CONFIGURATION, heading)):
        field = SECTIONS[heading].model_fields[inline_code(key)[0]]
        assert (told == "required") == is_required(field), key
        value = inline_code(told)
        if value and field.default:
            assert json.loads(value[0]) == field.default, key


def test_an_address_that_is_left_out_is_the_one_that_the_reference_tells(tmp_path: Path) -> None:
    config = loaded("", tmp_path)
    told = {
        heading: {inline_code(row[0])[0]: inline_code(row[1]) for row in rows(section(CONFIGURATION, heading))}
        for heading in SECTIONS
    }
    assert told["`[forges.KEY]`"]["url"] == [about.home for about in KINDS.values() if about.home]
    assert told["`[registries.KEY]`"]["url"] == [config.registries["quay"].url]


def test_the_table_of_forges_has_every_kind_with_its_addresses() -> None:
    told = {row[0]: row[1:3] for row in rows(section(CONFIGURATION, "Kinds of forges"))}
    assert told == {
        f'`"{kind}"`': [f"`{about.home}`" if about.home else "yours", f"`{about.home_api or '{url}' + about.api_path}`"]
        for kind, about in KINDS.items()
    }


def test_the_reference_has_every_placeholder_skip_mark_and_way_of_superseding() -> None:
    placeholders = [code for row in rows(section(CONFIGURATION, "Placeholders")) for code in inline_code(row[0])]
    assert sorted(placeholders) == sorted(f"{{{name}}}" for name in PLACEHOLDERS)
    rules = inline_code(section(CONFIGURATION, "`[[rules]]`"))
    assert {*SKIP_MARKS, *(f'"{one}"' for one in Supersede)} <= set(rules)


# ── HTTP and metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_the_table_of_routes_is_what_the_application_serves(tmp_path: Path) -> None:
    application = build_app(loaded("", tmp_path))
    async with application.router.lifespan_context(application):
        routes = [route for route in application.routes if isinstance(route, Route)]
    assert len(routes) == len(application.routes)
    told = [inline_code(row[0])[0].split() for row in rows(section(README, "HTTP"))]
    assert sorted(taken(routes, method, path) for method, path in told) == sorted(route.path for route in routes)


def taken(routes: list[Route], method: str, path: str) -> str:
    """The one route that takes a request as it is told, with something in place of what stands in braces."""
    example = re.sub(r"\{\w+\}", "x", path)
    (found,) = (
        one for one in routes if one.path_regex.match(example) and {method} == (one.methods or set()) - {"HEAD"}
    )
    return found.path


def test_the_statuses_told_of_a_delivery_are_those_that_the_endpoint_gives() -> None:
    source = ast.parse((ROOT / "buildbot" / "web" / "webhooks.py").read_text())
    numbers = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant) and type(node.value) is int}
    (told,) = (row[1] for row in rows(section(README, "HTTP")) if "/webhooks/" in row[0])
    assert {int(status) for status in re.findall(r"\*\*(\d{3})\*\*", told)} == numbers & set(range(200, 600))


def test_the_words_of_answers_and_phases_are_the_programs() -> None:
    assert {str(one) for one in Decision} <= set(inline_code(section(README, "HTTP")))
    assert {str(one) for one in BuildPhase} <= set(inline_code(section(README, "Words")))


def test_the_table_of_metrics_has_every_metric_with_its_labels() -> None:
    metrics = [one for one in vars(telemetry).values() if isinstance(one, MetricWrapperBase)]
    families = list(telemetry.REGISTRY.collect())
    assert len(metrics) == len(families)
    suffix = {family.name: "_total" if family.type == "counter" else "" for family in families}
    real = {one._name + suffix[one._name]: list(one._labelnames) for one in metrics}
    told = {inline_code(row[0])[0]: inline_code(row[1]) for row in rows(section(OPERATING, "Metrics"))}
    assert told == real


# ── the documents themselves ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file", DOCUMENTS, ids=named)
def test_every_link_within_the_project_leads_somewhere(file: Path) -> None:
    for link in links(file):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_the_layout_that_contributors_read_is_the_one_that_is_enforced() -> None:
    told = {}
    for where, _, imports in rows(prose(ROOT / "CONTRIBUTING.md")):
        path = inline_code(where)[0]
        if path.startswith("buildbot/"):
            part = Path(path).name.removesuffix(".py")
            told[part] = parts_of(imports) | {part}
    real = {part: allowed | {part} for part, allowed in ALLOWED.items() if part != "__main__"}
    assert told == real


def parts_of(imports: str) -> set[str]:
    words = set(inline_code(imports))
    everything = set(ALLOWED) - {"__main__"}
    if imports.startswith("all but"):
        return everything - words
    return everything if imports == "all" else words


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        file = waiting.pop()
        targets = {(file.parent / link.partition("#")[0]).resolve() for link in links(file) if "://" not in link}
        new = {target for target in targets if target.suffix == ".md"} - reached
        reached |= new
        waiting += new
    assert set(DOCUMENTS) <= reached


def test_the_changelog_speaks_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog
    assert version in changelog
