"""`.gitmodules` as git reads it: what it says, what it refuses. `git config --list` was asked about these tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.gitmodules import BadGitmodules, Declared, declared, settings


def one(path: str = "libs/a", more: str = "") -> bytes:
    return f'[submodule "a"]\n\tpath = {path}\n\turl = ../a.git\n{more}'.encode()


def test_submodules_are_declared_with_path_and_url() -> None:
    content = one() + b'[submodule "b"]\npath=b\nurl=git@git.test:acme/b.git\nbranch = main\n'
    assert declared(content) == (Declared("libs/a", "../a.git"), Declared("b", "git@git.test:acme/b.git"))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"# nothing\n; at all", b'[core]\npath = x\n[submodule "a"]\nurl = x\n']
)
def test_nothing_is_declared_where_there_is_no_path(content: bytes) -> None:
    assert declared(content) == ()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("  a  ", "a"),
        ("a b", "a b"),
        ("a # comment", "a"),
        ("a ; comment", "a"),
        ('"a # b"', "a # b"),
        ('"a" ; c', "a"),
        ('x"; "y', "x; y"),
        ('" a "', " a "),
        (r"a\"b\\c", 'a"b\\c'),
        (r"a\tb\nc", "a\tb\nc"),
        ("a \\\n  b", "a   b"),
        ('"a\\\nb"', "ab"),
        ("größe", "größe"),
        ("", ""),
        ("a = b", "a = b"),
        ("[a]", "[a]"),
    ],
)
def test_a_value_is_read_with_quotes_escapes_and_comments(written: str, value: str) -> None:
    (setting,) = settings(f"[s]\nk = {written}\n".encode())
    assert setting.value == value


@pytest.mark.parametrize(
    ("header", "section"),
    [
        ("[submodule]", "submodule"),
        ("[SubModule]", "submodule"),
        ('[SubModule "A b"]', "submodule.A b"),
        ('[submodule \t "a]b"]', "submodule.a]b"),
        (r'[submodule "a\"b\\c\d"]', 'submodule.a"b\\cd'),
        ("[submodule.Old]", "submodule.old"),
    ],
)
def test_a_section_has_a_name_and_maybe_a_second_one_in_quotes(header: str, section: str) -> None:
    (setting,) = settings(f"{header} K-1 = v".encode())
    assert (setting.section, setting.key, setting.value) == (section, "k-1", "v")


def test_the_lines_of_windows_and_its_byte_order_mark_make_no_difference() -> None:
    assert declared("\ufeff".encode() + one().replace(b"\n", b"\r\n")) == declared(one())


def test_what_comes_later_counts() -> None:
    assert declared(one(more='[submodule "a"]\nurl = ../b.git\n')) == (Declared("libs/a", "../b.git"),)
    assert declared(one(more='[submodule "b"]\npath = libs/a\nurl = ../b.git\n')) == (Declared("libs/a", "../b.git"),)


def test_a_submodule_without_an_url_is_declared_all_the_same() -> None:
    assert declared(b'[submodule "a"]\npath = a\n') == (Declared("a", ""),)


def test_one_that_is_never_checked_out_is_told_as_left_out() -> None:
    assert declared(one(more="update = none\n")) == (Declared("libs/a", "../a.git", is_left_out=True),)
    assert declared(one(more="update = checkout\n")) == declared(one())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "line 1: '<' begins nothing"),
        (b'\n[submodule "a', "line 2: the name of a section is not closed"),
        (b"[submodule a]", "line 1: the second part of a section's name is not in quotes"),
        (b'[submodule "a" ]', "line 1: something stands behind the name"),
        (b"[sub_module]", "line 1: the name of a section is not closed, or has to be in quotes"),
        (b"[s]\nk v", "line 2: k lacks its ="),
        (b'[s]\n\nk = "v\n', "line 3: a quote is not closed"),
        (b"[s]\nk = \\q", r"line 2: \\q is no escape"),
        (b'[submodule "a"]\nurl', "line 2: url has no value"),
        (b"[s]\nk = \xff", "not UTF-8"),
    ],
)
def test_what_git_refuses_is_refused_with_its_line(content: bytes, why: str) -> None:
    with pytest.raises(BadGitmodules, match=why):
        declared(content)


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "a/../b", "./a", ".", ".git/hooks", "a/.GIT", '"a\\nb"', '"\\t"']
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(BadGitmodules, match="none inside the repository"):
        declared(one(path))


@given(st.binary(max_size=60) | st.text('[]"\\=#; \nsubmodle.pathur').map(str.encode))
def test_anything_is_read_or_refused_and_no_path_leads_out(content: bytes) -> None:
    try:
        found = declared(b'[submodule "a"]\n' + content)
    except BadGitmodules:
        return
    assert all(".." not in one.path.split("/") and not one.path.startswith("/") for one in found)


WRITABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"))


def quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@given(WRITABLE, WRITABLE)
def test_what_is_quoted_comes_back(name: str, value: str) -> None:
    (setting,) = settings(f'[submodule "{quoted(name)}"]\nk = "{quoted(value)}"\n'.encode())
    assert (setting.section, setting.value) == (f"submodule.{name}", value)
