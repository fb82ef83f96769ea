"""Submodules found with real adapters at sandbox forges, and put into an archive by the relay."""

from __future__ import annotations

import asyncio
import base64
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from buildbot.engine.archive_relay import Archive, ArchiveTrouble, RelayLimits
from buildbot.engine.pacing import Clock, Line
from buildbot.engine.sites import ForgeSite
from buildbot.engine.submodules import DEEPEST, MOST, Part, SubmoduleTrouble, with_submodules
from buildbot.ports import Vanished
from buildbot.sandbox.git_repository import Change
from tests.archives.tars import Thing, directory, file, symlink, tar_gz, unpacked
from tests.engine.relaying import REQUEST, TYPE, Body, Relaying, begun, large_archive, relaying
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.world import REPO
from tests.store.world import sha

pytestmark = pytest.mark.anyio


def gitmodules(urls: Mapping[str, str]) -> str:
    """A `.gitmodules` with these submodules: their URLs by path."""
    return "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, url in urls.items())


def adding(urls: Mapping[str, str], gitlinks: Mapping[str, str | None]) -> Change:
    """The commit that adds submodules."""
    return Change("Add submodules", {".gitmodules": gitmodules(urls)}, gitlinks=gitlinks)


# Which there are

World = GitHubWorld | GiteaWorld | BitbucketDataCenterWorld


@dataclass
class Forges:
    """Three forges at hosts of their own; the repository that is built is at GitHub, `acme/api`."""

    github: GitHubWorld
    gitea: GiteaWorld
    datacenter: BitbucketDataCenterWorld

    @property
    def sites(self) -> dict[str, ForgeSite]:
        """As a configuration would have them."""
        worlds: dict[str, World] = {"github": self.github, "gitea": self.gitea, "datacenter": self.datacenter}
        return {key: self.site(key, world) for key, world in worlds.items()}

    def site(self, key: str, world: World) -> ForgeSite:
        """One of them."""
        path = "/scm" if key == "datacenter" else ""
        return ForgeSite(key, world.forge, Line(key, Clock()), f"{world.sandbox.url}{path}")

    async def push(self, world: World, name: str, change: Change) -> str:
        """Another commit on a repository's main."""
        return (await world.sandbox.push_commits(name, [change], deliver=False)).sha

    def add(self, world: World, name: str) -> str:
        """Another repository, and its only commit."""
        made = world.sandbox.add_repository(name)
        return str(made.refs["refs/heads/main"])

    async def found(self, sha: str) -> list[tuple[str, str, str, str]]:
        """What goes into the archive of `acme/api` at a commit."""
        sources = await with_submodules(Part("", self.sites["github"], REPO, sha), self.sites)
        return [(one.into, one.site.key, one.full_name, one.sha) for one in sources.parts]


@pytest.fixture
async def forges() -> AsyncIterator[Forges]:
    github, gitea = GitHubWorld.new_sandbox(), GiteaWorld.new_sandbox()
    datacenter = BitbucketDataCenterWorld.new_sandbox()
    transports = {
        f"all://{httpx.URL(url).host}": httpx.ASGITransport(sandbox.app)
        for sandbox in (github, gitea, datacenter)
        for url in (sandbox.url, sandbox.api_url)
    }
    async with httpx.AsyncClient(mounts=transports, transport=httpx.MockTransport(_nowhere)) as client:
        yield Forges(
            GitHubWorld(client, github), GiteaWorld(client, gitea), BitbucketDataCenterWorld(client, datacenter)
        )


def _nowhere(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url.host} was asked")


async def test_without_gitmodules_there_is_the_repository_alone(forges: Forges) -> None:
    assert await forges.found(forges.github.head) == [("", "github", REPO, forges.github.head)]


