"""The JSON Schema for editors agrees with the reader."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from buildbot.config import schema
from buildbot.config.shape import REQUIRED, Document, ForgeTable, RegistryTable, RuleTable, ServerTable, StoreTable

TABLES = [ServerTable, StoreTable, ForgeTable, RegistryTable, RuleTable]


def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = schema()["$defs"][name]
    return table


def test_the_schema_is_plain_json_of_its_dialect() -> None:
    made = schema()
    assert json.loads(json.dumps(made)) == made
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(made["properties"]) == set(Document.model_fields)
    assert made["required"] == ["forges", "registries", "rules"]
    assert REQUIRED not in json.dumps(made)


def test_every_reference_leads_somewhere() -> None:
    made = schema()
    names = re.findall(r'"#/\$defs/(\w+)"', json.dumps(made))
    assert set(names) == set(made["$defs"]) == {table.__name__ for table in TABLES}


@pytest.mark.parametrize("model", TABLES)
def test_every_key_is_described_and_no_other_is_allowed(model: type[RuleTable]) -> None:
    table = _table(model.__name__)
    assert set(table["properties"]) == set(model.model_fields)
    assert table["additionalProperties"] is False
    assert all(key["description"] for key in table["properties"].values())


@pytest.mark.parametrize(
    ("table", "required"),
    [
        ("ServerTable", []),
        ("StoreTable", []),
        ("ForgeTable", ["kind", "webhook_secrets"]),
        ("RegistryTable", ["kind", "token"]),
        ("RuleTable", ["name", "source", "repository"]),
    ],
)
def test_what_has_to_be_there_is_required(table: str, required: list[str]) -> None:
    assert _table(table)["required"] == required


def test_choices_bounds_and_defaults_are_told() -> None:
    rule, registry, forge = _table("RuleTable"), _table("RegistryTable"), _table("ForgeTable")
    assert rule["properties"]["supersede"]["enum"] == ["cancel", "queued", "keep"]
    assert rule["properties"]["image_tags"]["default"] == ["{ref}"]
    assert registry["properties"]["kind"]["enum"] == ["quay"]
    assert registry["properties"]["polls_per_second"]["maximum"] == 1000
    assert re.fullmatch(
        registry["properties"]["poll_interval"]["pattern"], registry["properties"]["poll_interval"]["default"]
    )
    assert forge["oneOf"] == [{"required": ["token"]}, {"required": ["app_id", "private_key"]}]
    assert [one["then"]["required"] for one in forge["allOf"]] == [["token"], ["url"]]
    assert forge["allOf"][1]["if"]["properties"]["kind"]["enum"] == ["bitbucket-datacenter", "forgejo", "gitea"]
    assert rule["properties"]["archive"]["enum"] == ["auto", "direct", "relay"]
    assert rule["anyOf"] == [{"required": ["branches"]}, {"required": ["tags"]}]
