"""The example configuration: it works, it leaves nothing out, and what it says of defaults is true."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from buildbot.config import load, read
from buildbot.config.shape import Document, ForgeTable, RegistryTable, RuleTable, ServerTable, StoreTable, Table
from buildbot.domain.push import Archive, PushEvent, Source
from buildbot.domain.rule import plan_builds, planned

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
ENVIRON = {"GITHUB_WEBHOOK_SECRET": "hook", "GITHUB_TOKEN": "token", "QUAY_TOKEN": "token"}
TABLES: dict[str, type[Table]] = {
    "[server]": ServerTable,
    "[store]": StoreTable,
    "[forges.github]": ForgeTable,
    "[registries.quay]": RegistryTable,
    "[[rules]]": RuleTable,
}
OPTIONS = [(header, name, field) for header, table in TABLES.items() for name, field in table.model_fields.items()]


def _sections() -> dict[str, str]:
    parts = re.split(r"^(\[.+\])$", EXAMPLE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _lines(header: str, name: str) -> list[str]:
    return re.findall(rf"^(?:# )?({name} = .+)$", _sections()[header], flags=re.MULTILINE)


def _explanation(header: str, name: str) -> str:
    section, [line] = _sections()[header], _lines(header, name)
    before = section.partition(f"\n# {line}" if f"\n# {line}" in section else f"\n{line}")[0].splitlines()
    comments = list(itertools.takewhile(lambda text: text.startswith("# ") and " = " not in text, reversed(before)))
    return " ".join(text.removeprefix("# ") for text in reversed(comments))


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def test_the_example_works_once_its_variables_are_set() -> None:
    config = load(EXAMPLE, ENVIRON)
    assert config.warnings == ()
    assert [rule.name for rule in config.rules] == ["api"]


def test_the_example_needs_the_variables_that_it_says() -> None:
    text = EXAMPLE.read_text()
    assert sorted(re.findall(r"([A-Z_]+)=…", text)) == sorted(ENVIRON)
    assert sorted(set(re.findall(r'"env:([A-Z_]+)"', text)) - {"NAME"}) == sorted(ENVIRON)


@pytest.mark.parametrize(("header", "name"), [(header, name) for header, name, _ in OPTIONS])
def test_the_example_explains_every_option_once(header: str, name: str) -> None:
    assert len(_lines(header, name)) == 1
    assert _explanation(header, name) or name in {"kind", "private_key"}


@pytest.mark.parametrize(
    ("header", "name", "field"),
    [option for option in OPTIONS if _default(option[2]) and option[1] != "image_tags"],
)
def test_a_default_that_the_example_shows_is_the_real_one(header: str, name: str, field: FieldInfo) -> None:
    [line] = _lines(header, name)
    assert tomllib.loads(line)[name] == _default(field)


@pytest.mark.parametrize(("header", "name", "field"), OPTIONS)
def test_a_default_that_the_example_tells_in_words_is_the_real_one(header: str, name: str, field: FieldInfo) -> None:
    explanation = _explanation(header, name)
    if "No default." in explanation or "Default: all." in explanation:
        assert not _default(field)
    if stated := re.search(r"Default: (\[.*\])\.$", explanation):
        assert json.loads(stated[1]) == _default(field)
    assert bool(stated) == (name == "image_tags")


def test_the_addresses_that_the_example_shows_are_the_real_defaults() -> None:
    config = load(EXAMPLE, ENVIRON)
    for header, name, url in (
        ("[forges.github]", "url", config.forges["github"].url),
        ("[forges.github]", "api_url", config.forges["github"].api_url),
        ("[registries.quay]", "url", config.registries["quay"].url),
    ):
        assert f'\n# {name} = "{url}"\n' in _sections()[header]


def test_every_commented_option_can_be_uncommented() -> None:
    text = re.sub(r"^# (?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^(app_id|private_key) = .*\n", "", text, flags=re.MULTILINE)
    commented, uncommented = load(EXAMPLE, ENVIRON), read(text, ENVIRON, base=EXAMPLE.parent)
    assert uncommented.store == commented.store
    assert uncommented.forges == commented.forges
    assert uncommented.registries == commented.registries
    assert uncommented.rules[0].timeout is not None


def test_the_example_tags_a_release_as_its_comments_say() -> None:
    source = Source("github", "1", "acme/api", default_branch="main")
    tags = {}
    for ref in ("refs/heads/main", "refs/heads/release/1", "refs/tags/v1.2.3", "refs/tags/v1.3.0-rc.1"):
        push = PushEvent(source, ref, None, "a" * 40, "a" * 40, Archive("https://x/a.tar.gz", "api-a"))
        tags[ref] = planned(plan_builds(push, load(EXAMPLE, ENVIRON).rules))[0].request.image_tags
    assert tags == {
        "refs/heads/main": ("main", "sha-aaaaaaa", "latest"),
        "refs/heads/release/1": ("release-1", "sha-aaaaaaa"),
        "refs/tags/v1.2.3": ("v1.2.3", "sha-aaaaaaa", "1.2.3", "1.2"),
        "refs/tags/v1.3.0-rc.1": ("v1.3.0-rc.1", "sha-aaaaaaa", "1.3.0-rc.1"),
    }


def test_every_option_has_a_description_and_an_example() -> None:
    for _, name, field in OPTIONS:
        assert field.description, name
        assert field.examples, name


def test_the_tables_here_are_those_of_the_document() -> None:
    assert {re.sub(r"[\[\]]", "", header).partition(".")[0] for header in TABLES} == set(Document.model_fields)
