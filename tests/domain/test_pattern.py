"""The pattern language against a naive matcher that tries everything, and common names against a search by force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from buildbot.domain.pattern import Undecided, check, common, deciding, is_literal, matches

# ── the naive matcher: read as the docstring says, no automaton ──────────────────────────────────────────────────────


def naive(pattern: str, text: str, is_start: bool = True) -> bool:
    if not pattern:
        return not text
    if pattern.startswith("**/") and is_start:
        rest = pattern[3:]
        after_slashes = (text[index + 1 :] for index, character in enumerate(text) if character == "/")
        return naive(rest, text) or any(naive(rest, left) for left in after_slashes)
    if pattern.startswith("**"):
        return any(naive(pattern[2:], text[index:], False) for index in range(len(text) + 1))
    if pattern[0] == "*":
        first = text.partition("/")[0]
        return any(naive(pattern[1:], text[index:], False) for index in range(len(first) + 1))
    if pattern[0] == "[":
        inside, _, rest = pattern[1:].partition("]")
        return bool(text) and in_set(inside, text[0]) and naive(rest, text[1:], False)
    takes = bool(text) and (text[0] != "/" if pattern[0] == "?" else text[0] == pattern[0])
    return takes and naive(pattern[1:], text[1:], pattern[0] == "/")


def in_set(inside: str, character: str) -> bool:
    members = inside.removeprefix("!")
    found, left = False, members
    while left:
        if len(left) > 2 and left[1] == "-":
            found, left = found or left[0] <= character <= left[2], left[3:]
        else:
            found, left = found or left[0] == character, left[1:]
    return character != "/" and found is not inside.startswith("!")


def naive_list(patterns: tuple[str, ...], text: str) -> bool:
    for pattern in reversed(patterns):
        if naive(pattern.removeprefix("!"), text):
            return not pattern.startswith("!")
    return bool(patterns) and all(pattern.startswith("!") for pattern in patterns)


parts = st.sampled_from(["a", "b", "c", "/", "*", "**", "?", "[ab]", "[!a]", "[a-b]", "**/", "/**/", "[b-]"])
bodies = st.lists(parts, min_size=1, max_size=5).map("".join).filter(lambda body: check(body) is None)
patterns = st.tuples(st.sampled_from(["", "", "", "!"]), bodies).map("".join)
lists = st.lists(patterns, max_size=3).map(tuple)
texts = st.text("abc/-", max_size=8)


@settings(max_examples=500)
@given(lists, texts)
def test_lists_match_as_the_naive_matcher_says(patterns: tuple[str, ...], text: str) -> None:
    assert matches(patterns, text) is naive_list(patterns, text)


@settings(max_examples=500)
@given(bodies, texts)
def test_a_pattern_matches_as_the_naive_matcher_says(body: str, text: str) -> None:
    assert (deciding([body], text) == 0) is naive(body, text)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("main", ["main"], ["Main", "main2", "a/main", ""]),
        ("release/*", ["release/1", "release/"], ["release", "release/1/2", "xrelease/1"]),
        ("*", ["main", ""], ["a/b"]),
        ("**", ["main", "a/b/c", ""], []),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "src/docs/a"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/bx", "x/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/x/yb"]),
        ("a**b", ["ab", "a/b", "axx/yb"], ["a", "b"]),
        ("v?", ["v1", "vx"], ["v", "v12", "v/"]),
        ("v[0-9].[!0]", ["v1.1", "v9.x"], ["v1.0", "vx.1", "v1./"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("*.py", ["x.py", ".py"], ["a/x.py", "x.pyc"]),
        ("**/*.py", ["x.py", "a/x.py"], ["x.pyc"]),
        ("größe-*", ["größe-1"], ["grosse-1"]),
    ],
)
def test_every_sign_means_what_the_documentation_says(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not matches([pattern], text)] == []
    assert [text for text in no if matches([pattern], text)] == []


@pytest.mark.parametrize(
    ("patterns", "text", "index", "is_admitted"),
    [
        ([], "main", None, False),
        (["main"], "dev", None, False),
        (["*", "!main"], "main", 1, False),
        (["*", "!main"], "dev", 0, True),
        (["!main", "*"], "main", 1, True),
        (["**", "!docs/**", "docs/api/**"], "docs/api/x", 2, True),
        (["!docs/**"], "src/x", None, True),
        (["!docs/**"], "docs/x", 0, False),
        (["!a", "!b"], "c", None, True),
    ],
)
def test_the_last_pattern_that_matches_decides(
    patterns: list[str], text: str, index: int | None, is_admitted: bool
) -> None:
    assert deciding(patterns, text) == index
    assert matches(patterns, text) is is_admitted


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "is empty"),
        ("!", "is empty"),
        ("a***b", "three stars"),
        ("[ab", "without its ]"),
        ("[]", "match nothing"),
        ("[!]", "match nothing"),
        ("[a/b]", "match nothing"),
        ("[z-a]", "runs backwards"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_explained(pattern: str, words: str) -> None:
    assert words in (check(pattern) or "")


@pytest.mark.parametrize("pattern", ["main", "release/*", "**", "!x", "[!a-c]?", "a]b", "**/x"])
def test_a_sound_pattern_has_nothing_to_explain(pattern: str) -> None:
    assert check(pattern) is None


@given(st.text(max_size=12))
def test_any_text_is_either_explained_or_can_be_matched_with(pattern: str) -> None:
    if check(pattern) is None:
        assert matches([pattern], "main") in (True, False)


@pytest.mark.parametrize(
    ("pattern", "answer"), [("main", True), ("a/b", True), ("a*", False), ("a?", False), ("[a]", False), ("!a", False)]
)
def test_a_literal_stands_for_itself_alone(pattern: str, answer: bool) -> None:
    assert is_literal(pattern) is answer


def test_a_hostile_name_cannot_keep_the_matcher_busy() -> None:
    # one that backtracks would take years here
    assert not matches(["**a**a**a**a**a**a**b"], "a" * 20_000)


# ── names in common ──────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = [
    name
    for length in range(1, 5)
    for name in map("".join, product("abc/", repeat=length))
    if not name.startswith("/") and not name.endswith("/") and "//" not in name
]


@settings(max_examples=300)
@given(lists, lists)
def test_a_common_name_is_admitted_by_both_and_none_means_that_there_is_none(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    try:
        found = common(first, second)
    except Undecided:
        assume(False)
    by_force = next((name for name in NAMES if naive_list(first, name) and naive_list(second, name)), None)
    if found is None:
        assert by_force is None
        return
    assert naive_list(first, found)
    assert naive_list(second, found)
    assert "//" not in f"/{found}/"
    assert by_force is None or len(found) <= len(by_force)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (("main",), ("main",), "main"),
        (("main",), ("dev",), None),
        (("main",), ("*",), "main"),
        (("*",), ("*/*",), None),
        (("**",), ("*/*",), "x/x"),
        (("release/*",), ("*/1",), "release/1"),
        (("*", "!main"), ("main",), None),
        (("*", "!main"), ("mai?",), "maix"),
        (("!main",), ("!dev",), "x"),
        (("[0-9]",), ("[5-7]",), "5"),
        (("[!a-z]",), ("[!0-9]",), "!"),
        ((), ("**",), None),
        (("a b",), ("a b",), None),
        (("[ -!]",), ("?",), "!"),
        (("[*-?]",), ("[*-?]",), "+"),
        (("[!!-~]",), ("?",), "\x80"),
    ],
)
def test_two_lists_have_the_shortest_name_in_common(
    first: tuple[str, ...], second: tuple[str, ...], name: str | None
) -> None:
    assert common(first, second) == name


def test_a_question_that_takes_too_long_is_not_answered_wrongly() -> None:
    wide = tuple(f"**{letter}" + "?" * 12 for letter in "ab")
    with pytest.raises(Undecided):
        common(wide, ("**c" + "?" * 13,))
