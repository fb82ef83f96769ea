"""A file becomes a Config or a list of mistakes, whatever is in it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.config import BadConfig, load, read
from tests.config.files import ENVIRON, FORGE, GOOD, REGISTRY, RULE, mistakes, only_mistake, rule


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(GOOD)
    config = load(path, ENVIRON)
    assert config.file == str(path)
    assert (config.server.listen_host, config.server.listen_port) == ("127.0.0.1", 8080)
    assert config.store.url == f"sqlite:///{tmp_path}/buildbot.db"
    assert [rule.name for rule in config.rules] == ["api"]
    assert config.warnings == ()


def test_mistakes_of_every_kind_are_reported_together_in_the_order_of_the_file() -> None:
    text = (
        "[server]\nlisten = 8080\n"
        + FORGE.replace("env:TOKEN", "env:ABSENT")
        + REGISTRY
        + 'poll_intervall = "5s"\n'
        + RULE
        + 'image_tags = ["{tga}"]\n'
        + rule(branches='["***"]', source='"gitlab:acme/web"')
        + rule(source='"acme/api"', repository='"acme/api"', image_tags='["main"]', name='"third"')
        + rule(source='"acme/api"', repository='"acme/api"', image_tags='["{ref}"]', name='"fourth"')
    )
    assert [(mistake.line, mistake.key) for mistake in mistakes(text)] == [
        (2, "server.listen"),
        (7, "forges.github.token"),
        (12, "registries.quay.poll_intervall"),
        (19, 'rules "api".image_tags[0]'),
        (23, 'rules "web".source'),
        (24, 'rules "web".branches[0]'),
        (39, 'rules "fourth".image_tags'),
    ]


def test_a_mistake_reads_as_place_key_and_what_to_do() -> None:
    text = GOOD + 'imagetags = ["x"]\n'
    assert str(only_mistake(text)) == 'config.toml:16: rules "api".imagetags: unknown key; did you mean image_tags?'


def test_the_error_says_everything() -> None:
    with pytest.raises(BadConfig) as caught:
        read("", {}, file="x.toml")
    assert str(caught.value).splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    assert [mistake.key for mistake in caught.value.mistakes] == ["forges", "registries", "rules"]


@pytest.mark.parametrize(
    ("text", "key", "fragment"),
    [
        ("colour = 1\n" + GOOD, "colour", "unknown key"),
        (GOOD + "[serverr]\n", "serverr", "did you mean server?"),
        (GOOD + "[rule]\n", "rule", "did you mean rules?"),
        (GOOD + "[github]\nkind = 1\n", "github", "write [forges.github]"),
        (GOOD + "[quay]\n", "quay", "write [registries.quay]"),
        ("server = 5\n" + GOOD, "server", "must be a table, written [server]"),
        ("store = []\n" + GOOD, "store", "must be a table, written [store]"),
        ("forges = 5\n" + REGISTRY + RULE, "forges", "must be tables"),
        ("[forges]\nx = 5\n" + REGISTRY + RULE, "forges.x", "must be a table, written [forges.x]"),
        ("registries = []\n" + FORGE + RULE, "registries", "must be tables"),
        ("rules = 5\n" + FORGE + REGISTRY, "rules", "must be a list of tables"),
        ("rules = [5]\n" + FORGE + REGISTRY, "rules[0]", "must be a table, written [[rules]]"),
        (FORGE + REGISTRY + RULE.replace("[[rules]]", "[rules]"), "rules", "must be a list of tables"),
        ("rules = []\n" + FORGE + REGISTRY, "rules", "there is none"),
        (REGISTRY + RULE, "forges", "there is none"),
        (FORGE + RULE, "registries", "there is none"),
        (GOOD.replace("forges.github", 'forges."a b"'), 'forges."a b"', "is no key"),
    ],
)
def test_tables_that_are_not_as_they_must_be(text: str, key: str, fragment: str) -> None:
    mistake = only_mistake(text)
    assert mistake.key == key
    assert fragment in mistake.what


@pytest.mark.parametrize(
    ("content", "place", "fragment"),
    [
        (b"a = \n", (1, 5), "a value cannot be read"),
        (b"[server]\nlisten = 'x'\nlisten = 'y'\n", (3, 13), "a second time"),
        (b"[a]\n[a]\n", (2, 3), "already there"),
        (b"[[a]\n", (1, 4), "is not TOML: "),
        (b'a = "x', (1, 0), "is not TOML: Unterminated string"),
        (b'a = "\\x"\n', (1, 8), "a backslash stands alone"),
        (b"a = 1\nb = \xff\n", (2, 5), "is not UTF-8 here"),
        ("a = 1".encode("utf-16"), (0, 0), "is UTF-16"),
        (b"a = " + b"[" * 100_000, (0, 0), "too deeply"),
        (b"a = " + b"9" * (sys.get_int_max_str_digits() + 1), (0, 0), "is not TOML"),
        (b"a = 2024-13-45\n", (1, 0), "is not TOML"),
        (b"#" * (1024 * 1024 + 1), (0, 0), "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_not_toml_says_where(
    tmp_path: Path, content: bytes, place: tuple[int, int], fragment: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfig) as caught:
        load(path, {})
    [mistake] = caught.value.mistakes
    assert fragment in mistake.what
    assert mistake.line == place[0]
    assert not place[1] or mistake.column == place[1]
    assert str(mistake).startswith(f"{path}:{place[0]}" if place[0] else f"{path}: ")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path, ENVIRON).rules[0].name == "api"


@pytest.mark.parametrize(
    ("name", "fragment"), [(".", "Is a directory"), ("absent.toml", "No such file"), ("a\0b", "that is no file's name")]
)
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, name: str, fragment: str) -> None:
    with pytest.raises(BadConfig, match=fragment):
        load(tmp_path / name, {})


def test_without_secrets_nothing_is_missed() -> None:
    config = read(GOOD, {}, file="config.toml", secrets=False)
    assert config.forges["github"].token is None
    assert config.forges["github"].webhook_secrets == ()
    assert config.registries["quay"].token == ""


def test_without_secrets_the_store_is_still_found_where_it_can_be() -> None:
    text = '[store]\nurl = "env:STORE"\n' + GOOD
    with_it = read(text, {"STORE": "postgresql://user:pass@db/x"}, file="c", secrets=False)
    without = read(text, {}, file="c", secrets=False)
    assert with_it.store.url == "postgresql://user:pass@db/x"
    assert without.store.url == ""
    assert [warning.what for warning in without.warnings] == ["the environment variable STORE is not set"]


_WORDS = sorted(
    {"server", "store", "forges", "github", "registries", "quay", "rules", "kind", "token", "webhook_secrets", "listen"}
    | {"name", "source", "branches", "tags", "paths", "repository", "image_tags", "dockerfile", "context", "url"}
    | {"app_id", "private_key", "poll_interval", "settle_time", "status_context", "timeout", "lease", "nonsense"}
)
_REFERENCES = ["acme/api", "env:HOOK", "env:", "file:", "file:\0", "github", "quay", "quay:a/b", "$X", "acme/{sha}"]
_PATTERNS = ["main", "**", "!**", "!", "[", "{ref}", "{default_branch?x}", "{", "../..", "", "é", "\x7f"]
_ADDRESSES = ["http://[::1", "[::1]:1", "a:99999", "postgresql://[", "5s", "0s", "1e9d"]
_TEXTS = st.sampled_from([*_REFERENCES, *_PATTERNS, *_ADDRESSES])
_VALUES = st.recursive(
    _TEXTS | st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=12,
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in value) + '"'
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


_LINES = st.one_of(
    st.sampled_from(
        [f"[{word}]" for word in _WORDS] + ["[forges.github]", "[registries.quay]", "[[rules]]", *GOOD.splitlines()]
    ),
    st.builds(lambda key, value: f"{key} = {_toml(value)}", st.sampled_from(_WORDS), _VALUES),
    st.text(max_size=12),
)


@given(st.lists(_LINES, max_size=12), st.booleans())
def test_any_text_gives_a_config_or_its_mistakes(lines: list[str], secrets: bool) -> None:
    try:
        config = read("\n".join(lines), ENVIRON, file="config.toml", base=Path("/nowhere"), secrets=secrets)
        found = config.warnings
    except BadConfig as error:
        found = error.mistakes
        config = None
    assert config or found
    assert all(str(mistake).isprintable() for mistake in found)


@given(st.sampled_from(sorted(tomllib.loads(GOOD + "[server]\n[store]\n"))), st.sampled_from(_WORDS), _VALUES)
def test_any_value_anywhere_gives_a_config_or_its_mistakes(table: str, key: str, value: Any) -> None:
    line = f"{key} = {_toml(value)}\n"
    text = {"forges": FORGE + line + REGISTRY + RULE, "registries": FORGE + REGISTRY + line + RULE}.get(
        table, GOOD + (line if table == "rules" else f"[{table}]\n{line}")
    )
    for mistake in mistakes(text):
        assert mistake.what
        assert mistake.line > 0


@given(st.binary(max_size=40))
def test_any_bytes_give_a_config_or_its_mistakes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfig):
        load(path, {})