async def test_submodules_and_theirs_are_found_at_the_commits_that_the_trees_record(forges: Forges) -> None:
    deep, datacenter = forges.add(forges.github, "acme/deep"), forges.add(forges.datacenter, "ACME/lib")
    lib = forges.add(forges.gitea, "libs/a")
    host = httpx.URL(forges.gitea.sandbox.url).host
    other = httpx.URL(forges.datacenter.sandbox.url).host
    forges.add(forges.gitea, "libs/inner")
    inner = await forges.push(forges.gitea, "libs/inner", Change("Later", {"x": "1"}))
    lib = await forges.push(forges.gitea, "libs/a", adding({"in/ner": "../inner.git"}, {"in/ner": inner}))
    await forges.push(forges.gitea, "libs/a", Change("Later", {"x": "1"}))
    urls = {"one": f"git@{host}:libs/a.git", "two": "../deep", "three": f"https://{other}/scm/ACME/lib.git"}
    commit = await forges.push(forges.github, REPO, adding(urls, {"one": lib, "two": deep, "three": datacenter}))
    assert await forges.found(commit) == [
        ("", "github", REPO, commit),
        ("one", "gitea", "libs/a", lib),
        ("one/in/ner", "gitea", "libs/inner", inner),
        ("two", "github", "acme/deep", deep),
        ("three", "datacenter", "ACME/lib", datacenter),
    ]


async def test_what_is_declared_and_is_not_in_the_tree_is_no_submodule(forges: Forges) -> None:
    urls = {"gone": "https://nowhere.test/x/y", "src": "https://nowhere.test/x/y"}
    change = replace(adding(urls, {}), files={".gitmodules": gitmodules(urls), "src/main": "x"})
    commit = await forges.push(forges.github, REPO, change)
    assert len(await forges.found(commit)) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://nowhere.test/acme/lib.git", "it is at nowhere.test/acme/lib, and no forge of the configuration"),
        ("https://ada:s3cret@nowhere.test/lib.git", "it is at nowhere.test/lib, and no forge"),
        ("../../../nowhere.test/lib", "leads out of"),
        ("/srv/git/lib.git", "no URL that leads to a host"),
        ('""', "it has no URL"),
        ("../gone", "refused"),
        ("../../lib", "is not a GitHub repository's owner/name"),
        ("https://github.test/acme/lib/tree/main", "is not a GitHub repository's owner/name"),
    ],
)
async def test_a_submodule_that_cannot_be_had_is_named_with_the_reason(forges: Forges, url: str, why: str) -> None:
    url = url.replace("https://github.test", forges.github.sandbox.url)
    commit = await forges.push(forges.github, REPO, adding({"libs/a": url}, {"libs/a": "a" * 40}))
    with pytest.raises(SubmoduleTrouble, match="the submodule libs/a") as caught:
        await forges.found(commit)
    assert why in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_submodule_at_a_commit_that_is_not_there_is_trouble(forges: Forges) -> None:
    forges.add(forges.github, "acme/lib")
    commit = await forges.push(forges.github, REPO, adding({"lib": "../lib"}, {"lib": "a" * 40}))
    with pytest.raises(SubmoduleTrouble, match=r"the submodule lib \(acme/lib at aaaaaaa\) cannot be had"):
        await forges.found(commit)


async def test_a_submodule_that_the_credential_does_not_see_is_trouble(forges: Forges) -> None:
    lib = forges.add(forges.github, "acme/lib")
    forges.github.sandbox.set_private("acme/lib")
    commit = await forges.push(forges.github, REPO, adding({"lib": "../lib"}, {"lib": lib}))
    with pytest.raises(SubmoduleTrouble, match="may not see it"):
        await forges.found(commit)


async def test_gitmodules_that_cannot_be_read_are_trouble(forges: Forges) -> None:
    for content, why in (("[submodule", "line 1"), ("# " + "x" * 100_000, "larger than")):
        commit = await forges.push(forges.github, REPO, Change("Break", {".gitmodules": content}))
        with pytest.raises(SubmoduleTrouble, match=why):
            await forges.found(commit)


async def test_a_repository_that_is_gone_is_the_forges_own_error(forges: Forges) -> None:
    with pytest.raises(Vanished):
        await forges.found("f" * 40)


