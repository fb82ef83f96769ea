"""Archives as the builder at Quay fetches them: no credentials, redirects followed, the content type believed."""

from __future__ import annotations

import io
import tarfile
import zipfile

import httpx
import pytest

from tests.sandbox.github_world import World, bearer

pytestmark = pytest.mark.anyio


def members(answer: httpx.Response) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        files = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file}


async def followed(world: World, path: str) -> httpx.Response:
    return await world.web.get(path, follow_redirects=True)


async def test_an_archive_is_one_redirect_away_and_has_one_top_directory(world: World) -> None:
    await world.github.commit_and_push("acme/api", files={"src/main.py": "print()\n"})
    redirect = await world.web.get(f"/acme/api/archive/{world.head}.tar.gz")
    assert redirect.status_code == 302
    assert redirect.headers["location"] == f"http://github.test/_codeload/acme/api/tar.gz/{world.head}"
    answer = await world.web.get(redirect.headers["location"])
    assert answer.headers["content-type"] == "application/x-gzip"
    assert "content-length" not in answer.headers
    top = f"api-{world.head}"
    assert members(answer) == {f"{top}/Dockerfile": b"FROM busybox\n", f"{top}/src/main.py": b"print()\n"}


async def test_a_zip_holds_the_same(world: World) -> None:
    answer = await followed(world, f"/acme/api/archive/{world.head}.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read(f"api-{world.head}/Dockerfile") == b"FROM busybox\n"


@pytest.mark.parametrize(
    ("ref", "top"),
    [("refs/tags/v1.0", "api-1.0"), ("v1.0", "api-1.0"), ("refs/heads/feature/x", "api-feature-x")],
)
async def test_the_top_directory_is_named_after_the_ref(world: World, ref: str, top: str) -> None:
    await world.github.push_tag("acme/api", "v1.0")
    await world.github.push_ref("acme/api", "feature/x", world.head)
    answer = await followed(world, f"/acme/api/archive/{ref}.tar.gz")
    assert list(members(answer)) == [f"{top}/Dockerfile"]


async def test_the_top_directory_follows_a_rename_and_so_does_the_url(world: World) -> None:
    world.github.rename("acme/api", "acme/service")
    moved = await world.web.get(f"/acme/api/archive/{world.head}.tar.gz")
    assert moved.status_code == 301
    answer = await followed(world, f"/acme/api/archive/{world.head}.tar.gz")
    assert list(members(answer)) == [f"service-{world.head}/Dockerfile"]


@pytest.mark.parametrize(
    "path",
    [
        f"/acme/api/archive/{'f' * 40}.tar.gz",
        "/acme/nothing/archive/main.tar.gz",
        "/acme/api/archive/main.rar",
        "/_codeload/acme/api/rar/main",
    ],
)
async def test_what_is_missing_is_plain_text_which_a_builder_would_take_for_a_dockerfile(
    world: World, path: str
) -> None:
    answer = await followed(world, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


async def test_the_web_archive_of_a_private_repository_is_missing_even_with_a_token(world: World) -> None:
    world.github.set_private("acme/api")
    token = world.github.issue_token("acme", scopes=("repo",))
    answer = await world.web.get(f"/acme/api/archive/{world.head}.tar.gz", headers=bearer(token))
    assert answer.status_code == 404


async def test_the_apis_tarball_needs_no_pass_while_the_repository_is_public(world: World) -> None:
    redirect = await world.api.get(f"/repos/acme/api/tarball/{world.head}")
    assert redirect.status_code == 302
    answer = await world.web.get(redirect.headers["location"])
    assert list(members(answer)) == [f"acme-api-{world.head[:7]}/Dockerfile"]


async def test_the_apis_tarball_of_a_tag_is_named_after_tag_and_commit(world: World) -> None:
    await world.github.push_tag("acme/api", "v1.0")
    redirect = await world.api.get("/repos/acme/api/tarball/v1.0")
    answer = await world.web.get(redirect.headers["location"])
    assert list(members(answer)) == [f"acme-api-v1.0-0-g{world.head[:7]}/Dockerfile"]


async def test_a_private_tarball_comes_with_a_pass_for_five_minutes_and_this_archive_only(world: World) -> None:
    world.github.set_private("acme/api")
    token = world.github.issue_token("acme", scopes=("repo",))
    redirect = await world.api.get(f"/repos/acme/api/tarball/{world.head}", headers=bearer(token))
    location = redirect.headers["location"]
    assert (await world.web.get(location)).status_code == 200
    assert (await world.web.get(location.partition("?")[0])).status_code == 404
    assert (await world.web.get(location.replace("legacy.tar.gz", "tar.gz"))).status_code == 404
    world.clock.turn(minutes=5)
    assert (await world.web.get(location)).status_code == 404


async def test_the_apis_zipball_is_a_zip(world: World) -> None:
    redirect = await world.api.get("/repos/acme/api/zipball/main")
    answer = await world.web.get(redirect.headers["location"])
    assert answer.headers["content-type"] == "application/zip"
