"""The sandbox's builder: what it fetches, how it takes what it gets, and where it ends as quay-builder would."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from buildbot.sandbox.quay_builder import MOST_REQUESTS, Builder, Finding, Unusable, base_image, builder_paths, sniffed
from buildbot.sandbox.quay_faults import Fault
from buildbot.sandbox.quay_requests import read_paths
from tests.sandbox.quay_world import World

pytestmark = pytest.mark.anyio

PATHS = json.loads((Path(__file__).parent / "quay_timelines.json").read_text())["paths"]
URL = "https://forge.test/api.tar.gz"
FROM = b"FROM busybox\n"
FILES = {"api-1/Dockerfile": FROM, "api-1/src/main.c": b"main"}
TAR_GZ = {"Content-Type": "application/gzip"}


def tarred(files: Mapping[str, bytes], *members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            archive.addfile(member)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


TGZ = gzip.compress(tarred(FILES), mtime=0)


class Web:
    """Whatever is asked is answered by `answer`; what was asked is kept."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(request)


async def looked_at(
    web: Callable[[httpx.Request], httpx.Response], url: str = URL, context: str = "/api-1", dockerfile: str = ""
) -> Finding:
    async with httpx.AsyncClient(transport=httpx.MockTransport(web)) as client:
        return await Builder(client).look_at(url, context, dockerfile or f"{context.rstrip('/')}/Dockerfile")


def answering(content: bytes, status: int = 200, **headers: str) -> Web:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Web(lambda _: httpx.Response(status, content=content, headers=named))


# Fetching


async def test_it_asks_without_credentials_and_without_the_fragment() -> None:
    web = answering(TGZ, content_type="application/gzip")
    assert (await looked_at(web, f"{URL}#build.1")).is_usable
    (asked,) = web.asked
    assert (asked.method, asked.url.host, asked.url.raw_path) == ("GET", "forge.test", b"/api.tar.gz")
    assert not {"authorization", "cookie"} & {name.lower() for name in asked.headers}


async def test_it_looks_at_no_status() -> None:
    assert (await looked_at(answering(TGZ, 500, content_type="application/gzip"))).is_usable
    not_found = await looked_at(answering(b"404: Not Found", 404, content_type="text/plain; charset=utf-8"))
    assert not_found.why == "Missing Dockerfile"
    as_dockerfile = await looked_at(answering(b"404: Not Found", 404, content_type="text/plain"), context="/")
    assert as_dockerfile.why == "First line in Dockerfile isn't FROM or ARG"


@pytest.mark.parametrize(("redirects", "usable"), [(MOST_REQUESTS - 1, True), (MOST_REQUESTS, False)])
async def test_it_follows_redirects_up_to_a_limit(redirects: int, usable: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        hop = int(request.url.params.get("hop", "0"))
        if hop == redirects:
            return httpx.Response(200, content=TGZ, headers=TAR_GZ)
        return httpx.Response(302, headers={"Location": f"https://other.test/?hop={hop + 1}"})

    found = await looked_at(Web(answer))
    assert (found.is_usable, found.why) == (usable, "" if usable else "stopped after 10 redirects")


async def test_a_connection_that_breaks_in_the_middle_ends_it() -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield TGZ[:20]
        raise httpx.ReadError("cut")

    found = await looked_at(Web(lambda _: httpx.Response(200, content=cut(), headers=TAR_GZ)))
    assert found.why == f"Get {URL}: ReadError cut"


# Taking what it gets


@pytest.mark.parametrize(
    ("content", "media_type", "why"),
    [
        (TGZ, "application/gzip", ""),
        (TGZ, "application/x-gzip; charset=binary", ""),
        (TGZ, "application/x-tar", ""),
        (zipped(FILES), "application/zip", ""),
        (zipped(FILES), "application/x-zip-compressed", ""),
        (tarred(FILES), "application/x-tar", "tar: Not a gzipped file"),
        (TGZ, "application/octet-stream", "Missing Dockerfile"),
        (TGZ, "text/plain", "Missing Dockerfile"),
        (TGZ, "application/x-tar-gz", "Unsupported kind of build package: application/x-tar-gz"),
        (TGZ, "application/x-compressed-tar", "Unsupported kind of build package: application/x-compressed-tar"),
        (b"<html>", "text/html; charset=utf-8", "Unsupported kind of build package: text/html"),
        (b"{}", "application/json", "Unsupported kind of build package: application/json"),
        (zipped(FILES), "application/gzip", "tar: Not a gzipped file"),
        (TGZ, "application/zip", "unzip: File is not a zip file"),
        (TGZ[:-20], "application/gzip", "tar: Compressed file ended"),
        (gzip.compress(tarred(FILES)[:700]), "application/gzip", "tar: "),
        (gzip.compress(tarred(FILES)[:-9000] + b"x" * 512), "application/gzip", "tar: "),
        (b"", "application/gzip", "tar: "),
    ],
)
async def test_the_content_type_decides(content: bytes, media_type: str, why: str) -> None:
    found = await looked_at(answering(content, content_type=media_type))
    assert found.is_usable is not bool(why)
    assert found.why.startswith(why)


async def test_without_a_content_type_the_body_tells() -> None:
    assert (await looked_at(Web(lambda _: httpx.Response(200, content=TGZ)))).is_usable
    assert (await looked_at(Web(lambda _: httpx.Response(200, content=FROM)), context="/")).is_usable


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (TGZ, "application/x-gzip"),
        (zipped(FILES), "application/zip"),
        (b"  <!DOCTYPE HTML >", "text/html"),
        (b"<html>\n", "text/html"),
        (b"FROM x\n", "text/plain"),
        (b"", "text/plain"),
        ("größe".encode(), "text/plain"),
        (b"\x7fELF\0", "application/octet-stream"),
    ],
)
def test_a_body_is_sniffed(body: bytes, media_type: str) -> None:
    assert sniffed(body) == media_type


