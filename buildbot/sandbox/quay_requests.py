"""How Quay reads the body of a build request: schema, archive address, paths and tags.

Kept to the letter because clients depend on it: the schema's texts end up in error messages, `docker_tags` is the field
(`tags` is ignored without a word), tags are rewritten silently, and paths follow `get_dockerfile_context`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pprint import pformat
from textwrap import indent
from typing import Any
from urllib.parse import urlparse

_STRING = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Description of a new repository build.",
    "properties": {
        "file_id": {"description": "The file id that was generated when the build spec was uploaded", **_STRING},
        "archive_url": {
            "description": 'The URL of the .tar.gz to build. Must start with "http" or "https".',
            **_STRING,
        },
        "subdirectory": {
            "description": "Subdirectory in which the Dockerfile can be found. "
            "You can only specify this or dockerfile_path",
            **_STRING,
        },
        "dockerfile_path": {
            "description": "Path to a dockerfile. You can only specify this or subdirectory.",
            **_STRING,
        },
        "pull_robot": {"description": "Username of a Quay robot account to use as pull credentials", **_STRING},
        "docker_tags": {
            "type": "array",
            "description": 'The tags to which the built images will be pushed. If none specified, "latest" is used.',
            "items": _STRING,
            "minItems": 1,
            "uniqueItems": True,
        },
        "context": {"description": "Pass in the context for the dockerfile. This is optional.", **_STRING},
    },
}
_TYPES: dict[str, type] = {"string": str, "array": list, "object": dict}


def schema_error(body: object) -> str | None:
    """jsonschema's words for the first mistake in a body, or None."""
    if not isinstance(body, dict):
        return _failure(body, SCHEMA, "type", (), ())
    for name, schema in SCHEMA["properties"].items():
        if name in body and (found := next(_value_errors(body[name], schema, name), None)):
            return found
    return None


def _value_errors(value: object, schema: Mapping[str, Any], name: str) -> Iterator[str]:
    where = ("properties", name)
    if not isinstance(value, _TYPES[schema["type"]]):
        yield _failure(value, schema, "type", where, (name,))
    if not isinstance(value, list):
        return
    for number, item in enumerate(value):
        if not isinstance(item, str):
            yield _failure(item, schema["items"], "type", (*where, "items"), (name, number))
    if not value:
        yield _failure(value, schema, "minItems", where, (name,))
    if len(value) != len({json.dumps(item) for item in value}):
        yield _failure(value, schema, "uniqueItems", where, (name,))


def _failure(
    value: object, schema: Mapping[str, Any], rule: str, where: tuple[str, ...], path: tuple[str | int, ...]
) -> str:
    said = {
        "type": f"{value!r} is not of type {schema['type']!r}",
        "minItems": f"{value!r} should be non-empty",
        "uniqueItems": f"{value!r} has non-unique elements",
    }
    shown_schema, shown_value = (indent(pformat(it, width=72), "    ") for it in (dict(schema), value))
    in_schema, on_instance = ("".join(f"[{part!r}]" for part in parts) for parts in (where, path))
    return (
        f"{said[rule]}\n\nFailed validating {rule!r} in schema{in_schema}:\n{shown_schema}\n\n"
        f"On instance{on_instance}:\n{shown_value}"
    )


def archive_url_error(url: str) -> str | None:
    """Why Quay refuses an archive's address, or None: it looks at the scheme only."""
    try:
        scheme = urlparse(url).scheme
    except ValueError:
        return "Invalid Archive URL: Must be a valid URI"
    return None if scheme in ("http", "https") else "Invalid Archive URL: Must be http or https"


def escape_tag(tag: str) -> str:
    """An image tag as Quay rewrites it (util/names.escape_tag): non-ASCII letters stay, and 127 characters of 128."""
    if not tag:
        return "latest"
    first = tag[0] if re.match(r"\w", tag) else "_"
    return (first + re.sub(r"[^\w.-]", "_", tag[1:]))[:127]


def read_paths(body: Mapping[str, Any]) -> tuple[str, str]:
    """Context and Dockerfile, as Quay's `get_dockerfile_context` and the fallback to `subdirectory` have them."""
    if "dockerfile_path" in body:
        path = str(body["dockerfile_path"])
        return str(body.get("context", _directory(path))), path
    context = str(body.get("subdirectory", body.get("context", "/")))
    return context, f"{context.rstrip('/')}/Dockerfile"


def _directory(path: str) -> str:
    head = path.rpartition("/")[0]
    return head or ("/" if path.startswith("/") else "")
