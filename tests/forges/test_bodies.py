"""Headers and bodies of deliveries: both encodings, and everything that a stranger may send instead."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.bodies import decoded, decoded_json, header_line, header_word
from buildbot.ports import BadPayload

JSON = {"content-type": b"application/json"}
FORM = {"content-type": b"application/x-www-form-urlencoded"}


def read(headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
    return decoded(headers, body, "GitHub")


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"application/json; charset=utf-8", b'Application/JSON; charset="UTF-8"', None],
)
def test_json_is_decoded_whatever_the_content_type_is_spelled_like(content_type: bytes | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert read(headers, '{"zen": "größe"}'.encode()) == {"zen": "größe"}


def test_a_form_is_decoded_from_its_payload_field() -> None:
    form = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22zen%22%3A%22gr%C3%B6%C3%9Fe+%2B+100%25%22%7D"
    assert read(FORM, form) == {"ref": "refs/heads/main", "zen": "größe + 100%"}


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BODIES = [
    pytest.param(JSON, b"", "not JSON", id="empty"),
    pytest.param(JSON, b"{", "not JSON .line 1, column 2", id="cut"),
    pytest.param(JSON, b"[]", "not an object", id="list"),
    pytest.param(JSON, b"null", "not an object", id="null"),
    pytest.param(JSON, b'{"a": NaN}', "not JSON", id="NaN"),
    pytest.param(JSON, b'{"a": -Infinity}', "not JSON", id="infinity"),
    pytest.param(JSON, b'{"a": "\xff"}', "not UTF-8 .byte 7", id="not UTF-8"),
    pytest.param(JSON, b'\xef\xbb\xbf{"a": 1}', "not JSON", id="byte order mark"),
    pytest.param(JSON, b'{"a": %s}' % (b"9" * 5000), "not JSON", id="a number of 5000 digits"),
    pytest.param(JSON, NESTED, "nested too deeply", id="objects nested 100 000 deep"),
    pytest.param(JSON, b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "nested too deeply", id="lists nested 64 deep"),
    pytest.param(FORM, b"", "0 fields `payload`", id="empty form"),
    pytest.param(FORM, b"payload={}&payload={}", "2 fields `payload`", id="two payloads"),
    pytest.param(FORM, b"payload=%ff", "form is not UTF-8", id="form not UTF-8"),
    pytest.param(FORM, b"a=1&" * 1000, "more than 16 fields", id="too many fields"),
    pytest.param(FORM, b"payload=x", "not JSON", id="form without JSON"),
    pytest.param({"content-type": b"text/xml"}, b"{}", "choose application/json", id="XML"),
    pytest.param({"content-type": b"\xff\x00; charset"}, b"{}", "content type|charset", id="nonsense type"),
    pytest.param({"content-type": b"application/json; charset=latin-1"}, b"{}", "charset is 'latin-1'", id="Latin-1"),
]


@pytest.mark.parametrize(("headers", "body", "said"), BODIES)
def test_a_body_that_cannot_be_read_is_refused_in_words(headers: dict[str, bytes], body: bytes, said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        read(headers, body)


def test_a_payload_may_be_nested_as_deep_as_the_limit() -> None:
    assert read(JSON, b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")


@given(body=st.binary(), content_type=st.sampled_from([b"application/json", FORM["content-type"]]) | st.binary())
def test_any_bytes_are_a_payload_or_a_bad_one(body: bytes, content_type: bytes) -> None:
    try:
        decoded = read({"content-type": content_type}, body)
    except BadPayload:
        return
    assert isinstance(decoded, dict)


def test_where_only_json_is_sent_a_form_is_refused() -> None:
    assert decoded_json(JSON, b'{"a": 1}', "GitLab") == {"a": 1}
    with pytest.raises(BadPayload, match="choose application/json"):
        decoded_json(FORM, b"payload={}", "GitLab")


@pytest.mark.parametrize("value", [b"", b"\xff", b"a\tb", b"x" * 201])
def test_a_header_is_a_line_of_ascii_or_refused(value: bytes) -> None:
    assert header_line({"x-event": b"Push Hook"}, "X-Event") == "Push Hook"
    with pytest.raises(BadPayload, match="X-Event"):
        header_line({"x-event": value}, "X-Event")
    with pytest.raises(BadPayload, match="X-Event"):
        header_word({"x-event": b"Push Hook"}, "X-Event")
