"""The builder that really fetches: what quay-builder makes of a build package, up to where docker would take over.

Kept to the letter of quay-builder's source (`buildpack.go`, `context.go`, `dockerfile.go`), because what it does not
do is what bots fall over: it sends no credential, looks at no status, decides by Content-Type alone, takes `text/plain`
and `application/octet-stream` for the Dockerfile itself, and strips no top directory. All of it happens while the build
is `unpacking`, the reading of the Dockerfile as well, and whatever goes wrong ends the builder without a word. The
`why` of a `Finding` is what it would have written to its own output, which nobody sees.

An archive is unpacked in memory. Left out: instructions that docker does not know, which the real one falls over too.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

MOST_REQUESTS = 10
MOST_LINKS = 40
SNIFFED_BYTES = 512
AGENT = "Go-http-client/1.1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_PAGE = re.compile(rb"[\t\n\x0c\r ]*<(!doctype html|html|head|body|title|script|h1|div|p|br|!--)[\s>]", re.IGNORECASE)
_IMAGE = re.compile(r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w.-]{1,128})?(@[a-z0-9]+:[0-9a-f]{32,})?")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class Unusable(Exception):
    """The builder ends here; `str()` is what it would have said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a builder finds in a build package: the Dockerfile and what docker gets as the context, by path.

    `why`: what ends the builder, "" if nothing does.
    """

    why: str = ""
    dockerfile: str = ""
    base_image: str = ""
    context: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether docker would get to build."""
        return not self.why


class Builder:
    """Fetches build packages with a client, which is the caller's, who also closes it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def look_at(self, archive_url: str, context: str, dockerfile_path: str) -> Finding:
        """What is behind an address, for the context and Dockerfile that Quay has stored."""
        directory, dockerfile = builder_paths(context, dockerfile_path)
        try:
            media_type, body = await self._download(archive_url)
            tree = _UNPACKERS.get(media_type, _refused(media_type))(body)
            return _found(tree, directory, dockerfile)
        except Unusable as error:
            return Finding(str(error))

    async def _download(self, url: str) -> tuple[str, bytes]:
        try:
            response = await self._followed(httpx.URL(url))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unusable(f"Get {url.partition('#')[0]}: {type(error).__name__} {error}") from error
        told = response.headers.get("content-type", "") or sniffed(response.content)
        return str(told).partition(";")[0], response.content

    async def _followed(self, url: httpx.URL) -> httpx.Response:
        for _ in range(MOST_REQUESTS):
            request = self._client.build_request("GET", url, headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"})
            request.headers.pop("Cookie", None)
            response = await self._client.send(request, auth=None, follow_redirects=False)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return response
            url = url.join(response.headers["location"])
        raise Unusable(f"stopped after {MOST_REQUESTS} redirects")


def builder_paths(context: str, dockerfile_path: str) -> tuple[str, str]:
    """What Quay passes to the builder (`extract_dockerfile_args`): the Dockerfile relative to the context.

    A Dockerfile that is not inside the context silently replaces it by its own directory.
    """
    if not context or not dockerfile_path:
        return context, dockerfile_path
    from_here = posixpath.relpath(f"/{dockerfile_path.strip('/')}", context) if context.startswith("/") else ".."
    return posixpath.split(dockerfile_path) if ".." in from_here else (context, from_here)


def sniffed(body: bytes) -> str:
    """The type of a body that came without one, as far as Go's `http.DetectContentType` tells these apart."""
    start = body[:SNIFFED_BYTES]
    if start.startswith(b"\x1f\x8b\x08"):
        return "application/x-gzip"
    if start.startswith(b"PK\x03\x04"):
        return "application/zip"
    if _PAGE.match(start):
        return "text/html"
    return "application/octet-stream" if _BINARY.search(start) else "text/plain"


