"""Strangers' text is shown as what it is, and only web addresses become links."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.web.hostile_text import REPLACEMENT, quoted, shown, web_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("release/1.x — ünïcode 🚀 日本", "release/1.x — ünïcode 🚀 日本"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("\x1b[31mred", f"{REPLACEMENT}[31mred"),
        ("nul\x00del\x7fcsi\x9bcr\r", f"nul{REPLACEMENT}del{REPLACEMENT}csi{REPLACEMENT}cr{REPLACEMENT}"),
        ("\u202egpj.exe\u2069", f"{REPLACEMENT}gpj.exe{REPLACEMENT}"),
        ("half \ud83d", f"half {REPLACEMENT}"),
        ("שלום", "שלום"),
    ],
)
def test_only_what_cannot_be_shown_or_reorders_text_is_replaced(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_shown_is_as_long_and_always_writable(text: str) -> None:
    told = shown(text)
    assert len(told) == len(text)
    told.encode()
    assert {unicodedata.category(letter) for letter in told} & {"Cc", "Cs"} == (
        {"Cc"} if {"\t", "\n"} & set(text) else set()
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/api",
        "http://ghe.example:8443/a/b/compare/0...1?x=1&y=%20#d",
        "HTTPS://github.com/acme",
        "https://[::1]:3000/a",
    ],
)
def test_a_web_address_may_be_a_link(url: str) -> None:
    assert web_address(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "acme/api",
        "//evil.example/",
        "javascript:alert(1)//https://github.com",
        "java\nscript:alert(1)",
        "data:text/html,<script>",
        "ftp://github.com/",
        "https:github.com",
        "https:///acme",
        "https://github.com@evil.example/",
        "https://evil.example\\@github.com/",
        "https://github.com/\tacme",
        "https://github.com/a b",
        " https://github.com/",
        "https://github.com/\n",
        'https://github.com/"onclick=',
        "https://g\u0456thub.com/",
        "https://[::1/",
    ],
)
def test_anything_else_may_not(url: str | None) -> None:
    assert web_address(url) is None


@pytest.mark.parametrize(("part", "expected"), [("a/b?c#d", "a%2Fb%3Fc%23d"), ("\ud83d", "%3F"), ("1a2b", "1a2b")])
def test_a_part_of_a_path_stays_one_part(part: str, expected: str) -> None:
    assert quoted(part) == expected
