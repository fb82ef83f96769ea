"""Forges of every kind: what is read, and what is a mistake."""

from __future__ import annotations

import pytest

from buildbot.config.forges import kinds
from buildbot.config.model import ForgeKind
from tests.config.files import ENVIRON, GOOD, SERVER, forge, good, mistakes, only_mistake

SIGNING_TOKEN = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    ("keys", "url", "api_url"),
    [
        ({}, "https://github.com", "https://api.github.com"),
        ({"url": '"https://GitHub.com/"'}, "https://github.com", "https://api.github.com"),
        ({"url": '"https://ghe.example.com"'}, "https://ghe.example.com", "https://ghe.example.com/api/v3"),
        ({"url": '"http://127.0.0.1:1/x"', "api_url": '"http://[::1]:2/"'}, "http://127.0.0.1:1/x", "http://[::1]:2"),
        ({"kind": '"gitlab"'}, "https://gitlab.com", "https://gitlab.com/api/v4"),
        ({"kind": '"gitlab"', "url": '"https://x.test/lab"'}, "https://x.test/lab", "https://x.test/lab/api/v4"),
        ({"kind": '"gitea"', "url": '"https://x.test"'}, "https://x.test", "https://x.test/api/v1"),
        ({"kind": '"forgejo"', "url": '"https://codeberg.org"'}, "https://codeberg.org", "https://codeberg.org/api/v1"),
        ({"kind": '"bitbucket"'}, "https://bitbucket.org", "https://api.bitbucket.org/2.0"),
        ({"kind": '"bitbucket"', "url": '"http://b"', "api_url": '"http://b/2.0"'}, "http://b", "http://b/2.0"),
        (
            {"kind": '"bitbucket-datacenter"', "url": '"https://x.test/git"'},
            "https://x.test/git",
            "https://x.test/git/rest/api/latest",
        ),
    ],
)
def test_the_address_of_the_api_follows_from_the_forge(keys: dict[str, str], url: str, api_url: str) -> None:
    read_forge = good(SERVER + forge(token='"env:TOKEN"', **keys)).forges["github"]
    assert (read_forge.url, read_forge.api_url) == (url, api_url)


@pytest.mark.parametrize(
    ("keys", "key", "fragment"),
    [
        ({}, "", "has no credential"),
        ({"token": '"env:TOKEN"', "app_id": "5"}, ".app_id", "stands beside token"),
        ({"token": '"env:TOKEN"', "private_key": '"env:TOKEN"', "app_id": "[]"}, ".app_id", "must be text"),
        ({"app_id": "5"}, ".app_id", "a GitHub App needs private_key too"),
        ({"token": "5"}, ".token", 'must be text in quotes, as in token = "env:GITHUB_TOKEN"'),
        ({"token": '"env:TOKEN"', "kind": '"githib"'}, ".kind", "did you mean github?"),
        ({"token": '"env:TOKEN"', "kind": '"gitlabs"'}, ".kind", "did you mean gitlab?"),
        ({"token": '"env:TOKEN"', "kind": '"gogs"'}, ".kind", "is not in this version; there is github or gitlab"),
        ({"token": '"env:TOKEN"', "kind": "5"}, ".kind", 'kind = "github"'),
        ({"token": '"env:TOKEN"', "webhook_secrets": "[]"}, ".webhook_secrets", "every push would be refused"),
        ({"token": '"env:TOKEN"', "webhook_secrets": '"x"'}, ".webhook_secrets", "must be a list of texts"),
        ({"token": '"env:TOKEN"', "webhook_secrets": "{}"}, ".webhook_secrets", "must be a list of texts"),
        ({"token": '"env:TOKEN"', "webhook_secret": '"x"'}, ".webhook_secret", "did you mean webhook_secrets?"),
        ({"token": '"env:TOKEN"', "url": '"https://api.github.com"'}, ".url", "is the API"),
        ({"token": '"env:TOKEN"', "url": '"https://github.com/acme"'}, ".url", "is a page"),
        ({"token": '"env:TOKEN"', "url": '"https://www.github.com"'}, ".url", "is a page"),
        ({"token": '"env:TOKEN"', "kind": '"gitlab"', "url": '"https://gitlab.com/acme"'}, ".url", "is a page"),
        (
            {"token": '"env:TOKEN"', "kind": '"gitea"', "url": '"https://x/api/v1"'},
            ".url",
            "is the API; url is https://x,",
        ),
        (
            {"token": '"env:TOKEN"', "kind": '"bitbucket"', "url": '"https://api.bitbucket.org/2.0"'},
            ".url",
            "is the API",
        ),
        (
            {"token": '"env:TOKEN"', "kind": '"bitbucket"', "url": '"https://x"'},
            ".url",
            'kind = "bitbucket-datacenter"',
        ),
        ({"token": '"env:TOKEN"', "kind": '"gitea"'}, "", "url is missing; write where Gitea is"),
        ({"token": '"env:TOKEN"', "kind": '"forgejo"'}, "", "url is missing; write where Forgejo is"),
        ({"token": '"env:TOKEN"', "kind": '"bitbucket-datacenter"'}, "", "where Bitbucket Data Center is"),
        (
            {"app_id": "5", "private_key": '"env:TOKEN"', "kind": '"gitlab"'},
            ".app_id",
            'at GitLab write token = "env:NAME"',
        ),
        ({"kind": '"gitlab"'}, "", 'has no credential; write token = "env:NAME"'),
        ({"token": '"env:TOKEN"', "writes_per_minute": "0"}, ".writes_per_minute", "from 1 to 10000"),
        ({"token": '"env:TOKEN"', "writes_per_minute": "1.5"}, ".writes_per_minute", "a whole number"),
        ({"token": '"env:TOKEN"', "writes_per_minute": "true"}, ".writes_per_minute", "a whole number"),
    ],
)
def test_mistakes_in_a_forge(keys: dict[str, str], key: str, fragment: str) -> None:
    found = mistakes(forge(**keys))
    assert f"forges.github{key}" in {mistake.key for mistake in found if fragment in mistake.what}, found


