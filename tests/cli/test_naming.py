"""What people write on a command line is read whole or refused with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from buildbot.cli.naming import read_ref, read_rule, read_sha, read_source
from buildbot.config import Config
from buildbot.domain.push import RefKind, kind_of, name_of
from tests.config.files import FORGE, REGISTRY, good

WORK = """
[forges.work]
kind = "github"
url = "https://git.example.com"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"
"""
LAB = """
[forges.lab]
kind = "gitlab"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"
"""
RULE = """
[[rules]]
name = "api"
source = "github:acme/api"
branches = ["main"]
repository = "acme/api"
"""


def config(*, several: bool = False) -> Config:
    return good(FORGE + (WORK + LAB if several else "") + REGISTRY + RULE, base=Path("/nowhere"))


@pytest.mark.parametrize(
    ("written", "several", "read"),
    [
        ("acme/api", False, ("github", "acme/api")),
        ("github:acme/api", False, ("github", "acme/api")),
        ("work:acme/web", True, ("work", "acme/web")),
        ("lab:acme/deep/api", True, ("lab", "acme/deep/api")),
    ],
)
def test_a_source_is_read_with_its_forge(written: str, several: bool, read: tuple[str, str]) -> None:
    assert read_source(config(several=several), written) == read


@pytest.mark.parametrize(
    "written",
    ["", "acme", "/api", "acme/", "acme//api", "a b/c", "nobody:acme/api", ":acme/api", "acme/a/b", "acme/*", "!a/b"],
)
def test_what_is_no_source_is_refused(written: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        read_source(config(), written)
    assert ended.value.exit_code == 2


@given(st.text() | st.text().map("refs/heads/{}".format))
def test_a_ref_that_is_taken_is_that_of_a_branch_or_tag(written: str) -> None:
    try:
        ref = read_ref(written)
    except typer.Exit:
        return
    assert (ref, ref) == (written, f"refs/{'heads' if kind_of(ref) is RefKind.BRANCH else 'tags'}/{name_of(ref)}")
    assert name_of(ref)


@pytest.mark.parametrize(
    "ref", ["", "main", "v1.0", "refs/heads/", "refs/pull/7/head", "refs/heads//x", "refs/tags/a b"]
)
def test_what_is_no_ref_is_refused(ref: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        read_ref(ref)
    assert ended.value.exit_code == 2


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/v1.0", "refs/heads/fix/#7-größe"])
def test_whole_refs_are_taken(ref: str) -> None:
    assert read_ref(ref) == ref


@pytest.mark.parametrize("sha", ["A" * 40, f" {'a' * 40} ", "0" * 64])
def test_a_whole_commit_id_is_taken_in_any_case(sha: str) -> None:
    assert read_sha(sha) == sha.strip().lower()


@pytest.mark.parametrize("sha", ["a" * 39, "a" * 41, "g" * 40, "HEAD", ""])
def test_anything_shorter_is_refused(sha: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        read_sha(sha)
    assert ended.value.exit_code == 2


def test_a_rule_is_found_by_its_name() -> None:
    assert read_rule(config(), "api").name == "api"
    with pytest.raises(typer.Exit) as ended:
        read_rule(config(), "apy")
    assert ended.value.exit_code == 2
