"""The headers and the body of a delivery, read as every forge sends them: words in headers, JSON bare or in a form.

What a stranger can send is met here once: text that is no UTF-8, numbers that JSON does not have, forms of a thousand
fields, lists nested a hundred thousand deep. Every mistake is a BadPayload that says in one line what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from email.message import Message
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import parse_qs

from pydantic_core import from_json

from buildbot.forges.fields import shown
from buildbot.ports import BadPayload

DEEPEST_NESTING = 64
FORM = "application/x-www-form-urlencoded"
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_Nested = dict[str, Any] | list[Any]
_NESTED = frozenset({dict, list})
_HEADER_TEXT = re.compile(rb"[\x21-\x7e]{1,200}")
_HEADER_LINE = re.compile(rb"[\x20-\x7e]{1,200}")


def header_word(headers: Mapping[str, bytes], name: str) -> str:
    """A header's value that is one word of ASCII ("X-GitHub-Delivery"). Raises BadPayload naming the header."""
    value = _present(headers, name)
    if not _HEADER_TEXT.fullmatch(value):
        raise BadPayload(f"the header {name} is not a word of at most 200 ASCII characters")
    return value.decode("ascii")


def header_line(headers: Mapping[str, bytes], name: str) -> str:
    """A header's value that is a line of ASCII ("Push Hook"). Raises BadPayload naming the header."""
    value = _present(headers, name)
    if not _HEADER_LINE.fullmatch(value):
        raise BadPayload(f"the header {name} is not a line of at most 200 ASCII characters")
    return value.decode("ascii")


def decoded_json(headers: Mapping[str, bytes], body: bytes, forge: str) -> dict[str, object]:
    """The JSON object that a body is. Raises BadPayload for a form and any other content type."""
    _utf8_or_none(headers, forge)
    if (kind := media_type(headers)) != "application/json":
        raise _wrong_type(kind)
    return json_object(body)


def decoded(headers: Mapping[str, bytes], body: bytes, forge: str) -> dict[str, object]:
    """The JSON object that a body is, or that the `payload` field of a form holds; nested no deeper than 64.

    Text in it is as sent: it may hold NULs and lone surrogates, which `json.dumps` writes as ASCII escapes.
    """
    _utf8_or_none(headers, forge)
    match media_type(headers):
        case "application/json":
            return json_object(body)
        case "application/x-www-form-urlencoded":
            return json_object(payload_field(utf8(body)))
        case kind:
            raise _wrong_type(kind)


def media_type(headers: Mapping[str, bytes]) -> str:
    """The content type without its parameters; JSON where none is told."""
    return _content_type(headers)[0]


def utf8(body: bytes) -> str:
    """A body as text. Raises BadPayload."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(f"the body is not UTF-8 (byte {error.start})") from None


def payload_field(form: str) -> str:
    """The one field `payload` of a form. Raises BadPayload."""
    try:
        values = parse_qs(form, keep_blank_values=True, errors="strict", max_num_fields=16).get("payload", [])
    except ValueError:
        raise BadPayload("the form is not UTF-8, or has more than 16 fields") from None
    if len(values) != 1:
        raise BadPayload(f"the form has {len(values)} fields `payload`, not one")
    return values[0]


def json_object(text: str | bytes) -> dict[str, object]:
    """The JSON object that a text, or its UTF-8, is, nested no deeper than 64. Raises BadPayload."""
    try:
        decoded = _loaded(text)
    except RecursionError:
        raise BadPayload("the JSON is nested too deeply") from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadPayload(f"the body is not JSON{where}") from None
    if not isinstance(decoded, dict):
        raise BadPayload("the JSON is not an object")
    if not _is_shallow(decoded):
        raise BadPayload("the JSON is nested too deeply")
    return decoded


def _loaded(text: str | bytes) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        # The quick parser takes no half characters ("\ud800"), which forges do pass on, and tells no line and column.
        return json.loads(utf8(text) if isinstance(text, bytes) else text, parse_constant=_no_such_number)


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(name)


def _is_shallow(value: dict[str, object]) -> bool:
    level: list[_Nested] = [value]
    for _ in range(DEEPEST_NESTING):
        level = [member for one in level for member in _members(one) if type(member) in _NESTED]
        if not level:
            return True
    return False


def _members(value: _Nested) -> Iterable[Any]:
    return value.values() if type(value) is dict else value


def _present(headers: Mapping[str, bytes], name: str) -> bytes:
    value = headers.get(name.lower(), b"")
    if not value:
        raise BadPayload(f"the header {name} is missing")
    return value


def _utf8_or_none(headers: Mapping[str, bytes], forge: str) -> None:
    charset = _content_type(headers)[1]
    if charset not in _UTF8:
        raise BadPayload(f"the body's charset is {shown(charset)}; {forge} sends UTF-8")


def _wrong_type(kind: str) -> BadPayload:
    return BadPayload(f"the content type is {shown(kind)}; choose application/json in the webhook's settings")


def _content_type(headers: Mapping[str, bytes]) -> tuple[str, str]:
    return _read_type(headers.get("content-type", b"application/json"))


@lru_cache(maxsize=64)
def _read_type(told: bytes) -> tuple[str, str]:
    parsed = Message()
    parsed["content-type"] = told.decode("latin-1")
    charset = parsed.get_param("charset", "utf-8")
    return parsed.get_content_type(), charset.lower() if isinstance(charset, str) else "?"