async def test_a_plain_body_is_the_dockerfile_at_the_root() -> None:
    found = await looked_at(answering(FROM, content_type="application/octet-stream"), context="/")
    assert (found.dockerfile, found.base_image, found.context) == (FROM.decode(), "busybox", {"Dockerfile": FROM})


# Unpacking


async def test_the_top_directory_stays() -> None:
    web = answering(TGZ, content_type="application/gzip")
    assert (await looked_at(web, context="/")).why == "Missing Dockerfile"
    found = await looked_at(web, context="/api-1")
    assert found.context == {"Dockerfile": FROM, "src/main.c": b"main"}


async def test_the_dockerfile_may_lie_below_the_context() -> None:
    archive = gzip.compress(tarred({"docker/Dockerfile": FROM, "a": b"a"}))
    found = await looked_at(answering(archive, content_type="application/gzip"), URL, "/", "/docker/Dockerfile")
    assert (found.dockerfile, sorted(found.context)) == (FROM.decode(), ["a", "docker/Dockerfile"])


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ((link("Dockerfile", "docker/real"),), ""),
        ((link("Dockerfile", "./docker/../docker/real"),), ""),
        ((link("way", "docker"), link("Dockerfile", "way/real")), ""),
        ((link("Dockerfile", "/etc/passwd"),), "Missing Dockerfile"),
        ((link("Dockerfile", "Dockerfile"),), "Missing Dockerfile"),
        ((link("Dockerfile", "gone"),), "Missing Dockerfile"),
        ((link("Dockerfile", "gone", tarfile.LNKTYPE),), "tar: "),
    ],
)
async def test_links_lead_to_the_dockerfile_or_not(members: tuple[tarfile.TarInfo, ...], why: str) -> None:
    archive = gzip.compress(tarred({"docker/real": FROM}, *members))
    found = await looked_at(answering(archive, content_type="application/gzip"), context="/")
    assert found.is_usable is not bool(why)
    assert found.why.startswith(why)


async def test_names_that_lead_out_are_refused_as_tar_refuses_them() -> None:
    archive = gzip.compress(tarred({"../Dockerfile": FROM}))
    found = await looked_at(answering(archive, content_type="application/gzip"))
    assert found.why == "tar: ../Dockerfile: Member name contains '..'"


async def test_what_comes_last_stands() -> None:
    """A file of the bot's own that replaces one in the archive, as `tar` unpacks it."""
    twice = tarred({"Dockerfile": b"FROM old"})[:1024] + tarred({"Dockerfile": b"FROM new"})
    found = await looked_at(answering(gzip.compress(twice), content_type="application/gzip"), context="/")
    assert found.base_image == "new"