async def _nested(forges: Forges, levels: int) -> str:
    inner = forges.add(forges.github, "acme/level0")
    for level in range(1, levels):
        forges.add(forges.github, f"acme/level{level}")
        change = adding({"in": f"../level{level - 1}"}, {"in": inner})
        inner = await forges.push(forges.github, f"acme/level{level}", change)
    return await forges.push(forges.github, REPO, adding({"in": f"../level{levels - 1}"}, {"in": inner}))


async def test_nesting_is_followed_to_a_depth_and_refused_below(forges: Forges) -> None:
    commit = await _nested(forges, DEEPEST)
    assert (await forges.found(commit))[-1][0] == "/".join(["in"] * DEEPEST)
    forges.add(forges.github, "acme/outer")
    outer = await forges.push(forges.github, "acme/outer", adding({"in": "../api"}, {"in": commit}))
    root = Part("", forges.sites["github"], "acme/outer", outer)
    with pytest.raises(SubmoduleTrouble, match=f"nested more than {DEEPEST} deep"):
        await with_submodules(root, forges.sites)


async def test_a_repository_that_contains_itself_is_refused(forges: Forges) -> None:
    own = "c" * 40  # git could not make it
    change = replace(adding({"self": "../api.git"}, {"self": own}), sha=own)
    with pytest.raises(SubmoduleTrouble, match=r"the submodule self \(acme/api at ccccccc\) contains itself"):
        await forges.found(await forges.push(forges.github, REPO, change))


async def test_so_many_submodules_are_put_in_and_no_more(forges: Forges) -> None:
    lib = forges.add(forges.github, "acme/lib")
    for number, is_refused in ((MOST, False), (MOST + 1, True)):
        paths = [f"libs/{index}" for index in range(number)]
        change = adding(dict.fromkeys(paths, "../lib"), dict.fromkeys(paths, lib))
        commit = await forges.push(forges.github, REPO, change)
        if not is_refused:
            assert len(await forges.found(commit)) == MOST + 1
            continue
        with pytest.raises(SubmoduleTrouble, match=f"more than {MOST}"):
            await forges.found(commit)


async def test_the_credential_goes_to_the_forge_of_the_submodule_and_nowhere_else(forges: Forges) -> None:
    host = httpx.URL(forges.gitea.sandbox.url).host
    seen: list[tuple[str, str]] = []

    async def note(request: httpx.Request) -> None:
        seen.append((request.url.host, request.headers["authorization"]))

    lib = forges.add(forges.gitea, "acme/lib")
    commit = await forges.push(forges.github, REPO, adding({"lib": f"ssh://git@{host}/acme/lib"}, {"lib": lib}))
    forges.github.client.event_hooks = {"request": [note], "response": []}
    await forges.found(commit)
    assert {where for where, _ in seen} == {host, httpx.URL(forges.github.sandbox.api_url).host}
    assert len({credential for _, credential in seen}) == 2


# What the relay makes of them

LIB, DEEP = "b" * 40, "d" * 40
WITH_SUBMODULES = replace(REQUEST, submodules=True)
API = tar_gz(file("api-1/Dockerfile", b"FROM busybox\n"), directory("api-1/lib"), symlink("api-1/out", "/etc"))


class Repositories:
    """A forge that has `.gitmodules`, gitlinks and archives, by commit."""

    def __init__(self) -> None:
        self.gitmodules: dict[str, str] = {}
        self.gitlinks: dict[tuple[str, str], str] = {}
        self.archives: dict[str, tuple[bytes | Exception, ...]] = {}
        self.opened: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/contents/" in path:
            return self._contents(path.partition("/contents/")[2], request.url.params["ref"])
        if "/commits/" in path:
            return httpx.Response(200, json={})
        commit = path.rpartition("/")[2]
        self.opened.append(commit)
        if commit not in self.archives:
            return httpx.Response(500, json={"message": "out of disk"})
        return httpx.Response(200, stream=Body(*self.archives[commit]), headers={"Content-Type": TYPE})

    def _contents(self, path: str, commit: str) -> httpx.Response:
        if path == ".gitmodules" and commit in self.gitmodules:
            content = base64.b64encode(self.gitmodules[commit].encode()).decode()
            return httpx.Response(200, json={"type": "file", "encoding": "base64", "content": content})
        if (commit, path) in self.gitlinks:
            return httpx.Response(200, json={"type": "submodule", "sha": self.gitlinks[commit, path]})
        return httpx.Response(404, json={"message": "Not Found"})

    def add(self, commit: str, path: str, linked: str) -> None:
        """A submodule, of a repository that is called as its path ends."""
        name = path.rpartition("/")[2]
        self.gitmodules[commit] = self.gitmodules.get(commit, "") + gitmodules({path: f"../{name}.git"})
        self.gitlinks[commit, path] = linked


