"""Server, store and registries: what is read, and what is a mistake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from buildbot.config import read
from buildbot.domain.places import Caps
from tests.config.files import ENVIRON, FORGE, GOOD, REGISTRY, RULE, good, only_mistake, registry


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:8080", "::1", 8080), ("localhost:0", "localhost", 0)],  # noqa: S104
)
def test_where_to_listen(listen: str, host: str, port: int) -> None:
    server = good(f'[server]\nlisten = "{listen}"\n' + GOOD).server
    assert (server.listen_host, server.listen_port) == (host, port)


@pytest.mark.parametrize(
    ("line", "key", "fragment"),
    [
        ('listen = "8080"', "listen", "is not host:port"),
        ('listen = ":8080"', "listen", "0.0.0.0:8080"),
        ('listen = "::1:8080"', "listen", "in brackets"),
        ('listen = "a b:80"', "listen", "no host to listen on"),
        ('listen = "a:http"', "listen", "ports are 0 to 65535"),
        ('listen = "a:65536"', "listen", "ports are 0 to 65535"),
        ("listen = 8080", "listen", 'must be text in quotes, as in listen = "127.0.0.1:8080"'),
        ('public_url = "builds.example.com"', "public_url", "starts with https://"),
        ('public_url = "ftp://x"', "public_url", "starts with https://"),
        ('public_url = "https://me:pw@x"', "public_url", "user name or password"),
        ('public_url = "https://x/?a=1"', "public_url", "without query"),
        ('public_url = "https://x/#a"', "public_url", "without query"),
        ('public_url = "https://"', "public_url", "names no host"),
        ('public_url = "https://x:99999"', "public_url", "no URL that can be read"),
        ('public_url = "https://a b"', "public_url", "has a space"),
        ('public_url = ""', "public_url", "starts with https://"),
        ('sweep_every = "never"', "sweep_every", "is no duration"),
        ('sweep_every = "5s"', "sweep_every", "it may be from 10s to 24h"),
        ('redeliver_every = "25h"', "redeliver_every", "it may be from 10s to 24h"),
        ("lisen = 1", "lisen", "did you mean listen?"),
        ('token = "x"', "token", "it belongs to [forges.github]"),
        ('poll_interval = "5s"', "poll_interval", "it belongs to [registries.quay]"),
        ('image_tags = "5s"', "image_tags", "it belongs to [[rules]]"),
    ],
)
def test_mistakes_in_the_server_table(line: str, key: str, fragment: str) -> None:
    mistake = only_mistake(f"[server]\n{line}\n" + GOOD)
    assert (mistake.line, mistake.key) == (2, f"server.{key}")
    assert fragment in mistake.what


@pytest.mark.parametrize(
    ("line", "redeliver", "sweep"),
    [
        ("", timedelta(minutes=5), timedelta(minutes=15)),
        ('redeliver_every = "off"', None, timedelta(minutes=15)),
        ('redeliver_every = "1m"\nsweep_every = "24h"', timedelta(minutes=1), timedelta(days=1)),
        ('sweep_every = "off"', timedelta(minutes=5), None),
    ],
)
def test_how_often_missed_pushes_are_looked_for(
    line: str, redeliver: timedelta | None, sweep: timedelta | None
) -> None:
    server = good(f"[server]\n{line}\n" + GOOD).server
    assert (server.redeliver_every, server.sweep_every) == (redeliver, sweep)


def test_a_public_url_loses_its_last_slash() -> None:
    assert good('[server]\npublic_url = "https://X.example.com/bot/"\n' + GOOD).server.public_url == (
        "https://x.example.com/bot"
    )


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("sqlite:///buildbot.db", "sqlite:////etc/bot/buildbot.db"),
        ("sqlite:///data/x.db?timeout=5", "sqlite:////etc/bot/data/x.db?timeout=5"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("postgresql://db.example.com/bot", "postgresql://db.example.com/bot"),
        ("env:STORE", "postgresql://user:pw@db/bot"),
    ],
)
def test_where_the_store_is(written: str, url: str) -> None:
    environ = ENVIRON | {"STORE": "postgresql://user:pw@db/bot"}
    text = f'[store]\nurl = "{written}"\nlease = "2s"\nretention = "7d"\n' + GOOD
    store = read(text, environ, file="c", base=Path("/etc/bot")).store
    assert (store.url, store.lease, store.retention) == (url, timedelta(seconds=2), timedelta(days=7))


@pytest.mark.parametrize(
    ("line", "key", "fragment"),
    [
        ('url = "buildbot.db"', "url", "must start with sqlite:///"),
        ('url = "mysql://u:pw@db/x"', "url", "must start with sqlite:///"),
        ('url = "sqlite://buildbot.db"', "url", "has two slashes"),
        ('url = "sqlite:///"', "url", "keeps nothing"),
        ('url = "sqlite:///:memory:"', "url", "keeps nothing"),
        ('url = "postgresql:///x"', "url", "names no host"),
        ('url = "env:ABSENT"', "url", "ABSENT is not set"),
        ('url = "env:TOKEN"', "url", "what env:TOKEN holds must start with sqlite:///"),
        ('lease = "0.5s"', "lease", "from 1s to 1h"),
        ('lease = "2h"', "lease", "from 1s to 1h"),
        ('lease = "0s"', "lease", "no time at all"),
        ("lease = 10", "lease", 'as in lease = "10s"'),
        ('retention = "a while"', "retention", "is no duration"),
        ('retention = "3651d"', "retention", "ten years"),
    ],
)
def test_mistakes_in_the_store_table(line: str, key: str, fragment: str) -> None:
    mistake = only_mistake(f"[store]\n{line}\n" + GOOD)
    assert (mistake.line, mistake.key) == (2, f"store.{key}")
    assert fragment in mistake.what
    assert "pw" not in str(mistake)
    assert "ghp_" not in str(mistake)


def test_a_registry_is_read_with_its_limits() -> None:
    read_registry = good(registry(poll_interval='"0.5s"', polls_per_second="2", build_timeout='"30m"')).registries[
        "quay"
    ]
    assert read_registry.url == "https://quay.io"
    assert read_registry.limits.poll_interval == timedelta(seconds=0.5)
    assert read_registry.limits.build_timeout == timedelta(minutes=30)
    assert read_registry.limits.give_up_after == timedelta(hours=24)
    assert read_registry.polls_per_second == 2.0
    assert (read_registry.request_timeout, read_registry.settle_time) == (timedelta(seconds=20), timedelta(seconds=30))


@pytest.mark.parametrize(
    ("keys", "key", "fragment"),
    [
        ({"token": ""}, "", "token is missing"),
        ({"kind": '"ghcr"'}, ".kind", "is not in this version"),
        ({"kind": '"quai"'}, ".kind", "did you mean quay?"),
        ({"url": '"quay.io"'}, ".url", "starts with https://"),
        ({"settle_time": '"0s"'}, ".settle_time", "no time at all"),
        ({"polls_per_second": "0"}, ".polls_per_second", "from 0.01"),
        ({"polls_per_second": "nan"}, ".polls_per_second", "out of bounds"),
        ({"polls_per_second": "inf"}, ".polls_per_second", "out of bounds"),
        ({"polls_per_second": '"5"'}, ".polls_per_second", "must be a number, as in polls_per_second = 5"),
        ({"request_timeout": '"1h"'}, ".request_timeout", "from 0.1s to 10m"),
        ({"max_builds": "-1"}, ".max_builds", "from 0 to 100000"),
        ({"max_builds": '"5"'}, ".max_builds", "must be a whole number"),
        ({"max_builds_per_namespace": "1.5"}, ".max_builds_per_namespace", "must be a whole number"),
        ({"build_timeout": '"1s"'}, ".build_timeout", "is shorter than poll_interval (5s)"),
        ({"give_up_after": '"20s"'}, ".give_up_after", "is shorter than settle_time (30s)"),
        ({"writes_per_minute": "5"}, ".writes_per_minute", "it belongs to [forges.github]"),
        ({"poll-interval": '"5s"'}, ".poll-interval", "did you mean poll_interval?"),
    ],
)
def test_mistakes_in_a_registry(keys: dict[str, str], key: str, fragment: str) -> None:
    mistake = only_mistake(registry(**keys))
    assert mistake.key == f"registries.quay{key}"
    assert fragment in mistake.what


def test_settling_sooner_than_a_call_may_take_is_warned_of() -> None:
    [warning] = good(registry(settle_time='"5s"')).warnings
    assert warning.key == "registries.quay.settle_time"
    assert "could be made twice" in warning.what


def test_keys_may_be_written_in_any_way_that_toml_knows() -> None:
    forges = 'forges.github = {kind = "github", webhook_secrets = ["env:HOOK"], token = "env:TOKEN"}\n'
    registries = 'registries.quay.kind = "quay"\nregistries.quay.token = "env:ABSENT"\n'
    mistake = only_mistake(forges + registries + RULE)
    assert (mistake.line, mistake.key) == (3, "registries.quay.token")
    assert good(forges + REGISTRY + RULE).forges == good(FORGE + REGISTRY + RULE).forges


def test_caps_are_any_number_unless_they_are_given() -> None:
    assert not good(registry()).registries["quay"].caps
    given = good(registry(max_builds="20", max_builds_per_namespace="5")).registries["quay"].caps
    assert given == Caps(20, 5)
