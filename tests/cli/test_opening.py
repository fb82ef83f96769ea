"""What commands open: the store in one line when it cannot be had, and links that are those of the adapters."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from buildbot.cli.opening import build_links, find_story, missing_database, page_at_quay, wording
from buildbot.config import Config, load
from buildbot.domain.status import status_of
from buildbot.ports import NoSuchBuild, Store
from buildbot.registry.quay import QuayRegistry
from tests.cli.world import ENVIRON, Place


def config_of(place: Place, **environ: str) -> Config:
    return load(place.file, ENVIRON | environ, secrets=False)


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["https://quay.io", "https://example.com/quay"])
@pytest.mark.parametrize("repository", ["acme/api", "acme/deep/er"])
async def test_quays_page_is_where_the_adapter_says(url: str, repository: str) -> None:
    async with httpx.AsyncClient() as client:
        registry = QuayRegistry(client, url=url, token="t", request_timeout=timedelta(seconds=1))
        assert page_at_quay(url, repository, "a-b/c") == registry.build_page(repository, "a-b/c")


def test_links_are_there_once_there_is_something_behind_them(place: Place) -> None:
    build = place.plan()
    config = config_of(place)
    ours = f"https://builds.example.com/builds/{build.id}"
    assert build_links(config, build) == (ours, None)
    seen = place.see(build, quay_id="q1")
    assert build_links(config, seen) == (ours, "https://quay.io/repository/acme/api/build/q1")
    assert wording(config)(build) == status_of(build, ours)
    gone = place.plan("refs/heads/dev", registry="gone")
    assert build_links(config, place.see(gone, quay_id="q2"))[1] is None


def test_only_a_file_can_be_missing(place: Place) -> None:
    assert missing_database(config_of(place)) == place.database
    place.plan()
    assert missing_database(config_of(place)) is None
    place.write(store="postgresql://user:word@db.example.com/buildbot")
    assert missing_database(config_of(place)) is None


def test_a_url_that_cannot_be_read_is_told_without_its_password(place: Place) -> None:
    place.write(store="postgresql://user:geheim@db.example.com:port/buildbot")
    result = place.run("builds", "list")
    assert result.exit_code == 2
    assert "geheim" not in result.output


def test_a_whole_id_wins_over_a_beginning(place: Place) -> None:
    build = place.plan()

    async def ids(store: Store) -> list[str]:
        return [(await find_story(store, written)).build.id for written in (build.id, build.id[:6])]

    assert place.store(ids) == [build.id, build.id]
    with pytest.raises(NoSuchBuild):
        place.store(lambda store: find_story(store, build.id[:5]))
