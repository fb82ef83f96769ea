"""The sandbox Bitbucket Cloud's archives, as its site serves them."""

from __future__ import annotations

import base64
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.sandbox.bitbucket_world import REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        yield it


async def fetch(world: BitbucketWorld, file: str, authorization: str = "") -> httpx.Response:
    headers = {"authorization": authorization} if authorization else {}
    return await world.client.get(f"{world.bitbucket.url}/{REPO}/get/{file}", headers=headers)


async def test_the_zip_has_the_right_type_and_twelve_digits_in_its_top_directory(world: BitbucketWorld) -> None:
    answer = await fetch(world, f"{world.head}.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == [f"acme-api-{world.head[:12]}/Dockerfile"]


async def test_the_tar_has_a_type_that_quays_builder_refuses(world: BitbucketWorld) -> None:
    answer = await fetch(world, f"{world.head}.tar.gz")
    assert answer.headers["content-type"] == "application/x-tar-gz"
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        assert archive.getnames() == [f"acme-api-{world.head[:12]}/Dockerfile"]


async def test_a_private_one_opens_to_access_tokens_only(world: BitbucketWorld) -> None:
    world.bitbucket.set_private(REPO)
    person = world.bitbucket.issue_api_token("ada", collaborator=REPO)
    basic = f"Basic {base64.b64encode(person.encode()).decode()}"
    for authorization in ("", basic, f"Bearer {world.bitbucket.issue_access_token('stranger')}"):
        answer = await fetch(world, f"{world.head}.zip", authorization)
        assert (answer.status_code, "/account/signin/" in answer.headers["location"]) == (302, True)
    page = await world.client.get(answer.headers["location"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (await fetch(world, f"{world.head}.zip", f"Bearer {world.token()}")).status_code == 200


@pytest.mark.parametrize("file", ["gone.zip", "main.rar", f"{'d' * 40}.tar.gz"])
async def test_what_is_not_there_is_a_page(world: BitbucketWorld, file: str) -> None:
    answer = await fetch(world, file)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_a_former_name_leads_to_the_present_one(world: BitbucketWorld) -> None:
    world.bitbucket.rename(REPO, "acme/service")
    answer = await fetch(world, "main.zip")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{world.bitbucket.url}/acme/service/get/main.zip")
