"""Every key and list entry is found where it stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.config.locate import positions
from buildbot.config.mistakes import Place

TEXT = '''\
# a comment = [with] {marks}
top = 1
[server]
listen = "x" # [not.a.table]
  indented = 2
dotted . key = 3
"quoted \\"key\\"" = 'a # b'

[forges . "git.hub"]
list = [ "a", # first
  "b]", [1, 2],
  { c = "d" },
]
many = """
[not.a.table]
key = "value" \\""" still"""
raw = \'\'\'
[nor.this]
\'\'\'
after = {a = 1, b.c = [true], d = {}}
[[rules]]
name = "one"
[rules.inner]
key = 1
[[rules]] # second
name = 1979-05-27T07:32:00Z
[[rules.deep]]
x = 1.5
[[rules.deep]]
x = -15
'''


@pytest.mark.parametrize(
    ("place", "position"),
    [
        (("top",), (2, 1)),
        (("server",), (3, 1)),
        (("server", "listen"), (4, 1)),
        (("server", "indented"), (5, 3)),
        (("server", "dotted"), (6, 1)),
        (("server", "dotted", "key"), (6, 1)),
        (("server", 'quoted "key"'), (7, 1)),
        (("forges",), (9, 1)),
        (("forges", "git.hub"), (9, 1)),
        (("forges", "git.hub", "list"), (10, 1)),
        (("forges", "git.hub", "list", 0), (10, 10)),
        (("forges", "git.hub", "list", 1), (11, 3)),
        (("forges", "git.hub", "list", 2, 1), (11, 13)),
        (("forges", "git.hub", "list", 3, "c"), (12, 5)),
        (("forges", "git.hub", "many"), (14, 1)),
        (("forges", "git.hub", "raw"), (17, 1)),
        (("forges", "git.hub", "after"), (20, 1)),
        (("forges", "git.hub", "after", "b", "c", 0), (20, 24)),
        (("forges", "git.hub", "after", "d"), (20, 31)),
        (("rules", 0), (21, 1)),
        (("rules", 0, "name"), (22, 1)),
        (("rules", 0, "inner", "key"), (24, 1)),
        (("rules", 1), (25, 1)),
        (("rules", 1, "name"), (26, 1)),
        (("rules", 1, "deep", 0, "x"), (28, 1)),
        (("rules", 1, "deep", 1, "x"), (30, 1)),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_place_is_found(place: Place, position: tuple[int, int], line_end: str) -> None:
    assert positions(TEXT.replace("\n", line_end))[place] == position


def test_exactly_what_the_parser_finds_is_found() -> None:
    assert set(positions(TEXT)) == set(_places(tomllib.loads(TEXT)))


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    assert positions("a = " + "[" * 900 + "]" * 900)[("a",)] == (1, 1)


_KEYS = st.text("abc-_", min_size=1, max_size=3) | st.sampled_from(['"a b"', "'#'", '"\\""', '"="', '"[x]"'])
_SCALARS = st.sampled_from(
    ["1", "1.5", '"x"', "'''\n[y]\nz = 1\n'''", '"""a"b""c"""', "1979-05-27", "''", '"\\\\"', '"#"']
)
_INLINE = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", # c\n".join(items) + "]")
        | st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=8,
)
_LINES = st.one_of(
    st.lists(_KEYS, min_size=1, max_size=3).map(lambda keys: f"[{'.'.join(keys)}]"),
    st.lists(_KEYS, min_size=1, max_size=2).map(lambda keys: f"[[ {' . '.join(keys)} ]] # c"),
    st.builds(lambda keys, value: f"{'.'.join(keys)} = {value}", st.lists(_KEYS, min_size=1, max_size=2), _INLINE),
)


@given(st.lists(_LINES, max_size=8))
def test_whatever_the_parser_accepts_is_found_as_it_finds_it(lines: list[str]) -> None:
    text = ""
    for line in lines:
        try:
            tomllib.loads(longer := f"{text}{line}\n")
        except tomllib.TOMLDecodeError:
            continue
        text = longer
    assert set(positions(text)) == set(_places(tomllib.loads(text)))


def _places(value: Any, place: Place = ()) -> list[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place] if place else []
    return [*found, *(deeper for key, entry in inner for deeper in _places(entry, (*place, key)))]