# Paths and Dockerfiles


@pytest.mark.parametrize("row", PATHS, ids=lambda row: json.dumps(row["request"]))
def test_context_and_dockerfile_are_passed_on_as_recorded(row: dict[str, Any]) -> None:
    asked = read_paths(row["request"])
    assert builder_paths(*asked) == (row["builder_context"], row["builder_dockerfile_path"])


@pytest.mark.parametrize(
    ("dockerfile", "image"),
    [
        ("FROM busybox", "busybox"),
        ("# syntax=docker/dockerfile:1\n\n  from alpine:3.20 AS build\nRUN x\nFROM scratch", "alpine:3.20"),
        ("FROM --platform=linux/amd64 quay.io:443/acme/base_1:v1", "quay.io:443/acme/base_1:v1"),
        ("ARG TAG=3\nARG BASE=alpine:$TAG\nFROM busybox:${TAG}", "busybox:3"),
        ("ARG UNSET\nFROM busybox$UNSET", "busybox"),
        ("FROM \\\n  busybox", "busybox"),
        (f"FROM busybox@sha256:{'0' * 64}", f"busybox@sha256:{'0' * 64}"),
    ],
)
def test_the_base_image_is_that_of_the_first_stage(dockerfile: str, image: str) -> None:
    assert base_image(dockerfile) == image


@pytest.mark.parametrize(
    ("dockerfile", "why"),
    [
        ("", "Empty Dockerfile"),
        ("# only a comment\n", "Empty Dockerfile"),
        ("RUN make\nFROM x", "First line in Dockerfile isn't FROM or ARG"),
        ("404: Not Found", "First line in Dockerfile isn't FROM or ARG"),
        ("FROM", "FROM line specifies an invalid base image"),
        ("FROM $BASE", "FROM line specifies an invalid base image"),
        ("FROM Busybox:", "FROM line specifies an invalid base image"),
        ("ARG BASE", "FROM line specifies an invalid base image"),
    ],
)
def test_other_dockerfiles_end_the_builder(dockerfile: str, why: str) -> None:
    with pytest.raises(Unusable, match=f"^{why}$"):
        base_image(dockerfile)


# At Quay


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("media_type", "course", "phase"), [("gzip", "success", "complete"), ("json", "no-archive", "")]
)
async def test_a_build_goes_as_its_package_lets_it(world: World, media_type: str, course: str, phase: str) -> None:
    web = answering(TGZ, content_type=f"application/{media_type}")
    async with httpx.AsyncClient(transport=httpx.MockTransport(web)) as client:
        world.quay.builder = Builder(client)
        build = await world.request(archive_url=f"{URL}#mark", context="/api-1", dockerfile_path="/api-1/Dockerfile")
    assert build.course.name == course
    world.reach(build, phase or "expired")
    assert build.request.package is not None
    assert build.request.package.base_image == ("busybox" if phase else "")
    assert bool(world.quay.pushed) is bool(phase)


async def test_a_usable_package_takes_the_course_that_was_chosen(world: World) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answering(FROM, content_type="text/plain"))) as client:
        world.quay.builder = Builder(client)
        assert (await world.request(course="fail-build")).course.name == "fail-build"


@pytest.mark.parametrize("body", [{}, {"archive_url": "ftp://x"}, {"archive_url": URL, "docker_tags": []}, []])
async def test_nothing_is_fetched_for_what_quay_refuses(world: World, body: object) -> None:
    web = answering(TGZ)
    async with httpx.AsyncClient(transport=httpx.MockTransport(web)) as client:
        world.quay.builder = Builder(client)
        assert (await world.ask("POST", "/acme/app/build/", json=body)).status_code == 400
    assert web.asked == []


async def test_nothing_is_fetched_for_a_request_that_is_lost(world: World) -> None:
    web = answering(TGZ)
    async with httpx.AsyncClient(transport=httpx.MockTransport(web)) as client:
        world.quay.builder = Builder(client)
        world.quay.faults.on(Fault.LOSE_REQUEST, "requestRepoBuild", times=1)
        with pytest.raises(httpx.RemoteProtocolError):
            await world.ask("POST", "/acme/app/build/", json={"archive_url": URL})
    assert web.asked == []
