"""How Quay reads a build request: recorded tables, and what must hold for any input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.sandbox.quay_requests import archive_url_error, escape_tag, read_paths, schema_error

PATHS = json.loads((Path(__file__).parent / "quay_timelines.json").read_text())["paths"]


@pytest.mark.parametrize("row", PATHS, ids=[json.dumps(it["request"]) for it in PATHS])
def test_context_and_dockerfile_are_read_as_recorded(row: dict[str, Any]) -> None:
    assert read_paths(row["request"]) == (row["api_context"], row["api_dockerfile_path"])


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("", "latest"),
        ("feature/login", "feature_login"),
        ("v1.0+b5", "v1.0_b5"),
        ("-x", "_x"),
        (".x", "_x"),
        ("/x", "_x"),
        ("größe", "größe"),
        ("日本", "日本"),
        ("t" * 128, "t" * 127),
    ],
)
def test_tags_are_rewritten_as_recorded(asked: str, made: str) -> None:
    assert escape_tag(asked) == made


@given(st.text())
def test_a_rewritten_tag_stays_as_it_is(tag: str) -> None:
    made = escape_tag(tag)
    assert escape_tag(made) == made
    assert re.fullmatch(r"\w[\w.-]{0,126}", made)


@pytest.mark.parametrize("url", ["https://x/y", "HTTP://x", "https:x", "https://", "http://127.0.0.1/a b"])
def test_only_the_scheme_of_an_archive_is_looked_at(url: str) -> None:
    assert archive_url_error(url) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"docker_tags": []}, "[] should be non-empty"),
        ({"docker_tags": ["a", 5]}, "5 is not of type 'string'"),
        ({"file_id": 1}, "1 is not of type 'string'"),
        (5, "5 is not of type 'object'"),
    ],
)
def test_a_body_against_the_schema_is_refused_in_jsonschema_s_words(body: object, said: str) -> None:
    mistake = schema_error(body)
    assert mistake is not None
    assert mistake.startswith(said)
    assert "Failed validating" in mistake


@pytest.mark.parametrize("body", [{}, {"docker_tags": ["a", "b"], "tags": 5, "anything": None}])
def test_unknown_fields_and_missing_ones_are_no_mistake(body: object) -> None:
    assert schema_error(body) is None
