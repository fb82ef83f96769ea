"""Git URLs: where they lead, and which forge serves that place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.remote import BadRemote, Remote, absolute, name_at, remote

PARENT = "https://git.test/acme/api"


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("../lib.git", "https://git.test/acme/lib.git"),
        ("./lib.git", "https://git.test/acme/api/lib.git"),
        ("../../other/lib", "https://git.test/other/lib"),
        (".././../other/lib/", "https://git.test/other/lib"),
        ("https://elsewhere.test/x", "https://elsewhere.test/x"),
        ("git@git.test:acme/lib.git", "git@git.test:acme/lib.git"),
    ],
)
def test_a_relative_url_is_relative_to_the_repositorys(url: str, leads_to: str) -> None:
    assert absolute(url, PARENT) == leads_to


def test_a_relative_url_does_not_leave_the_host() -> None:
    with pytest.raises(BadRemote, match=r"leads out of git\.test"):
        absolute("../../../elsewhere.test/acme/lib", PARENT)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://git.test/acme/lib.git", Remote("git.test", "acme/lib", 443)),
        ("https://GIT.test/acme/lib/", Remote("git.test", "acme/lib", 443)),
        ("http://git.test:3000/acme/lib", Remote("git.test", "acme/lib", 3000)),
        ("https://ada:s3cret@git.test/a%20b/lib.git", Remote("git.test", "a b/lib", 443)),
        ("ssh://git@git.test:7999/ACME/lib.git", Remote("git.test", "ACME/lib")),
        ("git+ssh://git.test/~ada/lib", Remote("git.test", "~ada/lib")),
        ("git://git.test/acme/lib", Remote("git.test", "acme/lib")),
        ("git@git.test:acme/lib.git", Remote("git.test", "acme/lib")),
        ("git.test:/acme/lib.git/", Remote("git.test", "acme/lib")),
        ("git@[2001:db8::1]:acme/lib", Remote("2001:db8::1", "acme/lib")),
        ("https://[2001:db8::1]:8443/acme/lib", Remote("2001:db8::1", "acme/lib", 8443)),
        ("ssh://git@ssh.github.com:443/acme/lib.git", Remote("github.com", "acme/lib")),
        ("group/sub@x:y", None),
        ("/srv/git/lib.git", None),
        ("lib", None),
        ("", None),
        ("ext::sh -c x", None),
        ("file:///srv/git/lib", None),
        ("ftp://git.test/acme/lib", None),
        ("https:///acme/lib", None),
        ("https://git.test:port/x", None),
        ("https://[::1/x", None),
        ("-u", None),
    ],
)
def test_where_an_url_leads(url: str, place: Remote | None) -> None:
    if place is not None:
        assert remote(url) == place
        return
    with pytest.raises(BadRemote):
        remote(url)


@pytest.mark.parametrize(
    ("clone_url", "url", "name"),
    [
        ("https://git.test", "https://git.test/acme/lib.git", "acme/lib"),
        ("https://git.test", "git@git.test:acme/lib.git", "acme/lib"),
        ("https://git.test", "ssh://git@git.test:2222/group/sub/lib", "group/sub/lib"),
        ("https://git.test", "http://git.test/acme/lib", "acme/lib"),
        ("https://git.test", "https://git.test:8443/acme/lib", None),
        ("https://git.test:8443", "https://git.test:8443/acme/lib", "acme/lib"),
        ("https://git.test:8443", "https://git.test/acme/lib", None),
        ("https://git.test:8443", "git@git.test:acme/lib", "acme/lib"),
        ("https://git.test", "https://git.test.elsewhere.test/acme/lib", None),
        ("https://git.test", "https://evil-git.test/acme/lib", None),
        ("https://git.test", "https://git.test@elsewhere.test/acme/lib", None),
        ("https://git.test", "git.test@elsewhere.test:acme/lib", None),
        ("https://git.test/gitea", "https://git.test/gitea/acme/lib", "acme/lib"),
        ("https://git.test/gitea", "https://git.test/acme/lib", None),
        ("https://git.test/gitea", "git@git.test:acme/lib", "acme/lib"),
        ("https://git.test/scm", "https://git.test/scm/ACME/lib.git", "ACME/lib"),
        ("https://git.test", "https://git.test/", None),
        ("", "https://git.test/acme/lib", None),
    ],
)
def test_a_forge_serves_what_is_at_its_host_and_port_below_its_path(clone_url: str, url: str, name: str | None) -> None:
    assert name_at(clone_url, remote(url)) == name


@given(st.text(max_size=40) | st.text("htps:/@[].0g-~%", max_size=40))
def test_any_text_leads_to_a_host_or_is_refused_without_what_it_may_hide(url: str) -> None:
    try:
        told = str(remote(f"https://ada:s3cret@{url}"))
    except BadRemote as error:
        told = str(error)
    assert "s3cret" not in told
