"""The JSON Schema of the configuration, for editors that complete and check TOML by one (Taplo, Even Better TOML)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from buildbot.config import shape, values
from buildbot.config.kinds import KINDS
from buildbot.config.model import ForgeKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _needs(key: str, kinds: Iterable[ForgeKind]) -> dict[str, Any]:
    of_these = {"properties": {"kind": {"enum": sorted(kinds)}}, "required": ["kind"]}
    return {"if": of_these, "then": {"required": [key]}}


_CHOICES: dict[str, dict[str, Any]] = {
    "ForgeTable": {
        "oneOf": [{"required": ["token"]}, {"required": ["app_id", "private_key"]}],
        "allOf": [
            _needs("token", (kind for kind, about in KINDS.items() if not about.has_apps)),
            _needs("url", (kind for kind, about in KINDS.items() if not about.home)),
        ],
    },
    "RuleTable": {"anyOf": [{"required": ["branches"]}, {"required": ["tags"]}]},
}


def schema() -> dict[str, Any]:
    """The schema as plain values, ready for json.dumps. It knows shapes; references and conflicts are for `check`."""
    made = shape.Document.model_json_schema()
    for name, table in (("Document", made), *made["$defs"].items()):
        _finish(table)
        table.update(_CHOICES.get(name, {}))
    for name in ("forges", "registries"):
        made["properties"][name] |= {"minProperties": 1, "propertyNames": {"pattern": f"^{values.KEY.pattern}$"}}
    made["properties"]["rules"]["minItems"] = 1
    return {"$schema": DIALECT, **made, "title": "Configuration of quay-buildbot"}


def _finish(table: dict[str, Any]) -> None:
    table.pop("title", None)
    table["required"] = [name for name, key in table["properties"].items() if key.pop(shape.REQUIRED, False)]
    for name, key in table["properties"].items():
        key.pop("title", None)
        if name in table["required"] or not key.get("default") or isinstance(key["default"], dict):
            key.pop("default", None)