@pytest.mark.parametrize("missing", ["kind", "webhook_secrets"])
def test_a_key_that_a_forge_needs_is_missed_in_the_line_of_its_table(missing: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(missing) or line == 'kind = "quay"']
    mistake = only_mistake("\n".join(lines))
    assert (mistake.line, mistake.key) == (2, "forges.github")
    assert mistake.what.startswith(f"{missing} is missing; write {missing} = ")


def test_more_writes_than_github_allows_are_warned_of() -> None:
    on_github = good(forge(token='"env:TOKEN"', writes_per_minute="100"))
    elsewhere = good(forge(token='"env:TOKEN"', writes_per_minute="100", url='"https://ghe.example.com"'))
    assert ["GitHub allows 80" in warning.what for warning in on_github.warnings] == [True]
    assert elsewhere.warnings == ()


@pytest.mark.parametrize(
    ("settings", "writes"),
    [
        ({}, 60),
        ({"kind": '"bitbucket"'}, 15),
        ({"kind": '"bitbucket"', "writes_per_minute": "60"}, 60),
        ({"kind": '"gitlab"'}, 60),
    ],
)
def test_writes_stay_within_the_forges_limits_if_nothing_is_written(settings: dict[str, str], writes: int) -> None:
    (read,) = good(forge(token='"env:TOKEN"', **settings)).forges.values()
    assert read.writes_per_minute == writes


def test_a_warning_of_githubs_limit_is_for_github_alone() -> None:
    assert good(forge(token='"env:TOKEN"', writes_per_minute="100", kind='"gitlab"')).warnings == ()


@pytest.mark.parametrize("kind", ["gitlab", "bitbucket"])
def test_a_forge_without_apps_is_told_nothing_of_apps(kind: str) -> None:
    assert "App" not in only_mistake(forge(kind=f'"{kind}"')).what


def test_a_signing_token_of_gitlab_is_taken_as_it_is_shown() -> None:
    environ = ENVIRON | {"HOOK": SIGNING_TOKEN}
    read_forge = good(forge(kind='"gitlab"', token='"env:TOKEN"'), environ).forges["github"]
    assert read_forge.webhook_secrets == (SIGNING_TOKEN.encode(),)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64", SIGNING_TOKEN[:-3], "whsec_AAEC~wQF"])
def test_a_signing_token_of_gitlab_that_cannot_be_one_is_a_mistake(secret: str) -> None:
    environ = ENVIRON | {"HOOK": secret}
    mistake = only_mistake(forge(kind='"gitlab"', token='"env:TOKEN"'), environ)
    assert mistake.key == "forges.github.webhook_secrets[0]"
    assert "copy the token whole" in mistake.what
    assert secret not in mistake.what.replace("whsec_,", "") or secret == "whsec_"
    assert mistakes(forge(token='"env:TOKEN"'), environ) == ()


def test_the_kind_of_a_forge_is_known_whatever_else_is_wrong_with_it() -> None:
    tables = {"a": {"kind": "gitlab", "url": 5}, "b": {"kind": "svn"}, "c": 5, "d": {"kind": ["gitea"]}, "e": {}}
    assert kinds({"forges": tables}) == {"a": ForgeKind.GITLAB}
    assert kinds({"forges": 5}) == kinds({}) == {}