@dataclass
class WorldOfSubmodules:
    """A relay, and what its forge has: acme/api at its commit with `lib`, which has `deep`."""

    relaying: Relaying
    forge: Repositories

    async def things(self, limits: RelayLimits | None = None) -> list[Thing]:
        """What the archive unpacks to."""
        build = await self.relaying.build(request=WITH_SUBMODULES)
        return unpacked(await self.relaying.read(build, self.relaying.relay_with(limits)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WorldOfSubmodules]:
    async with relaying(tmp_path) as made:
        forge = Repositories()
        forge.add(sha("a"), "lib", LIB)
        forge.add(LIB, "in/deep", DEEP)
        forge.archives = {
            sha("a"): (API,),
            LIB: (tar_gz(file("lib-1/lib.py", b"lib"), directory("lib-1/in/deep")),),
            DEEP: (tar_gz(file("deep-1/deep.py", b"deep"), symlink("deep-1/link", "deep.py")),),
        }
        made.answer = forge
        yield WorldOfSubmodules(made, forge)


async def test_submodules_lie_where_the_tree_has_them(world: WorldOfSubmodules) -> None:
    things = {thing.name: thing.content for thing in await world.things()}
    assert things["Dockerfile"] == b"FROM busybox\n"
    assert things["lib/lib.py"] == b"lib"
    assert things["lib/in/deep/deep.py"] == b"deep"
    assert world.forge.opened == [sha("a"), LIB, DEEP]


async def test_a_rule_that_does_not_ask_for_them_asks_nobody(world: WorldOfSubmodules) -> None:
    things = unpacked(await world.relaying.read(await world.relaying.build()))
    assert [thing.name for thing in things] == ["Dockerfile", "lib", "out"]
    assert len(world.relaying.asked) == 1


async def test_the_revision_file_may_lie_beside_them(world: WorldOfSubmodules) -> None:
    request = replace(WITH_SUBMODULES, revision_file="lib/.revision")
    build = await world.relaying.build(request=request)
    things = {thing.name: thing.content for thing in unpacked(await world.relaying.read(build))}
    assert things["lib/.revision"] == f"{sha('a')}\n".encode()


async def test_what_cannot_be_found_is_told_before_the_first_byte_and_on_the_page(world: WorldOfSubmodules) -> None:
    world.forge.gitmodules[LIB] = gitmodules({"in/deep": "https://nowhere.test/acme/deep"})
    build = await world.relaying.build(request=WITH_SUBMODULES)
    with pytest.raises(ArchiveTrouble, match=r"lib/in/deep cannot be had: it is at nowhere\.test"):
        await world.relaying.relay.open(await world.relaying.token(build))
    assert world.forge.opened == []
    (note,) = await world.relaying.notes(build)
    assert note.startswith("the source archive was not passed on: the submodule lib/in/deep")


async def _read_into(sent: list[bytes], archive: Archive) -> None:
    async for piece in archive:
        sent += [piece]


async def test_an_archive_that_fails_in_the_middle_leaves_no_whole_one(world: WorldOfSubmodules) -> None:
    world.forge.archives[sha("a")] = (b"".join(large_archive(1)),)
    world.forge.archives[LIB] = (begun(), httpx.ReadError("reset"))
    build = await world.relaying.build(request=WITH_SUBMODULES)
    archive = await world.relaying.relay.open(await world.relaying.token(build))
    sent: list[bytes] = []
    with pytest.raises(ArchiveTrouble, match=rf"the submodule lib \(Acme/lib at {LIB[:7]}\): .* broke"):
        await _read_into(sent, archive)
    assert sent
    with pytest.raises(EOFError):
        unpacked(b"".join(sent))
    assert DEEP not in world.forge.opened


async def test_an_archive_that_the_forge_refuses_is_told_before_the_first_byte_of_a_small_one(
    world: WorldOfSubmodules,
) -> None:
    del world.forge.archives[DEEP]
    build = await world.relaying.build(request=WITH_SUBMODULES)
    with pytest.raises(ArchiveTrouble, match=r"the submodule lib/in/deep .*out of disk"):
        await world.relaying.relay.open(await world.relaying.token(build))


@pytest.mark.parametrize("where", ["lib", "lib/in/deep"])
async def test_a_submodule_that_gitmodules_does_not_mention_is_found_by_its_empty_directory(
    world: WorldOfSubmodules, where: str
) -> None:
    holder = sha("a") if where == "lib" else LIB
    del world.forge.gitmodules[holder]
    with pytest.raises(ArchiveTrouble, match=f"{where}' cannot be had: .gitmodules does not say where"):
        await world.things()


async def test_one_that_is_left_out_on_purpose_stays_empty(world: WorldOfSubmodules) -> None:
    world.forge.gitmodules[LIB] += "\tupdate = none\n"
    things = {thing.name: thing.type for thing in await world.things()}
    assert things["lib/in/deep"] == tarfile.DIRTYPE
    assert "lib/in/deep/deep.py" not in things


async def test_a_directory_that_is_merely_empty_stays_so(world: WorldOfSubmodules) -> None:
    world.forge.archives[DEEP] = (tar_gz(directory("deep-1/a"), directory("deep-1/b"), file("deep-1/b/c")),)
    assert {"lib/in/deep/a", "lib/in/deep/b/c"} <= {thing.name for thing in await world.things()}


async def test_an_empty_directory_that_no_forge_can_be_asked_about_is_refused(world: WorldOfSubmodules) -> None:
    world.forge.archives[DEEP] = (tar_gz(directory("deep-1/\udcff")),)
    with pytest.raises(ArchiveTrouble, match="does not say where"):
        await world.things()


def _through_a_link(world: WorldOfSubmodules) -> None:
    world.forge.gitlinks[sha("a"), "out/lib"] = DEEP
    world.forge.gitmodules[sha("a")] += gitmodules({"out/lib": "../deep.git"})


def _outside(world: WorldOfSubmodules) -> None:
    world.forge.archives[LIB] = (tar_gz(file("lib-1/../../x", b"")),)


def _a_device(world: WorldOfSubmodules) -> None:
    world.forge.archives[LIB] = (tar_gz(replace(file("lib-1/null", b""), type=tarfile.CHRTYPE)),)


@pytest.mark.parametrize(
    ("spoil", "why"), [(_through_a_link, "through the symlink"), (_outside, "leads out"), (_a_device, "refused")]
)
async def test_a_hostile_submodule_is_refused(
    world: WorldOfSubmodules, spoil: Callable[[WorldOfSubmodules], None], why: str
) -> None:
    spoil(world)
    with pytest.raises(ArchiveTrouble, match=why):
        await world.things()


async def test_the_cap_is_for_all_of_them_together(world: WorldOfSubmodules) -> None:
    for commit in (sha("a"), LIB, DEEP):
        world.forge.archives[commit] = (b"".join(large_archive(1)),)
    await world.things(RelayLimits(largest_bytes=4 * 1024**2))
    with pytest.raises(ArchiveTrouble, match=r"the submodule lib/in/deep .*too large"):
        await world.things(RelayLimits(largest_bytes=5 * 1024**2 // 2))


async def test_finding_them_takes_no_longer_than_it_may(world: WorldOfSubmodules) -> None:
    world.relaying.answer = lambda _: httpx.Response(200, stream=Body(asyncio.Event()))
    with pytest.raises(ArchiveTrouble, match="were not all found in 0 s"):
        await world.things(RelayLimits(finding=timedelta(0)))
