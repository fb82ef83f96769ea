"""Archives of the sandbox Gitea: only Forgejo's API names a type that Quay's builder takes for an archive."""

from __future__ import annotations

import io
import tarfile
import zipfile

import httpx
import pytest

from tests.sandbox.gitea_world import REPO, both, gitea_world

pytestmark = pytest.mark.anyio
OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("forgejo", "tar_type", "zip_type"), [(False, OCTETS, OCTETS), (True, "application/gzip", "application/zip")]
)
async def test_the_apis_archive_has_a_top_directory_in_lower_case(forgejo: bool, tar_type: str, zip_type: str) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        packed = await world.ask("GET", f"/archive/{world.head}.tar.gz")
        zipped = await world.ask("GET", "/archive/main.zip")
    assert (packed.headers["content-type"], zipped.headers["content-type"]) == (tar_type, zip_type)
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        assert archive.getnames() == ["api/Dockerfile"]
    assert zipfile.ZipFile(io.BytesIO(zipped.content)).namelist() == ["api/Dockerfile"]


@both
async def test_the_sites_archive_is_of_no_known_type(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        answer = await world.client.get(f"{world.gitea.url}/{REPO}/archive/main.tar.gz")
        assert answer.headers["content-type"] == OCTETS
        assert (await world.client.get(f"{world.gitea.url}/{REPO}/archive/gone.tar.gz")).status_code == 404
        assert (await world.client.get(f"{world.gitea.url}/{REPO}/archive/main.rar")).status_code == 404


async def test_the_top_directory_may_be_switched_off() -> None:
    async with gitea_world() as world:
        world.gitea.state.prefixes_archives = False
        packed = await world.ask("GET", "/archive/main.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        assert archive.getnames() == ["Dockerfile"]


async def test_a_private_archive_is_a_page_to_sign_in_on_the_site_and_not_there_in_the_api() -> None:
    async with gitea_world(forgejo=True) as world:
        world.gitea.set_private(REPO)
        site = f"{world.gitea.url}/{REPO}/archive/main.tar.gz"
        page = await world.client.get(site, headers={"authorization": f"token {world.token()}"}, follow_redirects=True)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (await world.ask("GET", "/archive/main.tar.gz")).status_code == 404
        assert (await world.ask("GET", "/archive/main.tar.gz", world.token())).status_code == 200
        assert (await world.ask("GET", f"/archive/main.tar.gz?token={world.token()}")).status_code == 200


async def test_what_cannot_be_packed_is_refused() -> None:
    async with gitea_world() as world:
        assert (await world.ask("GET", f"/archive/{'d' * 40}.tar.gz")).status_code == 404
        assert (await world.ask("GET", "/archive/main.rar")).status_code == 400


async def test_the_store_takes_its_own_signature_and_nothing_beside_it() -> None:
    async with gitea_world() as world:
        world.gitea.state.storage_url = "http://store.test"
        moved = await world.ask("GET", "/archive/main.tar.gz", world.token())
        assert moved.status_code == 302
        place = httpx.URL(moved.headers["location"])
        assert place.host == "store.test"
        assert (await world.client.get(place)).status_code == 200
        with_token = {"authorization": f"token {world.token()}"}
        assert (await world.client.get(place, headers=with_token)).status_code == 400
        assert (await world.client.get(place.copy_with(query=None))).status_code == 400