def base_image(dockerfile: str) -> str:
    """The image that the first stage begins with. Raises Unusable where the builder cannot tell."""
    instructions = list(_instructions(dockerfile))
    if not instructions:
        raise Unusable("Empty Dockerfile")
    if instructions[0][0] not in {"FROM", "ARG"}:
        raise Unusable("First line in Dockerfile isn't FROM or ARG")
    values = dict(words[0].partition("=")[::2] for name, words in _before_from(instructions) if name == "ARG" and words)
    stages = [words for name, words in instructions if name == "FROM"]
    image = next((word for word in stages[0] if not word.startswith("--")), "") if stages else ""
    if instructions[0][0] == "ARG":
        image = _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), image)
    if not _IMAGE.fullmatch(image):
        raise Unusable("FROM line specifies an invalid base image")
    return image


def _instructions(dockerfile: str) -> Iterator[tuple[str, list[str]]]:
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).splitlines():
        name, *words = line.split()
        yield name.upper(), words


def _before_from(instructions: list[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    for name, words in instructions:
        if name == "FROM":
            return
        yield name, words


def _found(tree: _Tree, directory: str, dockerfile: str) -> Finding:
    content = tree.read(posixpath.join("/", directory.lstrip("/"), dockerfile.lstrip("/")))
    if content is None:
        raise Unusable("Missing Dockerfile")
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    return Finding("", text, base_image(text), tree.below(directory))


class _Tree:
    """What an archive is unpacked to, by absolute path."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}

    def put(self, name: str, content: bytes) -> None:
        place = _place(name)
        self._links.pop(place, None)
        self._files[self._real(place) or place] = content

    def link(self, name: str, target: str) -> None:
        self._files.pop(_place(name), None)
        self._links[_place(name)] = target

    def read(self, path: str) -> bytes | None:
        place = self._real(posixpath.normpath(path))
        return None if place is None else self._files.get(place)

    def below(self, directory: str) -> dict[str, bytes]:
        place = self._real(posixpath.normpath(f"/{directory.lstrip('/')}"))
        top = "/" if place == "/" else f"{place}/"
        return {path.removeprefix(top): content for path, content in self._files.items() if path.startswith(top)}

    def _real(self, path: str, hops: int = MOST_LINKS) -> str | None:
        """Where a path leads, through symlinks; None: out of the archive, or round and round."""
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            place = "/".join(parts[:end])
            if (target := self._links.get(place)) is None:
                continue
            if target.startswith("/") or not hops:
                return None
            return self._real(posixpath.normpath("/".join([*parts[: end - 1], target, *parts[end:]])), hops - 1)
        return path


def _place(name: str) -> str:
    if ".." in name.split("/"):
        raise Unusable(f"tar: {name}: Member name contains '..'")
    return posixpath.normpath(f"/{name.strip('/')}")


def _untarred(body: bytes) -> _Tree:
    tree = _Tree()
    try:
        data = gzip.decompress(body)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                _take(tree, archive, member)
            if data[archive.offset :].strip(b"\0"):
                raise Unusable("tar: Skipping to next header")
    except (tarfile.TarError, EOFError, KeyError, OSError, zlib.error) as error:
        raise Unusable(f"tar: {error}") from error
    return tree


def _take(tree: _Tree, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.issym():
        tree.link(member.name, member.linkname)
    elif member.isfile() or member.islnk():
        content = archive.extractfile(member)
        tree.put(member.name, content.read() if content else b"")


def _unzipped(body: bytes) -> _Tree:
    tree = _Tree()
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    tree.put(name, archive.read(name))
    except (zipfile.BadZipFile, OSError, zlib.error) as error:
        raise Unusable(f"unzip: {error}") from error
    return tree


def _plain(body: bytes) -> _Tree:
    tree = _Tree()
    tree.put("Dockerfile", body)
    return tree


def _refused(media_type: str) -> Callable[[bytes], _Tree]:
    def refuse(_body: bytes) -> _Tree:
        raise Unusable(f"Unsupported kind of build package: {media_type}")

    return refuse


_UNPACKERS: dict[str, Callable[[bytes], _Tree]] = {
    "application/zip": _unzipped,
    "application/x-zip-compressed": _unzipped,
    "application/x-tar": _untarred,
    "application/gzip": _untarred,
    "application/x-gzip": _untarred,
    "text/plain": _plain,
    "application/octet-stream": _plain,
}
